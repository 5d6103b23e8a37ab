//! The durable store as the rest of the server sees it: ordered tables of bytes and atomic, durable batches.
//!
//! What the bytes mean is the business of [`crate::log`]; how they reach the disk, of one module per engine
//! ([`fjall`], [`memory`]). All tables in one file, for backups and moves: [`archive`].
//!
//! *Architecture Invariant*: only `store/fjall.rs` and `store/fjall/` know fjall, and only the committer commits
//! (and an import, into a store that nobody serves).

use std::{future::Future, ops::ControlFlow, pin::Pin};

use bytes::Bytes;

pub mod archive;
mod batch;
pub mod fjall;
mod free_space;
pub mod memory;
#[cfg(test)]
mod tests;

pub use batch::{Batch, Write};

/// A future that an engine returns; boxed so that the server can hold any engine behind one pointer.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The longest key, in bytes. A key is not empty.
pub const MAX_KEY_BYTES: usize = u16::MAX as usize;

/// The longest value, in bytes; far above any frame.
pub const MAX_VALUE_BYTES: usize = 32 << 20;

/// The tables. Keys are compared byte by byte, so numbers in keys are big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Facts about the store itself: format version, log epoch, next numbers.
    Meta,
    /// user number → account.
    Users,
    /// uid → user number.
    UserNames,
    /// user number, device number → device.
    Devices,
    /// conversation number → its members.
    Conversations,
    /// user number, conversation number → how the user sees the conversation.
    Memberships,
    /// lower user number, higher user number → conversation number.
    Pairs,
    /// user number, first useq → a run of entry references.
    Timelines,
    /// conversation number, cseq → the message as it is pushed.
    Messages,
    /// conversation number, user number → a member of a group.
    Members,
    /// conversation number, cseq → the reactions to a message.
    Reactions,
    /// user number, other user number → what there is between them.
    Contacts,
    /// time in milliseconds, conversation number, cseq → nothing: which message expires when.
    Expiry,
}

impl Table {
    /// Every table, in the order of [`Engine::dump`].
    pub const ALL: [Table; 13] = [
        Table::Meta,
        Table::Users,
        Table::UserNames,
        Table::Devices,
        Table::Conversations,
        Table::Memberships,
        Table::Pairs,
        Table::Timelines,
        Table::Messages,
        Table::Members,
        Table::Reactions,
        Table::Contacts,
        Table::Expiry,
    ];

    /// The name that stands in the stored data; it never changes.
    pub fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Users => "users",
            Table::UserNames => "user-names",
            Table::Devices => "devices",
            Table::Conversations => "conversations",
            Table::Memberships => "memberships",
            Table::Pairs => "pairs",
            Table::Timelines => "timelines",
            Table::Messages => "messages",
            Table::Members => "members",
            Table::Reactions => "reactions",
            Table::Contacts => "contacts",
            Table::Expiry => "expiry",
        }
    }

    /// The place in [`Table::ALL`].
    fn index(self) -> usize {
        self as usize
    }
}

/// How much a successful [`Engine::commit`] promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// On stable storage: survives a power cut.
    Synced,
    /// In the operating system's hands: survives a crash of the process.
    Buffered,
}

/// One row read.
pub type Row = (Bytes, Bytes);

/// Which rows a scan returns: keys in `from .. to` (`to` excluded), at most `limit`, from the low end or the high end.
#[derive(Debug, Clone)]
pub struct Scan {
    pub table: Table,
    pub from: Bytes,
    pub to: Bytes,
    pub limit: usize,
    pub descending: bool,
}

/// An ordered key-value engine with atomic durable batches.
///
/// Reads see every batch whose commit has returned. They run inline on the caller's thread where the engine is local.
pub trait Engine: Send + Sync + 'static {
    /// Applies all of `batch` or nothing. After an error that [`StoreError::is_permanent`], every later commit fails too.
    ///
    /// Batches are applied in the order of the calls, whether or not the future is polled; dropping it does not take the
    /// batch back. A synced commit, even of an empty batch, makes every earlier buffered one durable as well. What failed is
    /// not seen by reads; when the store is opened again it may be there, or not.
    ///
    /// # Panics
    /// On an empty key, or one longer than [`MAX_KEY_BYTES`], and on a value longer than [`MAX_VALUE_BYTES`].
    fn commit(&self, batch: Batch, durability: Durability) -> StoreFuture<'_, ()>;
    fn get(&self, table: Table, key: Bytes) -> StoreFuture<'_, Option<Bytes>>;
    /// The rows of `scan`, in its order; none when `from` is not below `to`.
    fn scan(&self, scan: Scan) -> StoreFuture<'_, Vec<Row>>;

    /// Hands every row of every table to `each` until it breaks, in the order of [`Table::ALL`] and then of the keys, as
    /// they were at one moment between two commits. Commits go on meanwhile. Blocks the thread: not for a network task.
    fn dump(&self, each: &mut DumpSink<'_>) -> Result<(), StoreError>;

    /// Takes what was overwritten or removed before the call out of whatever the engine keeps it in, of the tables that
    /// hold what people wrote. Commits go on meanwhile. Blocks the thread, for seconds or minutes.
    ///
    /// # Errors
    /// `DiskFull` if there is no room to write these tables anew; nothing was changed then. After another one it may be
    /// tried again.
    fn purge(&self) -> Result<(), StoreError> {
        // Of an engine that keeps no old rows.
        Ok(())
    }
}

/// What [`Engine::dump`] calls for each row: table, key, value.
pub type DumpSink<'a> = dyn FnMut(Table, &[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Why the store could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Too little room on the disk. Nothing of the batch was written; commits succeed again once there is room.
    #[error(
        "the disk that holds {path} has {free} bytes free, fewer than the {reserve} bytes kept in reserve: free some space"
    )]
    DiskFull { path: String, free: u64, reserve: u64 },
    /// A write or sync failed. What of the batch reached the disk is unknown, so the engine takes no more writes until it is reopened.
    #[error(
        "the store failed and accepts no more writes: {0}; what was acknowledged is safe, restart the server to recover"
    )]
    Failed(String),
    /// What was read is not what was written.
    #[error("the store is damaged: {0}; run `hongyan store verify`")]
    Corrupt(String),
    /// Another process has the store open.
    #[error("the store in {0} is in use by another process")]
    Locked(String),
    /// The store could not be opened or read.
    #[error("cannot read the store: {0}")]
    Io(String),
}

impl StoreError {
    /// Whether waiting cannot help: only a restart or a repair can.
    pub fn is_permanent(&self) -> bool {
        !matches!(self, StoreError::DiskFull { .. })
    }
}
