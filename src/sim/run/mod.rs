//! One run, from beginning to end (its [`course`]): a world is made and time passes in it ([`state`]); the plan's wishes and
//! faults, as they stand in the [`agenda`], happen to it ([`living`]); then all is healed and must come true ([`ending`]).

mod agenda;
mod course;
mod ending;
mod living;
mod state;

pub use course::{Outcome, run, run_dense};
