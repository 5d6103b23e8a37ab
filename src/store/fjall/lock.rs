//! The engine's lock, taken for what must be done before the engine itself opens the store.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use crate::store::error::StoreError;

/// Holds other processes off until it is dropped.
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        let file = File::options().write(true).create(true).truncate(false).open(path.join("lock"));
        let file = file.map_err(|error| StoreError::Io(format!("{}: {error}", path.display())))?;
        match file.try_lock() {
            Ok(()) => Ok(DirectoryLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked(path.display().to_string())),
            Err(TryLockError::Error(error)) => Err(StoreError::Io(format!("{}: {error}", path.display()))),
        }
    }
}
