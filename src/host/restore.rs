//! Restoring a backup: into a fresh directory beside, under a new log epoch, then in place by one rename. Cut short, it
//! leaves nothing behind that a server would open.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use super::open;
use crate::{
    config::Config,
    log,
    store::{
        StoreError,
        archive::{self, ArchiveError, Summary},
        fjall::{FjallEngine, FjallOptions},
    },
};

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
    hongyan_directory::sync(&config.data).map_err(place)?;
    Ok(summary)
}

async fn fill(path: &Path, archive: File) -> Result<Summary, RestoreError> {
    let engine = FjallEngine::open(path, FjallOptions::default())?;
    let summary = archive::import(&engine, archive).await?;
    // The log went on after the backup, and what clients remember of that means nothing here.
    log::epoch::begin(&engine, open::new_log_epoch()).await?;
    Ok(summary)
}
