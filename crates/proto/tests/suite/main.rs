//! The protocol as two ends see it, over a simulated network and in virtual time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod core;
mod exchange;
mod hostile;
mod net;
mod phases;
mod retransmission;
mod rig;

/// How much of what is random or exhaustive is run. Under miri, which interprets each instruction, it is a small part: what it
/// looks for is undefined behaviour, and more of the same steps show no more of it.
const fn unless_miri(all: usize, few: usize) -> usize {
    if cfg!(miri) { few } else { all }
}
