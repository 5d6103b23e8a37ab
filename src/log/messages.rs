//! Reading messages as they are stored: those that were committed together and follow each other are one row, a run.

use bytes::Bytes;
use hongyan_proto::wire::{self, entry::Item};
use prost::{Message as _, encoding};

use super::{
    keys,
    record::MessageRunRecord,
    rows::{Log, missing, parse},
};
use crate::{
    base::number::ConversationNo,
    store::{Scan, StoreError, Table},
};

/// Messages of a run at most.
const RUN_MESSAGES: usize = 64;
/// A run with so many bytes takes no further message.
const RUN_BYTES: usize = 16 * 1024;
/// `MessageRunRecord.items`.
const ITEMS: u32 = 1;
/// Runs that are read in one go.
const STEP: usize = 16;

/// Which part of a conversation to read. `before` 0: up to its end.
#[derive(Clone, Copy, Debug)]
pub struct HistoryRange {
    pub after: u64,
    pub before: u64,
    pub limit: usize,
    pub forward: bool,
}

/// Messages of a conversation that follow each other, each as it is pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRun {
    pub first: u64,
    pub items: Vec<Bytes>,
}

impl MessageRun {
    pub fn parse(key: &[u8], row: &Bytes) -> Result<Self, StoreError> {
        let (first, MessageRunRecord { items }) = (keys::parse_second(key)?, parse(row)?);
        match items.is_empty() {
            true => Err(StoreError::Corrupt(format!("a run of no messages at {first}"))),
            false => Ok(Self { first, items }),
        }
    }

    /// The cseq behind it.
    pub fn end(&self) -> u64 {
        self.first + self.items.len() as u64
    }

    pub fn get_mut(&mut self, cseq: u64) -> Option<&mut Bytes> {
        self.items.get_mut(usize::try_from(cseq.checked_sub(self.first)?).ok()?)
    }

    /// Its messages with `after < cseq < before`, numbered.
    fn between(self, after: u64, before: u64) -> impl DoubleEndedIterator<Item = (u64, Bytes)> {
        let first = self.first;
        let numbered = self.items.into_iter().enumerate().map(move |(index, item)| (first + index as u64, item));
        numbered.filter(move |(cseq, _)| after < *cseq && *cseq < before)
    }
}

/// The message in a row of the table Messages.
pub fn message_of(row: Bytes) -> Result<wire::Message, StoreError> {
    match wire::Entry::decode(row) {
        Ok(wire::Entry { item: Some(Item::Message(message)), .. }) => Ok(message),
        _ => Err(StoreError::Corrupt("a row of messages holds something else".into())),
    }
}

/// Messages from `first` on as rows to store: several if they are many.
pub fn message_rows(first: u64, items: &[Bytes]) -> impl Iterator<Item = (u64, Bytes)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let (begin, mut bytes) = (done, 0);
        while done < items.len() && done - begin < RUN_MESSAGES && bytes < RUN_BYTES {
            bytes += items[done].len();
            done += 1;
        }
        (begin < done).then(|| (first + begin as u64, encode_run(&items[begin..done])))
    })
}

/// The row as `MessageRunRecord` says, without copying the list for it.
fn encode_run(items: &[Bytes]) -> Bytes {
    let mut row = Vec::with_capacity(encoding::bytes::encoded_len_repeated(ITEMS, items));
    encoding::bytes::encode_repeated(ITEMS, items, &mut row);
    row.into()
}

fn bytes_of(messages: &[(u64, Bytes)]) -> usize {
    messages.iter().map(|(_, item)| item.len()).sum()
}

impl Log {
    /// The newest cseq of a conversation.
    pub async fn conversation_head(&self, no: ConversationNo) -> Result<u64, StoreError> {
        Ok(self.last_run(no, 0, u64::MAX).await?.map_or(0, |run| run.end() - 1))
    }

    /// One message as it is stored.
    pub async fn message(&self, no: ConversationNo, cseq: u64) -> Result<Option<Bytes>, StoreError> {
        Ok(self.run_with(no, cseq).await?.and_then(|mut run| run.get_mut(cseq).map(std::mem::take)))
    }

    /// One message as it is stored, where something refers to it: so it must be there.
    pub(super) async fn stored(&self, no: ConversationNo, cseq: u64) -> Result<Bytes, StoreError> {
        let row = self.message(no, cseq).await?;
        row.ok_or_else(|| missing(format!("message {cseq} of conversation {}", no.0)))
    }

    /// The run that a message is in.
    pub async fn run_with(&self, no: ConversationNo, cseq: u64) -> Result<Option<MessageRun>, StoreError> {
        let Some(end) = cseq.checked_add(1) else { return Ok(None) };
        let run = self.last_run(no, end.saturating_sub(RUN_MESSAGES as u64), end).await?;
        Ok(run.filter(|run| cseq < run.end()))
    }

