//! The protocol as two ends see it, over a simulated network and in virtual time.

mod core;
mod exchange;
mod hostile;
mod net;
mod phases;
mod retransmission;
mod rig;
