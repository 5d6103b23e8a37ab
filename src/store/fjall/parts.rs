//! What an open store is made of, shared by commits, reads and a purge: the database, its tables, the one writer, and the
//! moment that readers see. Who opens these, and what is done with them, is not known here.

use std::{
    mem,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
};

use fjall::{Database, Keyspace, Snapshot};

use super::{tables::Keyspaces, writer::Writer};
use crate::store::{error::StoreError, table::Table};

pub(super) struct Parts {
    pub(super) path: PathBuf,
    pub(super) db: Database,
    pub(super) keyspaces: Keyspaces,
    writer: Mutex<Writer>,
    /// What readers see: all commits that have returned.
    published: RwLock<Snapshot>,
}

impl Parts {
    pub(super) fn new(path: PathBuf, db: Database, keyspaces: Keyspaces, writer: Writer) -> Self {
        let published = RwLock::new(db.snapshot());
        Self { path, db, keyspaces, writer: Mutex::new(writer), published }
    }

    pub(super) fn keyspace(&self, table: Table) -> &Keyspace {
        &self.keyspaces[table.index()]
    }

    /// The writer, once nobody else has it.
    pub(super) fn writer(&self) -> Result<MutexGuard<'_, Writer>, StoreError> {
        self.writer.lock().map_err(|_| StoreError::Failed("a commit ended in a panic".into()))
    }

    /// Lets readers see what is written. With the writer in hand, so that no batch is being applied: a snapshot of that
    /// moment may hold half of it, since each table that goes to a file or is merged moves what a new snapshot sees.
    pub(super) fn publish(&self, _writer: &Writer) {
        let snapshot = self.db.snapshot();
        let before = mem::replace(&mut *self.published.write().unwrap_or_else(PoisonError::into_inner), snapshot);
        drop(before);
    }

    /// All commits that have returned, and nothing of the next.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.published.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