    /// Messages with `after < cseq < before` in rising order: the oldest of them if `forward`, else the newest.
    pub async fn history(&self, no: ConversationNo, range: HistoryRange) -> Result<Vec<(u64, Bytes)>, StoreError> {
        Ok(self.history_within(no, range, usize::MAX).await?.0)
    }

    /// The same, and no more than begins within `max_bytes`. True: there are more in the range and its limit.
    pub async fn history_within(
        &self,
        no: ConversationNo,
        range: HistoryRange,
        max_bytes: usize,
    ) -> Result<(Vec<(u64, Bytes)>, bool), StoreError> {
        let HistoryRange { after, limit, forward, .. } = range;
        let before = if range.before == 0 { u64::MAX } else { range.before };
        let mut messages = Vec::new();
        if limit == 0 || after.saturating_add(1) >= before {
            return Ok((messages, false));
        }
        let (mut from, mut to) = (after + 1, before);
        // The oldest may stand in a run that begins before them.
        match self.run_with(no, from).await? {
            Some(run) if forward => {
                from = run.end();
                messages.extend(run.between(after, before));
            }
            Some(run) => from = run.first,
            None => {}
        }
        let is_full = |messages: &[(u64, Bytes)]| bytes_of(messages) >= max_bytes;
        while messages.len() < limit && from < to && !is_full(&messages) {
            let runs = self.runs(no, from, to, (limit - messages.len()).min(STEP), !forward).await?;
            match runs.last() {
                None => break,
                Some(last) if forward => from = last.end(),
                Some(last) => to = last.first,
            }
            for run in runs {
                match forward {
                    true => messages.extend(run.between(after, before)),
                    false => messages.extend(run.between(after, before).rev()),
                }
            }
        }
        messages.truncate(limit);
        // Those that begin within the bound, one at least; the bytes of a message count whatever becomes of it.
        let mut bytes = 0;
        let fitting = messages.iter().take_while(|(_, item)| {
            let fits = bytes < max_bytes;
            bytes += item.len();
            fits
        });
        let fitting = fitting.count();
        let is_cut = fitting < messages.len() || messages.len() < limit && from < to && is_full(&messages);
        messages.truncate(fitting);
        if !forward {
            messages.reverse();
        }
        Ok((messages, is_cut))
    }

    /// The last run that begins with `from <= cseq < to`.
    async fn last_run(&self, no: ConversationNo, from: u64, to: u64) -> Result<Option<MessageRun>, StoreError> {
        Ok(self.runs(no, from, to, 1, true).await?.pop())
    }

