//! Sending one thing of the command line, a message or an act.

use hongyan_client::{Client, Outgoing, Sent};

use crate::{
    exit::{Exit, Failure},
    output::Output,
    record::AckRecord,
    session::Login,
    slot::Family,
};

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
pub async fn submit_with(client: &Client, output: Output, what: impl Into<Outgoing>) -> Result<Sent, Failure> {
    let sent = client.submit(what).await?;
    if output.json {
        output.record(&AckRecord::from(&sent))?;
    }
    Ok(sent)
}
