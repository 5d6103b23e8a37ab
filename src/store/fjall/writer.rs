//! Committing: the free-space check, the batch, the sync, and what is remembered of a failure.

use fjall::{Database, PersistMode};

use super::{Keyspaces, errors};
use crate::store::{Batch, Durability, StoreError, free_space::FreeSpace};

pub(super) struct Writer {
    free_space: FreeSpace,
    /// Set by the first permanent error: the engine is not asked again.
    failure: Option<StoreError>,
}

impl Writer {
    pub(super) fn new(free_space: FreeSpace) -> Self {
        Writer { free_space, failure: None }
    }

    /// Whether so much may be written now.
    pub(super) fn check_room(&self, bytes: u64) -> Result<(), StoreError> {
        self.free_space.check(bytes)
    }

    pub(super) fn commit(
        &mut self,
        db: &Database,
        keyspaces: &Keyspaces,
        batch: Batch,
        durability: Durability,
    ) -> Result<(), StoreError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        // To sync what is written already takes no room.
        let has_room = if batch.is_empty() { Ok(()) } else { self.free_space.check(batch.size_bytes()) };
        let result = has_room.and_then(|()| write(db, keyspaces, batch, durability));
        self.failure = result.as_ref().err().filter(|error| error.is_permanent()).cloned();
        result
    }
}

fn write(db: &Database, keyspaces: &Keyspaces, batch: Batch, durability: Durability) -> Result<(), StoreError> {
    let mode = match durability {
        Durability::Synced => PersistMode::SyncData,
        Durability::Buffered => PersistMode::Buffer,
    };
    if batch.is_empty() {
        // The engine would return at once, and leave earlier buffered batches unsynced.
        return db.persist(mode).map_err(errors::on_commit);
    }
    let mut rows = db.batch().durability(Some(mode));
    for write in batch.writes {
        let keyspace = &keyspaces[write.table.index()];
        match write.value {
            Some(value) => rows.insert(keyspace, &*write.key, &*value),
            None => rows.remove(keyspace, &*write.key),
        }
    }
    rows.commit().map_err(errors::on_commit)
}
