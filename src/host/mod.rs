//! What puts the parts together and owns their lives.
//!
//! [`open`] goes from a configuration to a working service, whose parts [`assemble`] makes; [`server`] binds, runs and drains it,
//! with the [`clockwork`] of upkeep beside; [`enclosed`] is the same without ports and files. [`boot`] knows whether a power
//! cut may have taken the end of the log, [`descriptors`] how many connections there can be, [`panics`]
//! what is said of a bug. [`restore`] and [`inspect`] are
//! for a store that nobody serves.

pub mod assemble;
mod boot;
pub mod clockwork;
mod descriptors;
pub mod enclosed;
pub mod inspect;
pub mod open;
pub mod panics;
pub mod restore;
pub mod server;
