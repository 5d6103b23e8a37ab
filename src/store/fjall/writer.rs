//! The thread that commits: the free-space check, the batch, the sync, and what is remembered of a failure.

use std::sync::{Arc, mpsc};

use fjall::{Database, PersistMode};
use tokio::sync::oneshot;

use super::{Keyspaces, errors};
use crate::store::{Batch, Durability, StoreError, free_space::FreeSpace};

/// One commit asked for.
pub(super) struct Job {
    pub batch: Batch,
    pub durability: Durability,
    pub done: oneshot::Sender<Result<(), StoreError>>,
}

pub(super) struct Writer {
    db: Database,
    keyspaces: Arc<Keyspaces>,
    free_space: FreeSpace,
    /// Set by the first permanent error: the engine is not asked again.
    failure: Option<StoreError>,
}

impl Writer {
    pub(super) fn new(db: Database, keyspaces: Arc<Keyspaces>, free_space: FreeSpace) -> Self {
        Writer { db, keyspaces, free_space, failure: None }
    }

    /// Commits until nobody can ask any more.
    pub(super) fn run(mut self, queue: mpsc::Receiver<Job>) {
        for Job { batch, durability, done } in queue {
            // Whoever asked may have stopped waiting; the batch is committed all the same.
            let _ = done.send(self.commit(batch, durability));
        }
    }

    fn commit(&mut self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let result = self.free_space.check(batch.size_bytes()).and_then(|()| self.write(batch, durability));
        self.failure = result.as_ref().err().filter(|error| error.is_permanent()).cloned();
        result
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        let mode = match durability {
            Durability::Synced => PersistMode::SyncData,
            Durability::Buffered => PersistMode::Buffer,
        };
        if batch.is_empty() {
            // The engine would return at once, and leave earlier buffered batches unsynced.
            return self.db.persist(mode).map_err(errors::on_commit);
        }
        let mut rows = self.db.batch().durability(Some(mode));
        for write in batch.writes {
            let keyspace = &self.keyspaces[write.table.index()];
            match write.value {
                Some(value) => rows.insert(keyspace, write.key, value),
                None => rows.remove(keyspace, write.key),
            }
        }
        rows.commit().map_err(errors::on_commit)
    }
}
