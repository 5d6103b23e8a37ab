//! What the fuzzers run. Each target is a function over any bytes: it panics where the product breaks a promise, and
//! does nothing else. `fuzz/` gives them to libFuzzer; `tests/replay.rs` runs the committed corpus, and inputs of the
//! generators below, with every `cargo test`.
//!
//! | target | promise |
//! |---|---|
//! | [`decoder`] | any stream cut anywhere gives the same frames, and nothing is kept beyond one frame |
//! | [`codec`] | what is written by hand equals what the protobuf library writes |
//! | [`server`], [`client`] | any sequence of operations: no panic, no event out of its phase, legal output |
//! | [`pair`] | both ends together over a bad network: everything arrives once, in order |
//! | [`capture`] | what `hongyan-cli frames` shows does not depend on how the bytes arrive |
//! | [`token`] | nothing forged is believed; every token has one spelling |
//! | [`config`] | a configuration is taken whole or refused; what is printed reads back the same |
//! | [`records`] | any rows in the store are read or called damaged |
//! | [`users`] | a whole server answers every SEND and REQUEST; logs have no hole; the store agrees with itself |
//! | [`http`] | every request is answered in time, in the documented form, and never with an error of the server |
//! | [`websocket`] | both subprotocols answer alike; whatever is written, what comes back is messages of the subprotocol |
//! | [`json`] | a frame as bytes and as JSON mean the same, whichever was first |
//!
//! The simulated network and the reference server of `pair` are those of the protocol's own tests.

// Generators and rigs index what they have just made, and fail as a test does.
#![allow(clippy::unwrap_used, reason = "a target fails by panicking")]

pub mod capture;
pub mod client;
pub mod codec;
pub mod config;
#[path = "../../proto/tests/suite/core.rs"]
#[allow(dead_code, reason = "the protocol's tests use all of it")]
mod core;
pub mod decoder;
pub mod grammar;
mod house;
pub mod http;
pub mod json;
#[path = "../../proto/tests/suite/net.rs"]
#[allow(dead_code, clippy::should_implement_trait, reason = "the protocol's tests use all of it, privately")]
pub mod net;
mod output;
pub mod pair;
pub mod records;
#[path = "../../proto/tests/suite/rig.rs"]
#[allow(dead_code, reason = "the protocol's tests use all of it")]
mod rig;
pub mod server;
mod target;
pub mod token;
pub mod users;
pub mod websocket;

pub use target::{TARGETS, Target};
