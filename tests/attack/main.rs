//! An attacker against the real program: strangers, guessers, forgers, users who read nothing or read what is not
//! theirs. The fixture is that of `tests/it`.
//!
//! What takes long is ignored, and run by the commands in docs/reliability.md.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod crowds;
mod fixture;
mod forgers;
mod guessers;
mod logs;
mod others;
#[path = "../it/server.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod server;
mod stalled;
mod web;
#[path = "../it/wire.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod wire;
