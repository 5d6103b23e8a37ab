//! The seam between those who ask and the one who writes, as data that could cross to another process.
//!
//! Whoever wants something changed puts an [`op`] into the [`queue`]; what follows from its commit comes back as [`effect`]s,
//! which name devices and askers by numbers ([`id`]). Who waits for an [`answer`] stands in a small table ([`waiting`]) on
//! their own side. The [`desk`] is queue and table together.
//!
//! *Architecture Invariant*: nothing here holds a pointer, a channel of the runtime or a clock of this process.

pub mod answer;
pub mod desk;
pub mod effect;
pub mod id;
pub mod op;
pub mod queue;
pub mod waiting;
#[cfg(test)]
pub mod wire;
