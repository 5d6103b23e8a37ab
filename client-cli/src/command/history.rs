//! `history`: a conversation, oldest first.

use hongyan_client::{Client, ClientError, ConversationId, Entry, HistoryQuery};

use crate::{
    exit::{Exit, Failure},
    session::Login,
    slot::Family,
};

/// The most that one request brings.
const PAGE: u32 = 200;

pub async fn run(
    login: &Login,
    with: &ConversationId,
    limit: u32,
    before: u64,
    around: Option<u64>,
) -> Result<Exit, Failure> {
    let output = login.output;
    let session = login.open(Family::Sender).await?;
    session
        .with_events_dropped(output, async |client| {
            let entries = match around {
                Some(around) => {
                    let query = HistoryQuery { around, limit: limit.min(PAGE), ..HistoryQuery::default() };
                    client.history(with, query).await?.entries
                }
                None => load(client, with, limit, before).await?,
            };
            if entries.is_empty() {
                output.note(&format!("no messages with {with}"));
            }
            entries.iter().try_for_each(|entry| output.entry(entry))?;
            Ok(Exit::Done)
        })
        .await
}

/// The newest `limit` entries below the number `before` (0: all), oldest first.
pub async fn load(
    client: &Client,
    with: &ConversationId,
    limit: u32,
    mut before: u64,
) -> Result<Vec<Entry>, ClientError> {
    let mut pages = Vec::new();
    let mut missing = limit;
    while missing > 0 {
        let query = HistoryQuery { before, limit: missing.min(PAGE), ..HistoryQuery::default() };
        let page = client.history(with, query).await?;
        let Some(first) = page.entries.first() else { break };
        before = first.cseq();
        missing = missing.saturating_sub(page.entries.len() as u32);
        let more = page.more && before > 1;
        pages.push(page.entries);
        if !more {
            break;
        }
    }
    Ok(pages.into_iter().rev().flatten().collect())
}