    /// Runs that begin with `from <= cseq < to`.
    async fn runs(
        &self,
        no: ConversationNo,
        from: u64,
        to: u64,
        limit: usize,
        descending: bool,
    ) -> Result<Vec<MessageRun>, StoreError> {
        let (from, to) = (keys::message(no, from), keys::message(no, to));
        let rows = self.engine().scan(Scan { table: Table::Messages, from, to, limit, descending }).await?;
        rows.iter().map(|(key, row)| MessageRun::parse(key, row)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::{Batch, Durability, Engine, memory::MemoryEngine};

    const NO: ConversationNo = ConversationNo(5);

    /// A conversation with runs of so many messages, between two others.
    async fn log(runs: &[u64]) -> Log {
        let engine = Arc::new(MemoryEngine::new());
        let mut batch = Batch::default();
        let mut put = |no: u64, first: u64, items: Vec<Bytes>| {
            for (first, row) in message_rows(first, &items) {
                batch.put(Table::Messages, keys::message(ConversationNo(no), first), row);
            }
        };
        put(NO.0 - 1, 1, vec![Bytes::from("before"); 70]);
        let mut first = 1;
        for length in runs {
            put(NO.0, first, (first..first + length).map(item).collect());
            first += length;
        }
        put(NO.0 + 1, 1, vec![Bytes::from("after"); 70]);
        engine.commit(batch, Durability::Synced).await.unwrap();
        Log::new(engine)
    }

    fn item(cseq: u64) -> Bytes {
        format!("message {cseq}").into()
    }

    #[tokio::test]
    async fn every_part_of_a_conversation_is_read_as_if_each_message_had_its_row() {
        let runs = [1, 64, 3, 1, 1, 200, 2];
        let (log, all) = (log(&runs).await, runs.iter().sum::<u64>());
        assert_eq!(log.conversation_head(NO).await.unwrap(), all);
        for cseq in 0..all + 2 {
            let expected = (1..=all).contains(&cseq).then(|| item(cseq));
            assert_eq!(log.message(NO, cseq).await.unwrap(), expected, "{cseq}");
        }
        assert_eq!(log.message(NO, u64::MAX).await.unwrap(), None);
        for after in [0, 1, 30, 64, 65, 68, 70, 71, 150, 269, all - 1, all, all + 5, u64::MAX] {
            for before in [0, 1, 2, 40, 65, 66, 70, 72, 140, all, all + 1, u64::MAX] {
                for limit in [0, 1, 2, 16, 100, 1000] {
                    let end = if before == 0 { u64::MAX } else { before };
                    let visible: Vec<_> = (1..=all).filter(|cseq| after < *cseq && *cseq < end).collect();
                    let (oldest, newest) =
                        (visible.iter().take(limit), visible.iter().skip(visible.len().saturating_sub(limit)));
                    for (forward, expected) in
                        [(true, oldest.copied().collect::<Vec<_>>()), (false, newest.copied().collect())]
                    {
                        let range = HistoryRange { after, before, limit, forward };
                        let found = log.history(NO, range).await.unwrap();
                        let expected: Vec<_> = expected.into_iter().map(|cseq| (cseq, item(cseq))).collect();
                        assert_eq!(found, expected, "{range:?}");
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn a_page_by_page_walk_within_few_bytes_meets_every_message_once() {
        let runs = [1, 64, 3, 1, 1, 200, 2];
        let (log, all) = (log(&runs).await, runs.iter().sum::<u64>());
        let before = all + 1;
        for (limit, max_bytes) in [(50, 100), (1000, 1), (7, 10_000), (1000, 2000)] {
            let (mut after, mut met) = (0, 0);
            loop {
                let range = HistoryRange { after, before, limit, forward: true };
                let (page, is_cut) = log.history_within(NO, range, max_bytes).await.unwrap();
                assert!(page.first().is_none_or(|(cseq, _)| *cseq == after + 1));
                let bytes: usize = page.iter().rev().skip(1).map(|(_, item)| item.len()).sum();
                assert!(bytes < max_bytes, "{bytes} before the last");
                after = page.last().map_or(after, |(cseq, _)| *cseq);
                met += page.len() as u64;
                assert_eq!(is_cut, after < all && page.len() < limit, "after {after}");
                if page.is_empty() {
                    break;
                }
            }
            assert_eq!(met, all);
            let (mut end, mut met) = (before, 0);
            while end > 1 {
                let range = HistoryRange { after: 0, before: end, limit, forward: false };
                let (page, is_cut) = log.history_within(NO, range, max_bytes).await.unwrap();
                assert_eq!(page.last().map(|(cseq, _)| *cseq), Some(end - 1), "the newest first");
                end = page[0].0;
                met += page.len() as u64;
                assert_eq!(is_cut, end > 1 && page.len() < limit, "before {end}");
            }
            assert_eq!(met, all);
        }
    }

    #[tokio::test]
    async fn a_conversation_without_messages_is_empty() {
        let log = log(&[]).await;
        assert_eq!(log.conversation_head(NO).await.unwrap(), 0);
        assert_eq!(log.message(NO, 1).await.unwrap(), None);
        let range = HistoryRange { after: 0, before: 0, limit: 10, forward: true };
        assert_eq!(log.history(NO, range).await.unwrap(), []);
    }

    #[test]
    fn a_run_is_bounded_in_messages_and_bytes() {
        let lengths = |items: &[Bytes]| {
            let rows = message_rows(7, items).map(|(first, row)| MessageRun::parse(&keys::message(NO, first), &row));
            let runs = rows.collect::<Result<Vec<_>, _>>().unwrap();
            assert!(
                runs.windows(2).all(|pair| pair[0].end() == pair[1].first)
                    && runs.first().is_none_or(|run| run.first == 7)
            );
            assert_eq!(runs.iter().flat_map(|run| run.items.clone()).collect::<Vec<_>>(), items);
            runs.iter().map(|run| run.items.len()).collect::<Vec<_>>()
        };
        assert_eq!(lengths(&[]), [0; 0]);
        assert_eq!(lengths(&vec![Bytes::from_static(b"x"); 130]), [64, 64, 2]);
        assert_eq!(lengths(&vec![Bytes::from(vec![1; 6 * 1024]); 7]), [3, 3, 1]);
        assert_eq!(lengths(&vec![Bytes::from(vec![1; 1 << 20]); 2]), [1, 1]);
    }

    #[test]
    fn a_run_of_nothing_is_damage() {
        let damage = MessageRun::parse(&keys::message(NO, 1), &Bytes::new()).unwrap_err();
        assert!(matches!(damage, StoreError::Corrupt(_)), "{damage}");
    }
}
