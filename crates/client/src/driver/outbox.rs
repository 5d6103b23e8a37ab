//! The outbox: messages without an answer, and who waits for it. The store has the same items; these are at hand.
//!
//! An item has two numbers: the one on the wire, which the server wants to be dense within a device epoch, and the one
//! that callers know, which outlives the epoch. Both rise in the order of the messages.

use std::collections::{BTreeMap, HashMap, HashSet};

use hongyan_proto::Uid;
use tokio::sync::oneshot;

use super::queue::sent;
use crate::{
    SendError,
    client::Outcome,
    store::{Answer, OutboxItem, Outcome as Stored},
};

/// Most messages without an answer.
const MAX_ITEMS: usize = 10_000;
/// Most bytes of content without an answer.
const MAX_BYTES: usize = 32 << 20;

#[derive(Default)]
pub(crate) struct Outbox {
    /// By number on the wire.
    items: BTreeMap<u64, OutboxItem>,
    /// The numbers that callers know.
    known: HashSet<u64>,
    bytes: usize,
    waiters: HashMap<u64, Vec<oneshot::Sender<Outcome>>>,
}

impl Outbox {
    pub fn new(items: Vec<OutboxItem>) -> Self {
        let mut outbox = Self::default();
        for mut item in items {
            if item.wire_no == 0 {
                item.wire_no = item.send_no;
            }
            outbox.insert(item);
        }
        outbox
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
        self.known.insert(item.send_no);
        self.items.insert(item.wire_no, item);
    }

    /// The item with this number on the wire has got its final answer. None: it had one before.
    pub fn remove(&mut self, wire_no: u64) -> Option<OutboxItem> {
        let item = self.items.remove(&wire_no)?;
        self.known.remove(&item.send_no);
        self.bytes -= item.content.len();
        Some(item)
    }

    /// The item with this number on the wire.
    pub fn find(&self, wire_no: u64) -> Option<&OutboxItem> {
        self.items.get(&wire_no)
    }

    /// Whether the message that callers know by this number has no answer yet.
    pub fn is_unanswered(&self, send_no: u64) -> bool {
        self.known.contains(&send_no)
    }

    /// The oldest number on the wire without an answer.
    pub fn first(&self) -> Option<u64> {
        self.items.first_key_value().map(|(wire_no, _)| *wire_no)
    }

    /// Gives every item another number on the wire, from 1 without holes; returns them all.
    pub fn renumber(&mut self) -> Vec<OutboxItem> {
        let items = std::mem::take(&mut self.items).into_values();
        self.items = (1..).zip(items).map(|(wire_no, item)| (wire_no, OutboxItem { wire_no, ..item })).collect();
        self.items.values().cloned().collect()
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

/// A stored answer as the caller sees it. None: one that no version has written.
pub(crate) fn outcome(answer: &Answer) -> Option<Outcome> {
    let conversation = Uid::new(&answer.to).ok()?;
    Some(match answer.outcome.as_ref()? {
        Stored::Sent(ack) => Ok(sent(conversation, *ack)),
        Stored::Refused(nack) => Err(SendError::Refused { code: nack.code, reason: nack.reason.clone() }),
    })
}
