//! The protocol as two ends see it, over a simulated network and in virtual time.

mod core;
mod exchange;
mod net;
mod rig;
