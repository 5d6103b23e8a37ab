//! The client against a scripted server.

#![allow(clippy::unwrap_used, reason = "the lint spares test functions only, not what they call")]

mod connecting;
mod fake;
mod large;
mod lists;
mod output;
mod receiving;
mod sending;
mod stalls;
mod state_lost;
mod stores;
mod tls;
