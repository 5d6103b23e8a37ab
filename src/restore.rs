//! Restoring a backup: into a fresh directory beside, under a new log epoch, then in place by one rename. Cut short, it
//! leaves nothing behind that a server would open.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use prost::Message;

use crate::{
    config::Config,
    log::{keys, keys::meta},
    open,
    store::{
        Batch, Durability, Engine, StoreError, Table,
        archive::{self, ArchiveError, Summary},
        fjall::{FjallEngine, FjallOptions},
    },
};

/// Devices rewritten in one commit.
const STEP: usize = 1024;

/// Why a backup was not restored. The data directory is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("{} exists: restore into a data directory without a store", .0.display())]
    Exists(PathBuf),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot put the restored store at {}: {source}", path.display())]
    Place { path: PathBuf, source: io::Error },
}

/// Reads `archive` into the data directory of `config`, which must not have a store yet.
pub async fn restore(config: &Config, archive: File) -> Result<Summary, RestoreError> {
    let target = open::store_path(&config.data);
    if target.exists() {
        return Err(RestoreError::Exists(target));
    }
    let place = |source| RestoreError::Place { path: target.clone(), source };
    let beside = config.data.join("store.restoring");
    match std::fs::remove_dir_all(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(place(error)),
        _ => {}
    }
    let summary = fill(&beside, archive).await?;
    std::fs::rename(&beside, &target).map_err(place)?;
    File::open(&config.data).and_then(|data| data.sync_all()).map_err(place)?;
    Ok(summary)
}

async fn fill(path: &Path, archive: File) -> Result<Summary, RestoreError> {
    let engine = FjallEngine::open(path, FjallOptions::default())?;
    let summary = archive::import(&engine, archive).await?;
    begin_epoch(&engine).await?;
    Ok(summary)
}

/// What clients remember of the log as it went on after the backup means nothing here: a new epoch tells them, and no
/// resume token, which would skip telling, is valid any more.
async fn begin_epoch(engine: &FjallEngine) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    batch.put(Table::Meta, meta::LOG_EPOCH.as_bytes(), keys::number(open::new_log_epoch()));
    let mut from = Bytes::new();
    loop {
        let rows = engine
            .scan(crate::store::Scan { table: Table::Devices, from, to: keys::END, limit: STEP, descending: false })
            .await?;
        for (key, value) in &rows {
            let mut record = crate::log::DeviceRecord::decode(value.clone())
                .map_err(|error| StoreError::Corrupt(format!("a device does not decode: {error}")))?;
            record.resume_slots = Bytes::new();
            batch.put(Table::Devices, key.clone(), record.encode_to_vec());
        }
        engine.commit(std::mem::take(&mut batch), Durability::Synced).await?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        from = Bytes::from([last, &[0][..]].concat());
    }
}
