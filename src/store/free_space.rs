//! Refuses a commit before the disk is full, while the engine can still be trusted. What is done about a refusal is
//! the caller's business.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::error::StoreError;

/// Tells how many bytes an unprivileged process may still write on the file system that holds a path.
pub(crate) type Probe = Box<dyn Fn(&Path) -> io::Result<u64> + Send>;

/// Watches the free space of one directory.
///
/// It asks the file system before every commit: the call costs about a microsecond, a sync several hundred, and an
/// answer that is not remembered cannot be out of date when another process fills the disk.
pub(crate) struct FreeSpace {
    path: PathBuf,
    reserve_bytes: u64,
    probe: Probe,
}

impl FreeSpace {
    pub(crate) fn new(path: &Path, reserve_bytes: u64, probe: Probe) -> Self {
        FreeSpace { path: path.to_owned(), reserve_bytes, probe }
    }

    /// Refuses with [`StoreError::DiskFull`] when fewer than the reserve would be left after writing `incoming_bytes`.
    pub(crate) fn check(&self, incoming_bytes: u64) -> Result<(), StoreError> {
        let path = || self.path.display().to_string();
        let free = (self.probe)(&self.path)
            .map_err(|error| StoreError::Failed(format!("cannot tell the free space of {}: {error}", path())))?;
        if free.saturating_sub(incoming_bytes) < self.reserve_bytes {
            return Err(StoreError::DiskFull { path: path(), free, reserve: self.reserve_bytes });
        }
        Ok(())
    }
}

/// The real [`Probe`].
pub(crate) fn available_bytes(path: &Path) -> io::Result<u64> {
    let stats = rustix::fs::statvfs(path)?;
    Ok(stats.f_bavail.saturating_mul(stats.f_frsize))
}
