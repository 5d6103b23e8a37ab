//! Where this device is in its user's log: which entries are new, when to ack, when to ask again.

use std::time::{Duration, Instant};

/// Unacked entries that make an ack leave at once.
pub const ACK_EVERY: u64 = 16;
/// Under steady traffic an ack leaves this long after the one before.
pub const ACK_DELAY: Duration = Duration::from_millis(200);
/// How long an entry that jumps ahead may wait for the missing ones before they are asked for.
pub const GAP_DELAY: Duration = Duration::from_millis(200);

/// The receiving side of a client connection.
#[derive(Debug)]
pub struct Incoming {
    /// Every entry up to this one has been handed to the driver.
    applied: u64,
    /// The driver has stored every entry up to this one.
    stored: u64,
    acked: u64,
    last_ack_at: Instant,
    /// A repeated entry was seen: the server has not heard the last ack.
    repeat_ack: bool,
    gap_since: Option<Instant>,
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
        Self { applied: cursor, stored: cursor, acked: cursor, last_ack_at, repeat_ack: false, gap_since: None }
    }

    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// An entry has come.
    pub fn on_entry(&mut self, useq: u64, now: Instant) -> Verdict {
        if useq <= self.applied {
            self.repeat_ack = true;
            return Verdict::Drop;
        }
        if useq > self.applied.saturating_add(1) {
            self.gap_since.get_or_insert(now);
            return Verdict::Hold;
        }
        self.applied = useq;
        self.gap_since = None;
        Verdict::Apply
    }

    /// A SEND_ACK stands for the device's own entry. While the device catches up it may be far ahead of the pushes;
    /// the log then brings the entry again, in its turn.
    pub fn on_own_entry(&mut self, useq: u64) {
        if useq == self.applied.saturating_add(1) {
            self.applied = useq;
            self.gap_since = None;
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
        debug_assert!(useq <= self.applied, "stored more than was handed over");
        self.stored = self.stored.max(useq);
    }

    /// The ack to send along with any frame that leaves anyway: 0 if there is nothing to say.
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

    /// The first ack after a quiet time leaves at once, so that a delivery is known at once.
    fn ack_time(&self) -> Option<Instant> {
        (self.stored > self.acked || self.repeat_ack).then(|| self.last_ack_at + ACK_DELAY)
    }

    /// The entry to ask for again from, once a gap has stayed open for too long.
    pub fn take_sync(&mut self, now: Instant) -> Option<u64> {
        if self.gap_since? + GAP_DELAY > now {
            return None;
        }
        self.gap_since = Some(now);
        Some(self.applied)
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let gap = self.gap_since.map(|since| since + GAP_DELAY);
        self.ack_time().into_iter().chain(gap).min()
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
        assert_eq!(incoming.take_sync(now + GAP_DELAY), None, "not again before another delay");
        assert_eq!(incoming.on_entry(5, now), Verdict::Apply);
        assert_eq!(incoming.take_sync(now + GAP_DELAY * 9), None, "the gap is closed");
        incoming.on_own_entry(6);
        incoming.on_own_entry(9);
        assert_eq!(incoming.applied(), 6);
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
