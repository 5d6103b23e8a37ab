//! Where this device is in its user's log: which entries are new, when to ack, when to ask again.

use std::time::{Duration, Instant};

use crate::{canary, heartbeat::ACK_EVERY};

/// Under steady traffic an ack leaves this long after the one before.
pub const ACK_DELAY: Duration = Duration::from_millis(200);
/// How long an entry that jumps ahead may wait for the missing ones before they are asked for. Doubles with every
/// request that brings nothing: on a slow link the answer may still be on its way.
pub const GAP_DELAY: Duration = Duration::from_millis(200);
/// How often [`GAP_DELAY`] doubles at most.
const MAX_DOUBLINGS: u32 = 8;

/// The receiving side of a client connection.
#[derive(Debug)]
pub struct Incoming {
    /// Every entry up to this one has been handed to the driver.
    applied: u64,
    /// The driver has stored every entry up to this one.
    stored: u64,
    acked: u64,
    /// The newest entry that came as a PUSH. The device's own messages alone call for no ack before [`ACK_EVERY`].
    pushed: u64,
    last_ack_at: Instant,
    /// A repeated entry was seen: the server has not heard the last ack.
    repeat_ack: bool,
    gap_since: Option<Instant>,
    /// How often the entries after `applied` have been asked for.
    syncs: u32,
}

/// What to do with an entry.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Apply,
    /// Seen before.
    Drop,
    /// Some entry before it is missing: drop it, it will come again.
    Hold,
}

impl Incoming {
    /// Nothing has been acked on this connection for as long as an ack could have to wait.
    pub fn new(cursor: u64, now: Instant) -> Self {
        let last_ack_at = now.checked_sub(ACK_DELAY).unwrap_or(now);
        Self {
            applied: cursor,
            stored: cursor,
            acked: cursor,
            pushed: cursor,
            last_ack_at,
            repeat_ack: false,
            gap_since: None,
            syncs: 0,
        }
    }

    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// An entry has come.
    pub fn on_entry(&mut self, useq: u64, now: Instant) -> Verdict {
        if useq <= self.applied {
            self.repeat_ack = true;
            if canary::is("device-shows-twice") {
                return Verdict::Apply;
            }
            return Verdict::Drop;
        }
        if useq - 1 > self.applied {
            self.gap_since.get_or_insert(now);
            return Verdict::Hold;
        }
        self.apply(useq);
        self.pushed = useq;
        Verdict::Apply
    }

    fn apply(&mut self, useq: u64) {
        self.applied = useq;
        self.gap_since = None;
        self.syncs = 0;
    }

    /// A SEND_ACK stands for the device's own entry. While the device catches up it may be far ahead of the pushes;
    /// the log then brings the entry again, in its turn.
    pub fn on_own_entry(&mut self, useq: u64) {
        if useq.checked_sub(1) == Some(self.applied) {
            self.apply(useq);
        }
    }

    /// The log ends at `head`, says a PONG, and pushes come before it.
    pub fn on_head(&mut self, head: u64, now: Instant) {
        if head > self.applied {
            self.gap_since.get_or_insert(now);
        }
    }

    pub fn on_reset(&mut self, head: u64, now: Instant) {
        *self = Self::new(head, now);
    }

    /// The driver has stored every entry up to `useq`.
    pub fn on_stored(&mut self, useq: u64) {
        // A reset may have come between the entries and the news that they are stored.
        let useq = if canary::is("device-acks-unstored") { self.applied } else { useq };
        self.stored = self.stored.max(useq.min(self.applied));
    }

    /// The ack to send now: 0 if there is nothing to say.
    pub fn take_ack(&mut self, now: Instant) -> u64 {
        if self.stored == self.acked && !self.repeat_ack {
            return 0;
        }
        self.acked = self.stored;
        self.repeat_ack = false;
        self.last_ack_at = now;
        self.stored
    }

    /// Whether an ack must leave now.
    pub fn is_ack_due(&self, now: Instant) -> bool {
        self.stored - self.acked >= ACK_EVERY || self.ack_time().is_some_and(|due| due <= now)
    }

    /// Whether an ack should leave along with any other frame.
    pub fn owes_ack(&self) -> bool {
        self.stored.min(self.pushed) > self.acked || self.repeat_ack
    }

    /// The first ack after a quiet time leaves at once, so that a delivery is known at once.
    fn ack_time(&self) -> Option<Instant> {
        self.owes_ack().then(|| self.last_ack_at + ACK_DELAY)
    }

    /// The entry to ask for again from, once a gap has stayed open for too long.
    pub fn take_sync(&mut self, now: Instant) -> Option<u64> {
        if self.sync_time()? > now {
            return None;
        }
        self.gap_since = Some(now);
        self.syncs += 1;
        Some(self.applied)
    }

    fn sync_time(&self) -> Option<Instant> {
        self.gap_since.map(|since| since + GAP_DELAY * (1 << self.syncs.min(MAX_DOUBLINGS)))
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.ack_time().into_iter().chain(self.sync_time()).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_applied_once_and_in_order() {
        let now = Instant::now();
        let mut incoming = Incoming::new(4, now);
        assert_eq!(incoming.on_entry(4, now), Verdict::Drop);
        assert_eq!(incoming.on_entry(6, now), Verdict::Hold);
        assert_eq!(incoming.take_sync(now), None);
        assert_eq!(incoming.take_sync(now + GAP_DELAY), Some(4));
        assert_eq!(incoming.take_sync(now + GAP_DELAY * 2), None, "not again before twice the delay");
        assert_eq!(incoming.take_sync(now + GAP_DELAY * 3), Some(4));
        assert_eq!(incoming.on_entry(5, now), Verdict::Apply);
        assert_eq!(incoming.take_sync(now + GAP_DELAY * 9), None, "the gap is closed");
        incoming.on_own_entry(6);
        incoming.on_own_entry(9);
        assert_eq!(incoming.applied(), 6);
    }

    #[test]
    fn own_messages_alone_wait_for_company() {
        let now = Instant::now();
        let mut incoming = Incoming::new(0, now);
        (1..ACK_EVERY).for_each(|useq| incoming.on_own_entry(useq));
        incoming.on_stored(ACK_EVERY - 1);
        assert_eq!((incoming.is_ack_due(now), incoming.poll_timeout()), (false, None));
        incoming.on_own_entry(ACK_EVERY);
        incoming.on_stored(u64::MAX);
        assert!(incoming.is_ack_due(now));
        assert_eq!(incoming.take_ack(now), ACK_EVERY, "never more than was handed over");
    }

    #[test]
    fn the_first_ack_leaves_at_once_and_the_next_ones_wait() {
        let now = Instant::now();
        let mut incoming = Incoming::new(0, now);
        assert!(!incoming.is_ack_due(now));
        incoming.on_entry(1, now);
        assert!(!incoming.is_ack_due(now), "not stored yet");
        incoming.on_stored(1);
        assert!(incoming.is_ack_due(now));
        assert_eq!(incoming.take_ack(now), 1);
        assert_eq!(incoming.take_ack(now), 0);
        incoming.on_entry(2, now);
        incoming.on_stored(2);
        assert!(!incoming.is_ack_due(now));
        assert!(incoming.is_ack_due(now + ACK_DELAY));
        (3..=17).for_each(|useq| assert_eq!(incoming.on_entry(useq, now), Verdict::Apply));
        incoming.on_stored(17);
        assert!(incoming.is_ack_due(now), "16 are waiting");
        assert_eq!(incoming.take_ack(now), 17);
        incoming.on_entry(17, now);
        assert_eq!(incoming.take_ack(now), 17, "a repeated entry is acked again");
    }
}
