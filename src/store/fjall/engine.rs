//! The engine itself: opening a store, and reading in it. Committing is the writer's, who is asked here; purging is a file
//! of its own.

use std::{
    future::ready,
    io,
    ops::ControlFlow,
    path::Path,
    sync::{MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use bytes::Bytes;
use fjall::{Database, Iter, Readable as _};

use super::{
    contents,
    errors::{self, translate},
    journal,
    lock::DirectoryLock,
    parts::Parts,
    purge,
    runway::Runway,
    tables, unfinished, versions,
    writer::Writer,
};
use crate::store::{
    batch::Batch,
    engine::{DumpSink, Durability, Engine, Scan, StoreFuture},
    error::StoreError,
    free_space::{ASKS_EVERY, FreeSpace, Probe, available_bytes},
    table::{Row, Table},
};

#[cfg(test)]
mod tests;

/// How large the engine may grow; what is not here is fixed per table when the store is created.
#[derive(Debug, Clone)]
pub struct FjallOptions {
    /// Blocks kept in memory. Default 64 MiB.
    pub cache_bytes: u64,
    /// Journals kept beside the one being written, so about how much is read again when the store is opened.
    /// At least 64 MiB, raised to it if below; the default.
    pub journal_bytes: u64,
    /// Commits are refused while fewer bytes than this would be left on the disk. Default 64 MiB.
    pub reserve_bytes: u64,
    /// A power cut ended a run whose commits were not all synced, so the end of the journal may have holes: it is cut off
    /// at the first, with what was not synced behind it, instead of being taken for damage. Default false.
    pub is_tail_lost: bool,
}

impl FjallOptions {
    const MIN_JOURNAL_BYTES: u64 = 64 << 20;
}

impl Default for FjallOptions {
    fn default() -> Self {
        FjallOptions {
            cache_bytes: 64 << 20,
            journal_bytes: Self::MIN_JOURNAL_BYTES,
            reserve_bytes: 64 << 20,
            is_tail_lost: false,
        }
    }
}

/// A store in one directory, which it keeps locked while it is open.
///
/// Reads and commits run on the caller's thread, commits one after the other. A commit blocks until it is synced, so it
/// is for a thread that has nothing else to do.
///
/// After a failed write or sync the engine commits no more: whether the disk holds what was written cannot be known, and
/// a second sync would succeed without having written it. Reads go on.
pub struct FjallEngine {
    parts: Parts,
    /// Held for reading while all rows are read, which keeps old ones alive, and for writing while those are purged.
    old_rows: RwLock<()>,
}

impl FjallEngine {
    /// Threads that write tables to files and merge these. The first leaves merging to the others, so that writing need
    /// not wait for it, and spins while all of them merge: there are more of these than tables that grow at once.
    const WORKERS: usize = 6;

    /// Opens the store in the directory `path`, creating both (mode 0700) if they are not there.
    ///
    /// Reads the journals of the last run twice, up to about `journal_bytes` and 64 MiB. Blocks.
    ///
    /// # Errors
    /// `Locked` if another engine has it open, `Corrupt` if it is damaged, `Io` for all else.
    pub fn open(path: impl AsRef<Path>, options: FjallOptions) -> Result<Self, StoreError> {
        Self::open_with_probe(path.as_ref(), options, Box::new(available_bytes), ASKS_EVERY)
    }

    pub(crate) fn open_with_probe(
        path: &Path,
        options: FjallOptions,
        probe: Probe,
        asks_every: Duration,
    ) -> Result<Self, StoreError> {
        let failed = |error: io::Error| StoreError::Io(format!("{}: {error}", path.display()));
        hongyan_directory::create(path).map_err(failed)?;
        let lock = DirectoryLock::take(path)?;
        unfinished::clear(path)?;
        versions::check(path)?;
        contents::check(path)?;
        journal::check(path, options.is_tail_lost)?;
        // The engine takes it again; whoever comes between does the same checks.
        drop(lock);
        let db = Database::builder(path)
            .cache_size(options.cache_bytes)
            .max_journaling_size(options.journal_bytes.max(FjallOptions::MIN_JOURNAL_BYTES))
            .worker_threads(Self::WORKERS)
            .open()
            .map_err(|error| translate(error, path))?;
        let keyspaces = tables::open(&db).map_err(|error| translate(error, path))?;
        // The engine syncs what stands in its directories, but not the names of all of them: a power cut could take away a
        // table with everything in it.
        [&path.join(unfinished::KEYSPACES), path].into_iter().try_for_each(hongyan_directory::sync).map_err(failed)?;
        let free_space = FreeSpace::new(path, options.reserve_bytes, probe, asks_every);
        let writer = Writer::new(free_space, Runway::new(path.to_owned()));
        Ok(FjallEngine { parts: Parts::new(path.to_owned(), db, keyspaces, writer), old_rows: RwLock::new(()) })
    }

    /// Writes every table to its files, and reads from these.
    #[cfg(test)]
    pub(crate) fn flush(&self) {
        let Self { parts, .. } = self;
        parts.keyspaces.iter().for_each(|keyspace| keyspace.rotate_memtable_and_wait().expect("the disk is there"));
        parts.publish(&parts.writer().expect("no commit failed"));
    }

    fn read(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = self.parts.snapshot().get(self.parts.keyspace(table), key).map_err(errors::on_read)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn read_range(&self, scan: Scan) -> Result<Vec<Row>, StoreError> {
        if scan.from >= scan.to {
            return Ok(Vec::new());
        }
        let rows = self.parts.snapshot().range(self.parts.keyspace(scan.table), scan.from..scan.to);
        if scan.descending { collect(rows.rev(), scan.limit) } else { collect(rows, scan.limit) }
    }
}

fn collect(rows: impl Iterator<Item = fjall::Guard>, limit: usize) -> Result<Vec<Row>, StoreError> {
    rows.take(limit)
        .map(|row| {
            row.into_inner()
                .map(|(key, value)| (Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value)))
                .map_err(errors::on_read)
        })
        .collect()
}

fn dump_table(table: Table, rows: Iter, each: &mut DumpSink<'_>) -> Result<ControlFlow<()>, StoreError> {
    for row in rows {
        let (key, value) = row.into_inner().map_err(errors::on_read)?;
        if each(table, &key, &value) == ControlFlow::Break(()) {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

impl Engine for FjallEngine {
    fn commit(&self, batch: Batch, durability: Durability) -> StoreFuture<'_, ()> {
        batch.assert_sizes();
        let commit = |mut writer: MutexGuard<'_, Writer>| {
            writer.commit(&self.parts.db, &self.parts.keyspaces, batch, durability)?;
            self.parts.publish(&writer);
            Ok(())
        };
        Box::pin(ready(self.parts.writer().and_then(commit)))
    }

    fn get(&self, table: Table, key: Bytes) -> StoreFuture<'_, Option<Bytes>> {
        Box::pin(async move { self.read(table, &key) })
    }

    fn scan(&self, scan: Scan) -> StoreFuture<'_, Vec<Row>> {
        Box::pin(async move { self.read_range(scan) })
    }

    fn dump(&self, each: &mut DumpSink<'_>) -> Result<(), StoreError> {
        let _reading = self.old_rows.read().unwrap_or_else(PoisonError::into_inner);
        let snapshot = self.parts.snapshot();
        for table in Table::ALL {
            if dump_table(table, snapshot.iter(self.parts.keyspace(table)), each)? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }

    fn purge(&self) -> Result<(), StoreError> {
        let _alone = self.old_rows.write().unwrap_or_else(PoisonError::into_inner);
        purge::purge(&self.parts)
    }
}
