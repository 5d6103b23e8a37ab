//! The engine that keeps everything in memory, for tests and simulations: same promises as the durable one as long as
//! the process lives, and faults on demand.

use std::{
    collections::BTreeMap,
    future::ready,
    ops::ControlFlow,
    sync::{Mutex, MutexGuard},
};

use bytes::Bytes;

use super::{
    batch::Batch,
    engine::{DumpSink, Durability, Engine, Scan, StoreFuture},
    error::StoreError,
    table::{Row, Table},
};

/// Tables in memory. A commit is done when the call returns, before its future is polled.
#[derive(Default)]
pub struct MemoryEngine {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tables: [BTreeMap<Bytes, Bytes>; Table::ALL.len()],
    unsynced_commits: usize,
    is_full: bool,
    next_fault: Option<StoreError>,
    /// Reads until one fails, once.
    reads_to_fault: Option<usize>,
    /// Set by the first permanent fault: every later commit fails with it.
    failure: Option<StoreError>,
}

impl MemoryEngine {
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the next commit fail with `error` and change nothing; if the error is permanent, every later one too.
    pub fn fail_next_commit(&self, error: StoreError) {
        self.state().next_fault = Some(error);
    }

    /// Lets `reads` more reads succeed; the one after them fails.
    pub fn fail_a_read_after(&self, reads: usize) {
        self.state().reads_to_fault = Some(reads);
    }

    /// While full, every commit is refused with [`StoreError::DiskFull`] and changes nothing.
    pub fn fill_up(&self, full: bool) {
        self.state().is_full = full;
    }

    /// The commits since the last synced one: what a power cut would take from a durable engine.
    pub fn unsynced_commits(&self) -> usize {
        self.state().unsynced_commits
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds the tables")
    }
}

impl State {
    fn commit(&mut self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if let Some(fault) = self.next_fault.take() {
            self.failure = Some(fault.clone()).filter(StoreError::is_permanent);
            return Err(fault);
        }
        if self.is_full {
            return Err(StoreError::DiskFull { path: "memory".into(), free: 0, reserve: 0 });
        }
        for write in batch.writes {
            let table = &mut self.tables[write.table.index()];
            match write.value {
                Some(value) => table.insert(write.key, value),
                None => table.remove(&write.key),
            };
        }
        match durability {
            Durability::Synced => self.unsynced_commits = 0,
            Durability::Buffered => self.unsynced_commits += 1,
        }
        Ok(())
    }

    /// To be called with every read.
    fn count_read(&mut self) -> Result<(), StoreError> {
        self.reads_to_fault = match self.reads_to_fault {
            Some(0) => {
                self.reads_to_fault = None;
                return Err(StoreError::Io("a read fails on demand".into()));
            }
            left => left.map(|left| left - 1),
        };
        Ok(())
    }

    fn scan(&self, scan: Scan) -> Vec<Row> {
        if scan.from >= scan.to {
            return Vec::new();
        }
        let owned = |(key, value): (&Bytes, &Bytes)| (key.clone(), value.clone());
        let rows = self.tables[scan.table.index()].range(scan.from..scan.to);
        if scan.descending {
            rows.rev().take(scan.limit).map(owned).collect()
        } else {
            rows.take(scan.limit).map(owned).collect()
        }
    }
}

impl Engine for MemoryEngine {
    fn commit(&self, batch: Batch, durability: Durability) -> StoreFuture<'_, ()> {
        batch.assert_sizes();
        Box::pin(ready(self.state().commit(batch, durability)))
    }

    fn get(&self, table: Table, key: Bytes) -> StoreFuture<'_, Option<Bytes>> {
        let mut state = self.state();
        let counted = state.count_read();
        Box::pin(ready(counted.map(|()| state.tables[table.index()].get(&key).cloned())))
    }

    fn scan(&self, scan: Scan) -> StoreFuture<'_, Vec<Row>> {
        let mut state = self.state();
        let counted = state.count_read();
        Box::pin(ready(counted.map(|()| state.scan(scan))))
    }

    fn dump(&self, each: &mut DumpSink<'_>) -> Result<(), StoreError> {
        // A copy of the references, so that `each` may commit.
        let tables = self.state().tables.clone();
        for (table, rows) in Table::ALL.into_iter().zip(tables) {
            for (key, value) in &rows {
                if each(table, key, value) == ControlFlow::Break(()) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
