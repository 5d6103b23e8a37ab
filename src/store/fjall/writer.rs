//! Committing: the free-space check, the batch, the sync, and what is remembered of a failure.

use fjall::{Database, Keyspace, OwnedWriteBatch, PersistMode};

use super::{errors, journal, runway::Runway, tables::Keyspaces};
use crate::store::{batch::Batch, engine::Durability, error::StoreError, free_space::FreeSpace};

pub(super) struct Writer {
    free_space: FreeSpace,
    runway: Runway,
    /// Set by the first permanent error: the engine is not asked again.
    failure: Option<StoreError>,
}

impl Writer {
    pub(super) fn new(free_space: FreeSpace, runway: Runway) -> Self {
        Writer { free_space, runway, failure: None }
    }

    /// Whether so much may be written now.
    pub(super) fn check_room(&mut self, bytes: u64) -> Result<(), StoreError> {
        self.free_space.check(bytes)
    }

    pub(super) fn commit(
        &mut self,
        db: &Database,
        keyspaces: &Keyspaces,
        batch: Batch,
        durability: Durability,
    ) -> Result<(), StoreError> {
        self.unless_failed(|writer| {
            // To sync what is written already takes no room.
            if !batch.is_empty() {
                writer.free_space.check(batch.size_bytes())?;
            }
            writer.write(db, keyspaces, batch, durability)
        })
    }

    /// Remembers a permanent error.
    fn unless_failed(&mut self, write: impl FnOnce(&mut Self) -> Result<(), StoreError>) -> Result<(), StoreError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let result = write(self);
        self.failure = result.as_ref().err().filter(|error| error.is_permanent()).cloned();
        result
    }

    fn write(
        &mut self,
        db: &Database,
        keyspaces: &Keyspaces,
        batch: Batch,
        durability: Durability,
    ) -> Result<(), StoreError> {
        let mode = match durability {
            Durability::Synced => PersistMode::SyncData,
            Durability::Buffered => PersistMode::Buffer,
        };
        if batch.is_empty() {
            // The engine would return at once, and leave earlier buffered batches unsynced.
            return db.persist(mode).map_err(errors::on_commit);
        }
        let bytes = journal::size_bytes(batch.writes.len(), batch.size_bytes());
        self.runway.prepare(bytes, db.journal_count());
        let mut rows = OwnedWriteBatch::with_capacity(db.clone(), batch.writes.len()).durability(Some(mode));
        for write in batch.writes {
            let keyspace = &keyspaces[write.table.index()];
            match write.value {
                Some(value) => rows.insert(keyspace, &*write.key, &*value),
                None => rows.remove(keyspace, &*write.key),
            }
        }
        rows.commit().map_err(errors::on_commit)
    }

    /// A row that is not of any commit. Only here, so that nothing is written to the journal beside the commits; synced
    /// like them, for what a whole batch follows in a journal is known to have been.
    pub(super) fn put(
        &mut self,
        db: &Database,
        keyspace: &Keyspace,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        self.unless_failed(|_| {
            let written = match value {
                Some(value) => keyspace.insert(key, value),
                None => keyspace.remove(key),
            };
            written.and_then(|()| db.persist(PersistMode::SyncData)).map_err(errors::on_commit)
        })
    }
}
