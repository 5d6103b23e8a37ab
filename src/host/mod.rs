//! What puts the parts together and owns their lives: [`open`] (from a configuration to a working core), [`server`] (bound,
//! running, draining), [`restore`], the [`clockwork`] of upkeep, and the [`boot`] that may have lost the end of a log.

pub mod assemble;
mod boot;
pub mod clockwork;
mod descriptors;
pub mod enclosed;
pub mod open;
pub mod restore;
pub mod server;
