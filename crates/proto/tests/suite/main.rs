//! The protocol as two ends see it, over a simulated network and in virtual time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod core;
mod exchange;
mod hostile;
mod net;
mod phases;
mod retransmission;
mod rig;
