//! One file for each command.

pub mod compare;
pub mod conversations;
pub mod frames;
pub mod group;
pub mod history;
pub mod listen;
pub mod login;
pub mod people;
pub mod ping;
pub mod send;
pub mod status;
pub mod talk;

use hongyan_client::{Client, Outgoing, Sent};

use crate::{
    exit::{Exit, Failure},
    output::Output,
    record::AckRecord,
    session::Login,
    slot::Family,
};
use tokio::signal::unix::{SignalKind, signal};

/// Sends one thing and prints the answer for programs; for people, no word means that it is done.
pub async fn submit(login: &Login, what: impl Into<Outgoing>) -> Result<Exit, Failure> {
    let output = login.output;
    let session = login.open(Family::Sender).await?;
    let what = what.into();
    session
        .with_events_dropped(output, async |client| submit_with(client, output, what).await.map(|_| Exit::Done))
        .await
}

/// As [`submit`], of a client that is there.
async fn submit_with(client: &Client, output: Output, what: impl Into<Outgoing>) -> Result<Sent, Failure> {
    let sent = client.submit(what).await?;
    if output.json {
        output.record(&AckRecord::from(&sent))?;
    }
    Ok(sent)
}

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
