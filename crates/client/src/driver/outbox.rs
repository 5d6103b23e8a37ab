//! The outbox: messages and acts without an answer, and who waits for it. The store has the same items; these are at hand.

use std::collections::{BTreeMap, HashMap};

use hongyan_proto::Uid;
use tokio::sync::oneshot;

use crate::{
    command::Outcome,
    error::SendError,
    event::sent,
    store::{Answer, OutboxItem, Outcome as Stored},
};

/// Most messages without an answer.
const MAX_ITEMS: usize = 10_000;
/// Most bytes of content without an answer.
const MAX_BYTES: usize = 32 << 20;

#[derive(Default)]
pub(crate) struct Outbox {
    items: BTreeMap<u64, OutboxItem>,
    bytes: usize,
    waiters: HashMap<u64, Vec<oneshot::Sender<Outcome>>>,
}

impl Outbox {
    pub fn new(items: Vec<OutboxItem>) -> Self {
        let bytes = items.iter().map(|item| item.content.len()).sum();
        Self { items: items.into_iter().map(|item| (item.send_no, item)).collect(), bytes, waiters: HashMap::new() }
    }

    /// Whether another `len` bytes may be queued while `unread` answers wait for the application.
    pub fn check(&self, len: usize, unread: usize) -> Result<(), SendError> {
        let queued = self.items.len();
        if queued + unread >= MAX_ITEMS || self.bytes + len > MAX_BYTES {
            return Err(SendError::OutboxFull { queued });
        }
        Ok(())
    }

    pub fn insert(&mut self, item: OutboxItem) {
        self.bytes += item.content.len();
        self.items.insert(item.send_no, item);
    }

    /// The item has got its final answer. None: it had one before.
    pub fn remove(&mut self, send_no: u64) -> Option<OutboxItem> {
        let item = self.items.remove(&send_no)?;
        self.bytes -= item.content.len();
        Some(item)
    }

    pub fn find(&self, send_no: u64) -> Option<&OutboxItem> {
        self.items.get(&send_no)
    }

    /// The oldest number without an answer.
    pub fn first(&self) -> Option<u64> {
        self.items.first_key_value().map(|(send_no, _)| *send_no)
    }

    /// The newest number without an answer.
    pub fn last(&self) -> Option<u64> {
        self.items.last_key_value().map(|(send_no, _)| *send_no)
    }

    /// Whether a message to `conversation` waits for its answer.
    pub fn has_message_to(&self, conversation: &str) -> bool {
        self.items.values().any(|item| item.act.is_none() && item.to == conversation)
    }

    pub fn wait(&mut self, send_no: u64, waiter: oneshot::Sender<Outcome>) {
        let waiters = self.waiters.entry(send_no).or_default();
        waiters.retain(|waiter| !waiter.is_closed());
        waiters.push(waiter);
    }

    /// Those who still wait for this number.
    pub fn waiters(&mut self, send_no: u64) -> Vec<oneshot::Sender<Outcome>> {
        let mut waiters = self.waiters.remove(&send_no).unwrap_or_default();
        waiters.retain(|waiter| !waiter.is_closed());
        waiters
    }

    /// Everybody who waits for anything.
    pub fn all_waiters(&mut self) -> impl Iterator<Item = oneshot::Sender<Outcome>> {
        self.waiters.drain().flat_map(|(_, waiters)| waiters)
    }
}

/// A stored answer as the caller `me` sees it. None: one that no version has written.
pub(crate) fn outcome(me: &Uid, answer: &Answer) -> Option<Outcome> {
    Some(match answer.outcome.as_ref()? {
        Stored::Sent(ack) => Ok(sent(me, &answer.to, *ack)),
        Stored::Refused(nack) => Err(SendError::Refused { code: nack.code, reason: nack.reason.clone() }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(send_no: u64, len: usize) -> OutboxItem {
        OutboxItem { send_no, content: vec![0; len].into(), ..Default::default() }
    }

    #[test]
    fn an_outbox_is_full_by_messages_or_by_bytes_until_one_is_answered() {
        let mut many = Outbox::new((1..MAX_ITEMS as u64).map(|send_no| item(send_no, 1)).collect());
        assert!(many.check(1, 0).is_ok());
        assert!(many.check(1, 1).is_err(), "an answer that nobody has taken counts");
        many.insert(item(MAX_ITEMS as u64, 1));
        assert!(matches!(many.check(1, 0), Err(SendError::OutboxFull { queued: MAX_ITEMS })));
        assert!(many.remove(1).is_some() && many.check(1, 0).is_ok());

        let mut large = Outbox::new(vec![item(1, MAX_BYTES / 2), item(2, MAX_BYTES / 2)]);
        assert!(large.check(0, 0).is_ok() && large.check(1, 0).is_err());
        assert!(large.remove(2).is_some() && large.check(MAX_BYTES / 2, 0).is_ok());
    }
}
