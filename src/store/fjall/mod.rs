//! The durable engine: fjall, one keyspace a table.
//!
//! [`engine`] opens and reads; [`writer`] commits, [`runway`] makes syncs quick, [`tables`] tunes each table, [`purge`] takes
//! old rows out of the files, [`errors`] translates. Before the engine opens a store, [`unfinished`] clears what a crash
//! during the very first start left, and [`journal`] what a later one left, or finds damage; [`versions`] and [`contents`]
//! find damage in what the engine does not check itself, or too late.

mod contents;
mod engine;
mod errors;
mod journal;
mod lock;
mod purge;
mod runway;
mod tables;
mod unfinished;
mod versions;
mod writer;

pub use engine::{FjallEngine, FjallOptions};
