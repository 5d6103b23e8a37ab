//! What can be measured: one file for each scenario. [`run`] is what all of them share, [`schedule`] what those share that
//! send at a fixed rate.

pub mod fan_out;
pub mod group;
pub mod idle;
pub mod offline;
pub mod paced;
pub mod pairs;
pub mod resume_storm;
mod run;
mod schedule;

pub use run::Bench;
