//! What an engine of the store can do.

use std::{future::Future, ops::ControlFlow, pin::Pin};

use bytes::Bytes;

use super::{
    batch::Batch,
    error::StoreError,
    table::{Row, Table},
};

/// A future that an engine returns; boxed so that the server can hold any engine behind one pointer.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// How much a successful [`Engine::commit`] promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// On stable storage: survives a power cut.
    Synced,
    /// In the operating system's hands: survives a crash of the process.
    Buffered,
}

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
    /// On an empty key, or one longer than [`MAX_KEY_BYTES`](super::table::MAX_KEY_BYTES), and on a value longer than
    /// [`MAX_VALUE_BYTES`](super::table::MAX_VALUE_BYTES).
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
