//! The handle that pushes to one live device. The committer and the dispatcher put things in; the device's link takes
//! them out. One bounded queue, and a bell.

use std::{
    borrow::Cow,
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hongyan_proto::{CloseCode, canary, wire};

use crate::{base::rate::Bucket, ops::id::ChannelId};

/// Entries that may wait for a link. More, and the device reads them from the log instead.
const MAX_WAITING: u32 = 64;
/// Bytes of entries that may wait for a link.
const MAX_WAITING_BYTES: u32 = 32 * 1024;
/// Signals that one connection may send a second on average, and at once after a quiet time. More are dropped.
const SIGNALS_PER_SECOND: u32 = 10;
const SIGNALS_AT_ONCE: u32 = 20;
/// Signals are dropped where this many things wait.
const MAX_WAITING_SIGNALS: usize = 16;

/// The turn of the reader that a channel begins with.
pub const FIRST_TURN: u32 = 0;

/// What a channel carries to its link.
#[derive(Debug)]
pub enum Outbound {
    /// A live entry: the next one of the user's log.
    Entry {
        useq: u64,
        /// The number under which this device sent it itself, where it was answered apart from the channel; 0: it did not.
        own_send_no: u64,
        item: Bytes,
    },
    /// Something in a large group, numbered by its cseq alone.
    Passed {
        item: Bytes,
    },
    Acked(wire::SendAck),
    Refused(wire::SendNack),
    /// Rare, and large.
    Signal(Box<wire::Signal>),
    GoAway {
        deadline: Duration,
        spread: Duration,
    },
}

/// One live device of a user.
#[derive(Debug)]
pub struct Channel {
    pub id: ChannelId,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Outbound>,
    entries: u32,
    entry_bytes: u32,
    /// The newest entry of the user's log.
    head: u64,
    /// The device reads the log; live entries only move the head.
    lagging: bool,
    /// The device must hear how far its large groups have come: it has just logged in, or something was dropped.
    hints_due: bool,
    signals_sent: Bucket,
    /// The connection is to end, with this code and reason.
    close: Option<Box<(CloseCode, Cow<'static, str>)>>,
    /// Something was put in since the link looked.
    rung: bool,
    /// The reader that waits for the bell, and how many have had it before.
    reader: Option<Waker>,
    turn: u32,
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
                queue.entries += 1;
                queue.entry_bytes += item.len() as u32;
                queue.waiting.push_back(Outbound::Entry { useq, own_send_no, item: item.clone() });
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
            queue.hints_due = !canary::is("hints-forgotten");
        } else {
            queue.entries += 1;
            queue.entry_bytes += item.len() as u32;
            queue.waiting.push_back(Outbound::Passed { item: item.clone() });
        }
        queue.ring();
    }

    /// The device is to hear how far its large groups have come.
    pub fn owe_hints(&self) {
        let mut queue = self.lock();
        queue.hints_due = true;
        queue.ring();
    }

    /// Whether the device is to hear how far its large groups have come, once.
    pub fn take_hints_due(&self) -> bool {
        std::mem::take(&mut self.lock().hints_due)
    }

    /// Answers a SEND. The answer also stands for the device's own entry, so it moves the head.
    pub fn answer(&self, answer: Outbound) {
        let mut queue = self.lock();
        if let Outbound::Acked(ack) = &answer {
            queue.head = queue.head.max(ack.useq);
        }
        queue.waiting.push_back(answer);
        queue.ring();
    }

    /// Whether the device may send another signal now.
    pub fn may_signal(&self, now: Instant) -> bool {
        self.lock().signals_sent.take(SIGNALS_PER_SECOND, SIGNALS_AT_ONCE, now).is_ok()
    }

    /// Passes a signal on, if nothing of more weight waits; otherwise it is dropped, and this is false.
    pub fn signal(&self, signal: wire::Signal) -> bool {
        let mut queue = self.lock();
        let has_room = queue.waiting.len() < MAX_WAITING_SIGNALS;
        if has_room {
            queue.waiting.push_back(Outbound::Signal(signal.into()));
            queue.ring();
        }
        has_room
    }

    pub fn go_away(&self, deadline: Duration, spread: Duration) {
        let mut queue = self.lock();
        queue.waiting.push_back(Outbound::GoAway { deadline, spread });
        queue.ring();
    }

    /// Ends the connection. What still waits is in the log.
    pub fn close(&self, code: CloseCode, reason: impl Into<Cow<'static, str>>) {
        let mut queue = self.lock();
        queue.close.get_or_insert_with(|| Box::new((code, reason.into())));
        queue.ring();
    }

    /// Whether and why the connection is to end. It stands outside the queue, so that a device that does not read is
    /// cut off as soon as any other.
    pub fn take_close(&self) -> Option<(CloseCode, Cow<'static, str>)> {
        self.lock().close.take().map(|close| *close)
    }

    /// A new reader takes the bell over. The one before is woken, and cannot take it back. The first one has [`FIRST_TURN`].
    pub fn attach(&self) -> u32 {
        let mut queue = self.lock();
        queue.turn += 1;
        queue.rung = true;
        let (turn, before) = (queue.turn, queue.reader.take());
        drop(queue);
        before.into_iter().for_each(Waker::wake);
        turn
    }

    /// Whether another reader has taken the bell over since.
    pub fn is_superseded(&self, turn: u32) -> bool {
        self.lock().turn != turn
    }

    /// Ready when something has been put in since the last time, or the bell is another reader's.
    pub fn poll_rung(&self, turn: u32, context: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.lock();
        if queue.turn != turn || std::mem::take(&mut queue.rung) {
            return Poll::Ready(());
        }
        if !queue.reader.as_ref().is_some_and(|reader| reader.will_wake(context.waker())) {
            queue.reader = Some(context.waker().clone());
        }
        Poll::Pending
    }

    /// The next thing, if it is an entry.
    pub fn take_entry(&self) -> Option<Outbound> {
        let mut queue = self.lock();
        match queue.waiting.front()? {
            Outbound::Entry { .. } => queue.take(0),
            _ => None,
        }
    }

    /// The next thing to write; an entry only if there is room for one in the device's window. Answers to SENDs do not wait
    /// for that behind entries.
    pub fn take(&self, room_for_entry: bool) -> Option<Outbound> {
        let mut queue = self.lock();
        match queue.waiting.front()? {
            Outbound::Entry { .. } if !room_for_entry => {
                let is_answer = |waiting: &Outbound| matches!(waiting, Outbound::Acked(_) | Outbound::Refused(_));
                let answer = queue.waiting.iter().position(is_answer)?;
                queue.take(answer)
            }
            _ => queue.take(0),
        }
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

    /// The device has to read the log: drops the entries that wait.
    pub fn fall_behind(&self) {
        self.lock().lag();
    }

    /// The device has been pushed everything up to `pushed`. True if that is the head: from now on entries come live.
    pub fn catch_up(&self, pushed: u64) -> bool {
        let mut queue = self.lock();
        queue.lagging = pushed < queue.head && !canary::is("caught-up-too-soon");
        !queue.lagging
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing between lock and unlock can panic half-way through a change.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn ring(&mut self) {
        if !std::mem::replace(&mut self.rung, true)
            && !canary::is("nobody-rings")
            && let Some(reader) = &self.reader
        {
            reader.wake_by_ref();
        }
    }

    fn take(&mut self, index: usize) -> Option<Outbound> {
        let next = self.waiting.remove(index)?;
        if let Outbound::Entry { item, .. } | Outbound::Passed { item } = &next {
            self.entries -= 1;
            self.entry_bytes -= item.len() as u32;
        }
        if self.waiting.is_empty() && self.waiting.capacity() > 16 {
            self.waiting = VecDeque::new();
        }
        Some(next)
    }

    fn is_full_for(&self, item: &Bytes) -> bool {
        self.entries >= MAX_WAITING || self.entry_bytes + item.len() as u32 > MAX_WAITING_BYTES
    }

    fn lag(&mut self) {
        self.lagging = true;
        if self.entries == 0 {
            return;
        }
        let (mut entries, mut entry_bytes) = (0, 0);
        self.waiting.retain(|outbound| match outbound {
            Outbound::Entry { .. } => false,
            Outbound::Passed { item } => {
                entries += 1;
                entry_bytes += item.len() as u32;
                true
            }
            _ => true,
        });
        (self.entries, self.entry_bytes) = (entries, entry_bytes);
    }
}

#[cfg(test)]
mod tests;
