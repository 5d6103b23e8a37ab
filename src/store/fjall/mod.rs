//! The durable engine: fjall, one keyspace a table. Nowhere else is fjall known.
//!
//! [`FjallEngine::open`] (`engine`) goes through the files that the last run left before the engine sees them. `lock` keeps
//! other processes off meanwhile. `unfinished` clears what a crash during the very first start left, and `journal` what a
//! later one left, or finds damage; `versions` and `contents` find damage in what the engine does not check itself, or too
//! late. What is open then are the `parts`: `tables`, each tuned for what it holds, and the one `writer`, who commits and
//! has `runway` make its syncs quick. `purge` takes old rows out of the files; `errors` translates.

mod contents;
mod engine;
mod errors;
mod journal;
mod lock;
mod parts;
mod purge;
mod runway;
mod tables;
mod unfinished;
mod versions;
mod writer;

pub use engine::{FjallEngine, FjallOptions};
