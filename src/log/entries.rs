//! Reading the entries of a user's timeline: what its references stand for, as it is now, ready to be pushed.

use bytes::Bytes;
use hongyan_proto::{
    ConversationId,
    server::encode_item,
    wire::{self, entry::Item},
};

use super::{
    messages::HistoryRange,
    record::{EntryRef, entry_ref::Of},
    rows::{Log, missing},
};
use crate::{
    base::number::{ConversationNo, UserNo},
    store::StoreError,
};

/// Messages that are read in one go. More than fit into a page are read in vain where messages are long.
const STRETCH: usize = 16;

/// One entry, ready to be pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    pub useq: u64,
    /// The device that sent the message, if the timeline is its user's; 0: none.
    pub own_device: u32,
    pub own_send_no: u64,
    /// An encoded wire `Entry` without its numbers.
    pub item: Bytes,
}

/// Both stand for rows of the same conversation that lie side by side and are pushed as they are.
fn is_followed_by(one: &EntryRef, next: &EntryRef) -> bool {
    let is_plain = |reference: &EntryRef| reference.of() == Of::Message && reference.author == 0;
    is_plain(one)
        && is_plain(next)
        && next.conversation == one.conversation
        && next.cseq.checked_sub(1) == Some(one.cseq)
}

impl Log {
    /// The entries with `after < useq <= upto`: at most `limit`, and no more than fit into `max_bytes` unless it is one.
    pub async fn entries(
        &self,
        user: UserNo,
        after: u64,
        upto: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let refs = self.refs(user, after, upto, limit).await?;
        let mut entries = Vec::with_capacity(refs.len());
        let mut bytes = 0;
        let stretches = refs.chunk_by(|(_, one), (_, next)| is_followed_by(one, next));
        for stretch in stretches.flat_map(|stretch| stretch.chunks(STRETCH)) {
            for ((useq, reference), item) in stretch.iter().zip(self.items(user, stretch).await?) {
                bytes += item.len();
                if bytes > max_bytes && !entries.is_empty() {
                    return Ok(entries);
                }
                let EntryRef { own_device, own_send_no, .. } = *reference;
                entries.push(LogEntry { useq: *useq, own_device, own_send_no, item });
            }
        }
        Ok(entries)
    }

    /// What references stand for, as it is now. If there are several, each is followed by the next.
    async fn items(&self, user: UserNo, stretch: &[(u64, EntryRef)]) -> Result<Vec<Bytes>, StoreError> {
        let (first, last) = match stretch {
            [] => return Ok(Vec::new()),
            [(_, one)] => return Ok(vec![self.item(user, one).await?]),
            [(_, first), .., (_, last)] => (first, last),
        };
        let no = ConversationNo(first.conversation);
        let range = HistoryRange {
            after: first.cseq.saturating_sub(1),
            before: last.cseq.saturating_add(1),
            limit: stretch.len(),
            forward: true,
        };
        let rows = self.history(no, range).await?;
        if rows.len() < stretch.len() {
            return Err(missing(format!("a message of {} to {} of conversation {}", first.cseq, last.cseq, no.0)));
        }
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    /// What a reference stands for, as it is now.
    async fn item(&self, user: UserNo, reference: &EntryRef) -> Result<Bytes, StoreError> {
        let no = ConversationNo(reference.conversation);
        let item = match reference.of() {
            Of::Message if reference.author == 0 => return self.stored(no, reference.cseq).await,
            Of::Message | Of::Edit => return self.stored_for(user, no, reference.cseq).await,
            Of::Receipt => Item::Receipt(self.receipt(user, no, reference).await?),
            Of::Conversation => {
                let row = self.conversation_as_seen(user, no).await?;
                Item::Conversation(row.ok_or_else(|| missing(format!("conversation {}", no.0)))?.into())
            }
            Of::Contact => Item::Contact(self.contact_as_seen(user, UserNo(reference.by_user)).await?),
            Of::Privacy => Item::Privacy(self.privacy(user).await?),
            Of::JoinRequest => Item::JoinRequest(self.join_request(no, UserNo(reference.by_user)).await?),
        };
        Ok(encode_item(item))
    }

    async fn receipt(
        &self,
        user: UserNo,
        no: ConversationNo,
        reference: &EntryRef,
    ) -> Result<wire::Receipt, StoreError> {
        let record = self.conversation(no).await?.ok_or_else(|| missing(format!("conversation {}", no.0)))?;
        Ok(wire::Receipt {
            conversation: self.conversation_id(user, no, &record).await?,
            delivered_cseq: reference.delivered_cseq,
            read_cseq: reference.read_cseq,
            uid: if record.group.is_some() { self.uid(UserNo(reference.by_user)).await? } else { String::new() },
            time_ms: reference.time_ms,
        })
    }

    async fn join_request(&self, no: ConversationNo, who: UserNo) -> Result<wire::JoinRequest, StoreError> {
        let role = self.member(no, who).await?.map_or(0, |member| member.role);
        Ok(wire::JoinRequest {
            group: ConversationId::Group(no.0).to_string(),
            uid: self.uid(who).await?,
            settled: role != wire::Role::Pending as i32,
        })
    }
}
