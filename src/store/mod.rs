//! The durable store as the rest of the server sees it: ordered tables of bytes and atomic, durable batches.
//!
//! What the bytes mean is the business of [`crate::log`]; how they reach the disk, of one file per engine
//! ([`fjall`], [`memory`]).
//!
//! *Architecture Invariant*: only `store/fjall.rs` knows fjall, and only the committer commits.

use std::{future::Future, pin::Pin};

use bytes::Bytes;

/// A future that an engine returns; boxed so that the server can hold any engine behind one pointer.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The tables. Keys are compared byte by byte, so numbers in keys are big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// user number, conversation number → nothing: which conversations a user has.
    Memberships,
    /// lower user number, higher user number → conversation number.
    Pairs,
    /// user number, first useq → a run of entry references.
    Timelines,
    /// conversation number, cseq → the message as it is pushed.
    Messages,
}

/// How much a successful [`Engine::commit`] promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// On stable storage: survives a power cut.
    Synced,
    /// In the operating system's hands: survives a crash of the process.
    Buffered,
}

/// Changes that become visible and durable together, applied in order.
#[derive(Debug, Default)]
pub struct Batch {
    pub writes: Vec<Write>,
}

/// One row written (`value` is some) or removed (`value` is none).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub table: Table,
    pub key: Bytes,
    pub value: Option<Bytes>,
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
    fn commit(&self, batch: Batch, durability: Durability) -> StoreFuture<'_, ()>;
    fn get(&self, table: Table, key: Bytes) -> StoreFuture<'_, Option<Bytes>>;
    fn scan(&self, scan: Scan) -> StoreFuture<'_, Vec<Row>>;
}

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
