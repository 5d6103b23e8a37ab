//! The events between the store and the application: numbered when they are kept, given out in order.

use std::{collections::VecDeque, sync::Arc};

use hongyan_proto::{Uid, wire::entry::Item};
use prost::Message as _;
use tokio::sync::mpsc;

use crate::{
    Event, Sent,
    event::{Numbered, message},
    store::{Change, Outcome, ShownMark, StoredEvent, stored_event::Kind},
};

/// Events that may wait before entries are held back.
const MAX_WAITING: usize = 256;
/// Their bytes, roughly.
const MAX_WAITING_BYTES: usize = 1 << 20;
/// Events that lie ready for the application, beyond those that wait.
pub(crate) const READY: usize = 16;

pub(crate) struct Queue {
    sender: mpsc::Sender<Numbered>,
    mark: Arc<dyn ShownMark>,
    waiting: VecDeque<(Numbered, usize)>,
    /// Events and bytes of `waiting` and of the round that is not committed yet.
    count: usize,
    bytes: usize,
    last: u64,
}

impl Queue {
    pub fn new(sender: mpsc::Sender<Numbered>, mark: Arc<dyn ShownMark>, last: u64) -> Self {
        Self { sender, mark, waiting: VecDeque::new(), count: 0, bytes: 0, last }
    }

    /// Whether the application is so far behind that entries are to be held back.
    pub fn is_full(&self) -> bool {
        self.count >= MAX_WAITING || self.bytes >= MAX_WAITING_BYTES
    }

    /// Events that the application has not taken.
    pub fn unread(&self) -> usize {
        self.count
    }

    /// Whether the application has dropped its end.
    pub fn is_abandoned(&self) -> bool {
        self.sender.is_closed()
    }

    /// The newest event that the application has handled.
    pub fn shown(&self) -> u64 {
        self.mark.read()
    }

    /// Numbers an event that is to be kept, as part of `change`. [`Self::give`] it once that is committed.
    pub fn keep(&mut self, uid: &Uid, stored: StoredEvent, change: &mut Change) -> Option<(Numbered, usize)> {
        let event = to_event(uid, stored.clone())?;
        self.last += 1;
        let size = self.reserve(&stored);
        change.events.push((self.last, stored));
        Some((Numbered { number: self.last, event }, size))
    }

    /// An event that is not kept; None if too many wait.
    pub fn passing(&mut self, event: Event) -> Option<(Numbered, usize)> {
        if self.count >= MAX_WAITING + 64 {
            return None;
        }
        self.count += 1;
        Some((Numbered { number: 0, event }, 0))
    }

    /// An event that was kept by an earlier run, and not shown.
    pub fn restore(&mut self, uid: &Uid, number: u64, stored: StoredEvent) {
        let size = self.reserve(&stored);
        match to_event(uid, stored) {
            Some(event) => self.waiting.push_back((Numbered { number, event }, size)),
            None => self.release(size),
        }
    }

    fn reserve(&mut self, stored: &StoredEvent) -> usize {
        let size = stored.encoded_len();
        self.count += 1;
        self.bytes += size;
        size
    }

    fn release(&mut self, size: usize) {
        self.count -= 1;
        self.bytes -= size;
    }

    /// Everything of it is committed: it may be shown.
    pub fn give(&mut self, events: Vec<(Numbered, usize)>) {
        self.waiting.extend(events);
        while !self.waiting.is_empty() {
            match self.sender.clone().try_reserve_owned() {
                Ok(permit) => self.pop().map(|event| permit.send(event)),
                Err(_) => break,
            };
        }
    }

    fn pop(&mut self) -> Option<Numbered> {
        let (event, size) = self.waiting.pop_front()?;
        self.release(size);
        Some(event)
    }

    /// Hands one event over as soon as there is room; never returns when there is none to hand over.
    pub async fn progress(&mut self) {
        if self.waiting.is_empty() || self.sender.is_closed() {
            return std::future::pending().await;
        }
        if let Ok(permit) = self.sender.clone().reserve_owned().await
            && let Some(event) = self.pop()
        {
            permit.send(event);
        }
    }

    /// Hands over everything and then `last`, for as long as the application listens.
    pub async fn finish(mut self, last: Event) {
        while let Some(event) = self.pop() {
            if self.sender.send(event).await.is_err() {
                return;
            }
        }
        let _ = self.sender.send(Numbered { number: 0, event: last }).await;
    }
}

/// None: an entry that holds nothing an application is told of.
fn to_event(uid: &Uid, stored: StoredEvent) -> Option<Event> {
    match stored.kind? {
        Kind::Entry(entry) => match &entry.item {
            Some(Item::Receipt(receipt)) => {
                let conversation = Uid::new(&receipt.conversation).ok()?;
                Some(Event::Delivered { conversation, up_to_cseq: receipt.delivered_cseq })
            }
            _ => message(uid, entry.useq, entry).map(Event::Message),
        },
        Kind::Answer(answer) => {
            let conversation = Uid::new(&answer.to).ok()?;
            Some(match answer.outcome? {
                Outcome::Sent(ack) => Event::Sent(sent(conversation, ack)),
                Outcome::Refused(nack) => {
                    Event::Refused { send_no: nack.send_no, conversation, code: nack.code, reason: nack.reason }
                }
            })
        }
        Kind::Reset(_) => Some(Event::Reset),
    }
}

pub(crate) fn sent(conversation: Uid, ack: hongyan_proto::wire::SendAck) -> Sent {
    Sent { send_no: ack.send_no, conversation, cseq: ack.cseq, useq: ack.useq, time_ms: ack.time_ms }
}
