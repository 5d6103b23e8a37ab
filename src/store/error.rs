//! Why the store could not do what was asked.

/// Why the store could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Too little room on the disk. Nothing of the batch was written; commits succeed again once there is room.
    #[error(
        "the disk that holds {path} has {free} bytes free, fewer than the {reserve} bytes kept in reserve: free some space"
    )]
    DiskFull { path: String, free: u64, reserve: u64 },
    /// A write or sync failed. What of the batch reached the disk is unknown, so the engine takes no more writes until it is reopened.
    #[error(
        "the store failed and accepts no more writes: {0}; what was acknowledged is safe, restart the server to recover"
    )]
    Failed(String),
    /// What was read is not what was written.
    #[error("the store is damaged: {0}; run `hongyan store verify`")]
    Corrupt(String),
    /// Another process has the store open.
    #[error("the store in {0} is in use by another process")]
    Locked(String),
    /// The store could not be opened or read.
    #[error("cannot read the store: {0}")]
    Io(String),
}

impl StoreError {
    /// Whether waiting cannot help: only a restart or a repair can.
    pub fn is_permanent(&self) -> bool {
        !matches!(self, StoreError::DiskFull { .. })
    }
}
