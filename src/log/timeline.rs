//! Reading a user's timeline: runs of references, and the entries they stand for.

use bytes::Bytes;
use hongyan_proto::{server::encode_item, wire, wire::entry::Item};

use super::{Bounds, ConversationNo, EntryRef, Log, RunRecord, UserNo, keys, missing, parse};
use crate::store::{Scan, StoreError, Table};

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

    /// The entries with `after < useq <= upto`: at most `limit`, and no more than fit into `max_bytes` unless it is one.
    pub async fn entries(
        &self,
        user: UserNo,
        after: u64,
        upto: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        for (useq, reference) in self.refs(user, after, upto, limit).await? {
            let item = self.item(user, &reference).await?;
            bytes += item.len();
            if bytes > max_bytes && !entries.is_empty() {
                break;
            }
            let EntryRef { own_device, own_send_no, .. } = reference;
            entries.push(LogEntry { useq, own_device, own_send_no, item });
        }
        Ok(entries)
    }

    async fn item(&self, user: UserNo, reference: &EntryRef) -> Result<Bytes, StoreError> {
        let no = ConversationNo(reference.conversation);
        if reference.delivered_cseq == 0 {
            let row = self.engine().get(Table::Messages, keys::message(no, reference.cseq)).await?;
            return row.ok_or_else(|| missing(format!("message {} of conversation {}", reference.cseq, no.0)));
        }
        let record = self.conversation(no).await?.ok_or_else(|| missing(format!("conversation {}", no.0)))?;
        let conversation = self.peer(user, &record).await?;
        Ok(encode_item(Item::Receipt(wire::Receipt { conversation, delivered_cseq: reference.delivered_cseq })))
    }
}
