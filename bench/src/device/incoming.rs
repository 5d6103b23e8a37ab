//! Where a device is in its user's log: the same rules as `hongyan_proto::client`, on plain nanoseconds.

use hongyan_proto::client::{ACK_DELAY, ACK_EVERY, GAP_DELAY};

/// The pause between two acks under steady traffic, in nanoseconds.
const ACK_PAUSE: u64 = ACK_DELAY.as_nanos() as u64;
/// How often the wait before the next SYNC_REQ doubles at most.
const MAX_DOUBLINGS: u32 = 8;

#[derive(Default)]
pub struct Incoming {
    applied: u64,
    acked: u64,
    /// The newest entry that came as a PUSH; the device's own messages alone call for no ack before [`ACK_EVERY`].
    pushed: u64,
    /// No ack is due before this moment, unless many wait.
    next_ack: u64,
    repeat_ack: bool,
    gap_since: Option<u64>,
    syncs: u32,
}

impl Incoming {
    /// Everything up to `cursor` is here.
    pub fn at(cursor: u64, now: u64) -> Self {
        Self { applied: cursor, acked: cursor, pushed: cursor, next_ack: now, ..Self::default() }
    }

    pub fn applied(&self) -> u64 {
        self.applied
    }

    pub fn has_acked_all(&self) -> bool {
        self.acked == self.applied
    }

    /// True: the entry is the next one. Otherwise it was seen before, or will come again in its turn.
    pub fn on_entry(&mut self, useq: u64, now: u64) -> bool {
        if useq == self.applied + 1 {
            self.apply(useq);
            self.pushed = useq;
            return true;
        }
        if useq <= self.applied {
            self.repeat_ack = true;
        } else {
            self.gap_since.get_or_insert(now);
        }
        false
    }

    /// A SEND_ACK stands for the device's own entry.
    pub fn on_own_entry(&mut self, useq: u64) {
        if useq == self.applied + 1 {
            self.apply(useq);
        }
    }

    fn apply(&mut self, useq: u64) {
        self.applied = useq;
        self.gap_since = None;
        self.syncs = 0;
    }

    /// The log ends at `head`, says a PONG, and pushes come before it.
    pub fn on_head(&mut self, head: u64, now: u64) {
        if head > self.applied {
            self.gap_since.get_or_insert(now);
        }
    }

    /// The number to ack now; 0: nothing new.
    pub fn take_ack(&mut self, now: u64) -> u64 {
        if self.applied == self.acked && !self.repeat_ack {
            return 0;
        }
        self.acked = self.applied;
        self.repeat_ack = false;
        self.next_ack = now + ACK_PAUSE;
        self.applied
    }

    pub fn is_ack_due(&self, now: u64) -> bool {
        self.applied - self.acked >= ACK_EVERY || self.ack_time().is_some_and(|due| due <= now)
    }

    fn ack_time(&self) -> Option<u64> {
        (self.pushed > self.acked || self.repeat_ack).then_some(self.next_ack)
    }

    /// The entry to ask for again from, once a gap has stayed open for too long.
    pub fn take_sync(&mut self, now: u64) -> Option<u64> {
        if self.sync_time()? > now {
            return None;
        }
        self.gap_since = Some(now);
        self.syncs += 1;
        Some(self.applied)
    }

    fn sync_time(&self) -> Option<u64> {
        self.gap_since.map(|since| since + (GAP_DELAY.as_nanos() as u64) * (1 << self.syncs.min(MAX_DOUBLINGS)))
    }

    pub fn poll_timeout(&self) -> Option<u64> {
        self.ack_time().into_iter().chain(self.sync_time()).min()
    }
}
