//! The handle that pushes to one live device. The committer and the dispatcher put things in; the device's reader takes
//! them out. One bounded queue, and a bell.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hongyan_proto::{CloseCode, canary, wire};

use super::queue::{Glance, Hints, Look, Outbound, Parting, Queue};
use crate::ops::id::ChannelId;

/// Signals that one connection may send a second on average, and at once after a quiet time. More are dropped.
const SIGNALS_PER_SECOND: u32 = 10;
const SIGNALS_AT_ONCE: u32 = 20;
/// Signals are dropped where this many things wait.
const MAX_WAITING_SIGNALS: usize = 16;

/// One live device of a user.
#[derive(Debug)]
pub struct Channel {
    pub id: ChannelId,
    queue: Mutex<Queue>,
}

impl Channel {
    /// A channel begins lagging: first the device reads what it missed.
    pub fn new(id: ChannelId, head: u64) -> Arc<Self> {
        let queue = Queue { head, lagging: true, ..Queue::default() };
        Arc::new(Self { id, queue: Mutex::new(queue) })
    }

    /// Offers the newest entry of the log. Never blocks and never grows beyond its bound: a device that does not keep up
    /// finds the entry in the log.
    pub fn offer(&self, useq: u64, own_send_no: u64, item: &Bytes) {
        let mut queue = self.lock();
        queue.head = useq;
        if !queue.lagging {
            if queue.is_full_for(item) && !canary::is("queue-without-bound") {
                queue.lag();
            } else {
                queue.put(Outbound::Entry { useq, own_send_no, item: item.clone() });
            }
        }
        queue.ring();
    }

    /// The newest entry of the log is one that is read from there.
    pub fn refer(&self, useq: u64) {
        let mut queue = self.lock();
        queue.head = useq;
        queue.lag();
        queue.ring();
    }

    /// Passes on what was written in a large group. What does not fit is dropped; the device hears how far the group
    /// has come, and fetches it.
    pub fn pass(&self, item: &Bytes) {
        let mut queue = self.lock();
        if queue.is_full_for(item) {
            if !canary::is("hints-forgotten") {
                queue.hints = Hints::Due;
            }
        } else {
            queue.put(Outbound::Passed { item: item.clone() });
        }
        queue.ring();
    }

    /// The device is to hear how far its large groups have come.
    pub fn owe_hints(&self) {
        let mut queue = self.lock();
        queue.hints = Hints::Due;
        queue.ring();
    }

    /// Answers a SEND. The answer also stands for the device's own entry, so it moves the head.
    pub fn answer(&self, answer: Outbound) {
        let mut queue = self.lock();
        if let Outbound::Acked(ack) = &answer {
            queue.head = queue.head.max(ack.useq);
        }
        queue.put(answer);
        queue.ring();
    }

    /// Whether the device may send another signal now.
    pub fn may_signal(&self, now: Instant) -> bool {
        self.lock().rare_mut().signals_sent.take(SIGNALS_PER_SECOND, SIGNALS_AT_ONCE, now).is_ok()
    }

    /// Passes a signal on, if nothing of more weight waits; otherwise it is dropped, and this is false.
    pub fn signal(&self, signal: wire::Signal) -> bool {
        let mut queue = self.lock();
        let has_room = queue.waiting.len() < MAX_WAITING_SIGNALS;
        if has_room {
            queue.put(Outbound::Signal(signal.into()));
            queue.ring();
        }
        has_room
    }

    pub fn go_away(&self, until: Instant, spread: Duration) {
        let mut queue = self.lock();
        queue.rare_mut().parting.get_or_insert(Parting::GoAway { until, spread });
        queue.ring();
    }

    /// Ends the connection, for the first reason that is given. What still waits is in the log.
    pub fn close(&self, code: CloseCode, reason: impl Into<Cow<'static, str>>) {
        let mut queue = self.lock();
        if !matches!(queue.parting(), Some(Parting::End { .. })) {
            queue.rare_mut().parting = Some(Parting::End { code, reason: reason.into() });
        }
        queue.ring();
    }

    /// Whether and why the connection is to end.
    pub fn end(&self) -> Option<(CloseCode, Cow<'static, str>)> {
        match self.lock().parting() {
            Some(Parting::End { code, reason }) => Some((*code, reason.clone())),
            _ => None,
        }
    }

    /// A new reader takes the channel over; gives its turn. The one before is woken, and gets nothing any more. What that one
    /// was told and has no number may not have arrived, unless this is shown by naming its turn.
    pub fn attach(&self, proof: Option<u32>) -> u32 {
        let mut queue = self.lock();
        if queue.hints == Hints::Told {
            let is_proved = proof == Some(queue.turn);
            queue.hints = if is_proved || canary::is("told-is-known") { Hints::Settled } else { Hints::Due };
        }
        queue.turn += 1;
        let (turn, before) = (queue.turn, queue.reader.take());
        drop(queue);
        before.into_iter().for_each(Waker::wake);
        turn
    }

    /// What comes next for a reader. Where it is in the log, or nothing, the waker is kept for what is put in later.
    pub fn look(&self, glance: Glance, waker: &Waker) -> Look {
        let mut queue = self.lock();
        if queue.turn != glance.turn {
            return Look::Superseded;
        }
        // Before all that waits, so that a device that does not read is cut off as soon as any other.
        if let Some(end @ Parting::End { .. }) = queue.parting() {
            return Look::Parting(end.clone());
        }
        if let Some(next) = queue.next_for(glance) {
            return Look::Take(next);
        }
        queue.listen(waker);
        queue.due(glance)
    }

    /// The newest entry of the user's log.
    pub fn head(&self) -> u64 {
        self.lock().head
    }

    /// Entries and everything that wait, for tests of the bounds.
    #[cfg(test)]
    pub fn waiting(&self) -> (usize, usize) {
        let queue = self.lock();
        (queue.entries as usize, queue.waiting.len())
    }

    pub fn is_lagging(&self) -> bool {
        self.lock().lagging
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing between lock and unlock can panic half-way through a change.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
