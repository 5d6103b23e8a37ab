//! One file for each command.

pub mod compare;
pub mod frames;
pub mod history;
pub mod listen;
pub mod login;
pub mod ping;
pub mod send;
pub mod status;

use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Failure;

/// Returns when a person or the system asks this program to end.
pub async fn interrupted() -> Result<(), Failure> {
    let failed = |error| Failure::local("cannot watch for signals", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
