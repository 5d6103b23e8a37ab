//! `history`: a conversation, oldest first.

use hongyan_client::{Client, ClientError, HistoryQuery, Received, Uid};

use crate::{
    exit::{Exit, Failure},
    session::Login,
    slot::Family,
};

/// The most that one request brings.
const PAGE: u32 = 200;

pub async fn run(login: &Login, with: &str, limit: u32, before: u64) -> Result<Exit, Failure> {
    let with = Uid::new(with)?;
    let output = login.output;
    let session = login.open(Family::Sender).await?;
    session
        .with_events_dropped(output, async |client| {
            let messages = load(client, &with, limit, before).await?;
            if messages.is_empty() {
                output.note(&format!("no messages with {with}"));
            }
            messages.iter().try_for_each(|message| output.message(message))?;
            Ok(Exit::Done)
        })
        .await
}

/// The newest `limit` messages below the number `before` (0: all), oldest first.
pub async fn load(client: &Client, with: &Uid, limit: u32, mut before: u64) -> Result<Vec<Received>, ClientError> {
    let mut pages = Vec::new();
    let mut missing = limit;
    while missing > 0 {
        let query = HistoryQuery { before, limit: missing.min(PAGE), ..HistoryQuery::default() };
        let page = client.history(with, query).await?;
        let Some(first) = page.messages.first() else { break };
        before = first.cseq;
        missing = missing.saturating_sub(page.messages.len() as u32);
        let more = page.more && before > 1;
        pages.push(page.messages);
        if !more {
            break;
        }
    }
    Ok(pages.into_iter().rev().flatten().collect())
}
