//! Looking a store through that nobody serves.

use std::io;

use super::{assemble::OpenError, open};
use crate::{
    config::Config,
    log::verify::{self, Report},
    store::{
        StoreError,
        archive::{self, ArchiveError},
    },
};

/// Why a store could not be looked through to its end.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads every row, which checks the engine's own sums; then what the rows say is checked against each other.
pub fn verify(config: &Config) -> Result<Report, InspectError> {
    let engine = open::open_engine(config)?;
    archive::export(&engine, io::sink())?;
    Ok(verify::verify(&engine)?)
}
