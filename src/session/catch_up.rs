//! Bringing a device up to the head of its user's log: after a login, after it fell behind, after a retransmission.
//! There is no other way for it to catch up.

use bytes::Bytes;
use hongyan_proto::{
    ConversationId,
    server::encode_item,
    wire::{self, entry::Item},
};

use super::service::Core;
use crate::{
    base::number::{ConversationNo, UserNo},
    live::channel::Channel,
    log::LogEntry,
    store::StoreError,
};

/// What a device that is behind gets next.
pub enum Page {
    Entries(Vec<LogEntry>),
    /// What it needs has been trimmed away.
    Reset(wire::SyncReset),
    /// There is nothing behind `after`: it is live now.
    CaughtUp,
}

/// The entries behind `after`: at most `limit`, and about `max_bytes`.
pub async fn next_page(
    core: &Core,
    channel: &Channel,
    after: u64,
    limit: u64,
    max_bytes: usize,
) -> Result<Page, StoreError> {
    if channel.catch_up(after) {
        return Ok(Page::CaughtUp);
    }
    let head = channel.head();
    let entries = core.log.entries(channel.user, after, head, limit as usize, max_bytes).await?;
    match entries.first() {
        Some(first) if first.useq == after + 1 => {
            core.metrics.entries_read_from_log.inc_by(entries.len() as u64);
            Ok(Page::Entries(entries))
        }
        first => {
            let low = first.map_or(head, |first| first.useq - 1);
            Ok(Page::Reset(wire::SyncReset { log_epoch: core.log_epoch, low, head }))
        }
    }
}

/// How far each large group of a user has come, ready to be passed.
pub async fn hints(core: &Core, user: UserNo) -> Result<Vec<Bytes>, StoreError> {
    let Some(account) = core.log.account(user).await? else { return Ok(Vec::new()) };
    let mut hints = Vec::with_capacity(account.large_groups.len());
    for no in account.large_groups {
        let head_cseq = core.log.conversation_head(ConversationNo(no)).await?;
        let conversation = ConversationId::Group(no).to_string();
        hints.push(encode_item(Item::Hint(wire::Hint { conversation, head_cseq })));
    }
    Ok(hints)
}
