//! The durable store as the rest of the server sees it: ordered tables of bytes and atomic, durable batches.
//!
//! What the bytes mean is the business of [`crate::log`]; how they reach the disk, of one module per engine
//! ([`fjall`], [`memory`]). All tables in one file, for backups and moves: [`archive`].
//!
//! *Architecture Invariant*: only `store/fjall.rs` and `store/fjall/` know fjall, and only the committer commits
//! (and an import, into a store that nobody serves).

pub mod archive;
mod batch;
mod engine;
mod error;
pub mod fjall;
mod free_space;
pub mod memory;
mod table;
#[cfg(test)]
mod tests;

pub use batch::{Batch, Write};
pub use engine::{DumpSink, Durability, Engine, Scan, StoreFuture};
pub use error::StoreError;
pub use table::{MAX_KEY_BYTES, MAX_VALUE_BYTES, Row, Table};
