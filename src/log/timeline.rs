//! Reading a user's timeline: runs of references, and the entries they stand for.

use bytes::Bytes;
use hongyan_proto::{
    ConversationId,
    server::encode_item,
    wire::{self, entry::Item},
};

use super::{
    keys,
    messages::HistoryRange,
    record::{EntryRef, RunRecord, entry_ref::Of},
    rows::{Log, missing, parse},
};
use crate::{
    base::number::{ConversationNo, UserNo},
    store::{Scan, StoreError, Table},
};

/// Messages that are read in one go. More than fit into a page are read in vain where messages are long.
const STRETCH: usize = 16;

/// Where a timeline begins and ends: entries `low + 1 ..= head` are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Bounds {
    pub low: u64,
    pub head: u64,
}

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
    /// The newest run is never trimmed, so the rows alone tell where a timeline ends.
    pub async fn bounds(&self, user: UserNo) -> Result<Bounds, StoreError> {
        let (from, to) = (keys::run(user, 0), keys::after_user(user));
        let first = Scan { table: Table::Timelines, from, to, limit: 1, descending: false };
        let last = Scan { descending: true, ..first.clone() };
        let Some((last_key, last_run)) = self.engine().scan(last).await?.pop() else { return Ok(Bounds::default()) };
        let first_key = match self.engine().scan(first).await?.pop() {
            Some((key, _)) => key,
            None => last_key.clone(),
        };
        let run: RunRecord = parse(&last_run)?;
        // A run holds at least one entry, or it was never written.
        let head = keys::parse_second_of_user(&last_key)? - 1 + run.refs.len() as u64;
        Ok(Bounds { low: keys::parse_second_of_user(&first_key)? - 1, head })
    }

    /// References to the entries with `after < useq <= upto`, at most `limit`. They begin later than `after + 1` only if
    /// older ones have been trimmed.
    pub async fn refs(
        &self,
        user: UserNo,
        after: u64,
        upto: u64,
        limit: usize,
    ) -> Result<Vec<(u64, EntryRef)>, StoreError> {
        let mut refs = Vec::new();
        if after >= upto || limit == 0 {
            return Ok(refs);
        }
        let mut from = self.run_of(user, after + 1).await?;
        let to = keys::run(user, upto.saturating_add(1));
        // A run holds at least one entry, mostly more: a few scans do.
        while refs.len() < limit {
            let (table, limit_rows) = (Table::Timelines, (limit - refs.len()).min(64));
            let rows =
                self.engine().scan(Scan { table, from, to: to.clone(), limit: limit_rows, descending: false }).await?;
            let Some((last_key, _)) = rows.last() else { break };
            from = keys::run(user, keys::parse_second_of_user(last_key)? + 1);
            for (key, value) in rows {
                let first = keys::parse_second_of_user(&key)?;
                let run: RunRecord = parse(&value)?;
                refs.extend((first..).zip(run.refs).filter(|(useq, _)| (after + 1..=upto).contains(useq)));
            }
        }
        refs.truncate(limit);
        Ok(refs)
    }

    /// The key at which to begin in order to meet entry `useq`: that of the run it is in.
    async fn run_of(&self, user: UserNo, useq: u64) -> Result<Bytes, StoreError> {
        let (from, to) = (keys::run(user, 0), keys::run(user, useq.saturating_add(1)));
        let scan = Scan { table: Table::Timelines, from: from.clone(), to, limit: 1, descending: true };
        Ok(self.engine().scan(scan).await?.pop().map_or(from, |(key, _)| key))
    }

    /// References to entries below `below`, newest first: those of at most `runs` runs.
    pub async fn newest_refs(&self, user: UserNo, below: u64, runs: usize) -> Result<Vec<(u64, EntryRef)>, StoreError> {
        let (from, to) = (keys::run(user, 0), keys::run(user, below));
        let rows =
            self.engine().scan(Scan { table: Table::Timelines, from, to, limit: runs, descending: true }).await?;
        let mut refs = Vec::new();
        for (key, value) in rows {
            let first = keys::parse_second_of_user(&key)?;
            let run: RunRecord = parse(&value)?;
            let numbered: Vec<_> = (first..).zip(run.refs).collect();
            refs.extend(numbered.into_iter().rev().filter(|(useq, _)| *useq < below));
        }
        Ok(refs)
    }

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

    pub(super) async fn stored(&self, no: ConversationNo, cseq: u64) -> Result<Bytes, StoreError> {
        let row = self.message(no, cseq).await?;
        row.ok_or_else(|| missing(format!("message {cseq} of conversation {}", no.0)))
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

    pub async fn contact_as_seen(&self, user: UserNo, other: UserNo) -> Result<wire::Contact, StoreError> {
        let record = self.contact(user, other).await?.unwrap_or_default();
        Ok(record.as_seen(self.uid(other).await?))
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
