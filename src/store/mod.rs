//! The durable store as the rest of the server sees it: ordered tables of bytes and atomic, durable batches.
//!
//! A [`Table`] is named, a [`Batch`] says what one commit changes, and an [`Engine`] commits it, or says with a [`StoreError`]
//! why not. There are two engines: [`fjall`], on the disk, which commits nothing that would fill it (`free_space`), and
//! [`memory`], for tests and simulations. [`archive`] is all tables in one file, for backups and moves.
//!
//! What the bytes mean is the business of [`crate::log`].
//!
//! *Architecture Invariant*: only `store/fjall/` knows fjall. While a store is served the committer alone commits; before
//! that, a start, which makes the store or begins a new log epoch, and an import.

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
