//! Reading what a device misses out of its user's log: after a login, after it fell behind, after a retransmission. There is
//! no other way for it to catch up.

use std::{future::Future, pin::Pin};

use bytes::Bytes;
use hongyan_proto::{
    ConversationId, canary,
    server::encode_item,
    wire::{self, entry::Item},
};

use super::service::Parts;
use crate::{
    base::number::{ConversationNo, DeviceNo, UserNo},
    log::{Log, LogEntry},
    ops::id::ChannelId,
    store::StoreError,
};

/// Bytes that are read at once for one device.
const PAGE_BYTES: usize = 16 * 1024;

/// A read of the log that is under way. It answers for itself, so that dropping it loses nothing.
pub type Read<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

/// An entry of the user's log, as one device gets it.
#[derive(Debug)]
pub struct Entry {
    pub useq: u64,
    /// The number under which this device sent it; 0: it did not.
    pub own_send_no: u64,
    /// The encoded body.
    pub item: Bytes,
}

/// What a device that is behind gets next.
pub enum Page {
    /// At least the next one, and without a hole.
    Entries(Vec<Entry>),
    /// What it needs has been trimmed away.
    Reset(wire::SyncReset),
}

/// The entries behind `after` of a log that ends at `head`, which is beyond: at most `limit`, and about 16 KiB.
pub async fn read_page(parts: &Parts, of: ChannelId, after: u64, head: u64, limit: u64) -> Result<Page, StoreError> {
    let entries = parts.log.entries(of.user, after, head, limit as usize, PAGE_BYTES).await?;
    match entries.first() {
        Some(first) if first.useq == after + 1 => {
            parts.metrics.entries_read_from_log.inc_by(entries.len() as u64);
            Ok(Page::Entries(entries.into_iter().map(|entry| for_device(of.device, entry)).collect()))
        }
        first => {
            let low = first.map_or(head, |first| first.useq - 1);
            Ok(Page::Reset(wire::SyncReset { log_epoch: parts.log_epoch, low, head }))
        }
    }
}

fn for_device(device: DeviceNo, entry: LogEntry) -> Entry {
    let LogEntry { useq, item, own_device, own_send_no, .. } = entry;
    let is_own = own_device == device.0 && !canary::is("own-message-as-news");
    Entry { useq, own_send_no: if is_own { own_send_no } else { 0 }, item }
}

/// How far each large group of a user has come, ready to be passed.
pub async fn hints(log: &Log, user: UserNo) -> Result<Vec<Bytes>, StoreError> {
    let Some(account) = log.account(user).await? else { return Ok(Vec::new()) };
    let mut hints = Vec::with_capacity(account.large_groups.len());
    for no in account.large_groups {
        let head_cseq = log.conversation_head(ConversationNo(no)).await?;
        let conversation = ConversationId::Group(no).to_string();
        hints.push(encode_item(Item::Hint(wire::Hint { conversation, head_cseq })));
    }
    Ok(hints)
}
