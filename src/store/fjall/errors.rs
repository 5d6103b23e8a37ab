//! fjall's errors in the store's words.

use std::{io, path::Path};

use fjall::{Error, LsmError};

use crate::store::error::StoreError;

/// While opening the store in `path`.
pub(super) fn translate(error: Error, path: &Path) -> StoreError {
    match error {
        Error::Locked => StoreError::Locked(path.display().to_string()),
        error => on_read(error),
    }
}

/// While committing: whatever it was, what reached the disk is unknown.
pub(super) fn on_commit(error: Error) -> StoreError {
    match error {
        Error::Poisoned => StoreError::Failed("an earlier write in the background failed".into()),
        error => StoreError::Failed(error.to_string()),
    }
}

pub(super) fn on_read(error: Error) -> StoreError {
    match error {
        Error::Io(error) | Error::Storage(LsmError::Io(error)) => on_io(&error),
        Error::InvalidVersion(version) => {
            StoreError::Io(format!("its format is {version:?}, which this program does not know"))
        }
        Error::Poisoned => on_commit(Error::Poisoned),
        Error::Locked | Error::KeyspaceDeleted => StoreError::Io(error.to_string()),
        // What is left are the checksums, lengths and marks that do not fit, and whatever a later version adds to them.
        error => StoreError::Corrupt(error.to_string()),
    }
}

fn on_io(error: &io::Error) -> StoreError {
    match error.kind() {
        // A file ends too early, or a file that the engine lists is gone.
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::NotFound => {
            StoreError::Corrupt(error.to_string())
        }
        _ => StoreError::Io(error.to_string()),
    }
}
