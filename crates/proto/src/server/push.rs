//! What has been pushed to a device and what it has acked: the window, the probe, the retransmission.
//!
//! Only numbers are kept. Whatever has to be pushed again is read again from the user's log.
//!
//! ```text
//!             every entry is in the log            the log is read up to its head
//!   Live ────────────────────────────▶ Lagging ────────────────────────────▶ Live
//!      window overrun, SYNC_REQ, ack overdue        set_lagging(false)
//! ```

use std::time::{Duration, Instant};

use crate::{
    canary,
    heartbeat::{ACK_EVERY, millis},
};

/// How pushes are paced.
#[derive(Debug, Clone)]
pub struct PushSettings {
    /// Most entries pushed beyond the acked one.
    pub window_entries: u64,
    /// Most bytes pushed beyond the acked entry, roughly.
    pub window_bytes: u64,
    /// How long an entry may stay unacked before the device is probed. Doubles with every retransmission.
    pub ack_timeout: Duration,
    /// How often the unacked entries are pushed again before the connection is closed.
    pub retransmits: u8,
    /// How long a device may stay behind without any ack, however often it shows life.
    pub lagging_timeout: Duration,
}

impl Default for PushSettings {
    fn default() -> Self {
        Self {
            window_entries: 64,
            window_bytes: 256 * 1024,
            ack_timeout: Duration::from_secs(3),
            retransmits: 3,
            lagging_timeout: Duration::from_secs(300),
        }
    }
}

/// What an overdue ack calls for.
#[derive(Debug, PartialEq, Eq)]
pub enum Overdue {
    /// Ask with a PING whether the device has read what was pushed.
    Probe,
    /// The device is too slow: close.
    GiveUp,
}

/// The place of one device in its user's log, as this connection sees it. Every idle connection carries one, so its numbers
/// are no wider than they have to be.
#[derive(Debug)]
pub struct Push {
    /// The device has stored everything up to here.
    acked: u64,
    /// Everything up to here has been pushed.
    pushed: u64,
    /// The highest number ever pushed: acks up to here are legal, also after a rewind.
    high: u64,
    /// The newest number of the log that this connection has heard of.
    head: u64,
    /// So many entries behind the acked one call for an ack. The device's own messages, told by SEND_ACK, alone do not.
    owed: u32,
    bytes_in_flight: u32,
    lagging: bool,
    retransmits: u8,
    /// The newest PING is out to learn whether the device has read the pushes.
    probing: bool,
    /// PINGs without a PONG. An ack may overtake the PONG of an older one, which proves nothing about what came after.
    pings_out: u8,
    /// When the ack last moved, or the window last became non-empty. None: nothing is unacked.
    stuck_since: Option<Instant>,
    /// How long after that the unacked entries were last pushed again.
    pushed_again_after_ms: u32,
}

impl Push {
    /// A device that has stored everything up to `cursor` of a log that ends at `head`. It begins lagging: what it
    /// missed is read from the log by the same path that serves a slow device.
    pub fn new(cursor: u64, head: u64) -> Self {
        Self {
            acked: cursor,
            pushed: cursor,
            high: cursor,
            head,
            owed: 0,
            bytes_in_flight: 0,
            lagging: true,
            retransmits: 0,
            probing: false,
            pings_out: 0,
            stuck_since: None,
            pushed_again_after_ms: 0,
        }
    }

    pub fn acked(&self) -> u64 {
        self.acked
    }

    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    pub fn is_lagging(&self) -> bool {
        self.lagging
    }

    /// How many more entries may be pushed now.
    pub fn room(&self, settings: &PushSettings) -> u64 {
        if u64::from(self.bytes_in_flight) >= settings.window_bytes {
            return 0;
        }
        if canary::is("window-ignored") {
            return u64::MAX;
        }
        settings.window_entries.saturating_sub(self.pushed - self.acked)
    }

    /// The newest entry that precedes a PONG written now, or follows it at once: none if the device has acked it. While
    /// the device is behind that is what has been pushed, for to name more would make it ask for what the window holds back.
    pub fn unacked_head(&self) -> u64 {
        let head = if self.lagging { self.pushed } else { self.head };
        if head > self.acked { head } else { 0 }
    }

    /// The log has grown to `head`.
    pub fn on_head(&mut self, head: u64) {
        self.head = self.head.max(head);
    }

    /// Entry `useq` is on its way as a PUSH of `bytes`. False: it is not the next one, and the device will get it from
    /// the log.
    pub fn on_pushed(&mut self, useq: u64, bytes: usize, now: Instant) -> bool {
        let next = self.advance(useq);
        if next {
            self.bytes_in_flight = self.bytes_in_flight.saturating_add(saturated(bytes as u64));
            self.owe_ack(now);
        }
        next
    }

    /// Entry `useq` is the device's own message, and on its way within a SEND_ACK. The device acks it along with
    /// whatever it sends next, or when enough have come together.
    pub fn on_own(&mut self, useq: u64, now: Instant) {
        // While entries before it are pushed again, the device may have had them all.
        if useq.checked_sub(1) == Some(self.high) && !canary::is("own-message-behind-a-rewind") {
            self.high = useq;
        }
        if self.advance(useq) && self.pushed - self.acked >= ACK_EVERY {
            self.owe_ack(now);
        }
    }

    fn advance(&mut self, useq: u64) -> bool {
        self.on_head(useq);
        let jump = useq > self.pushed && canary::is("push-with-gaps");
        if useq.checked_sub(1) != Some(self.pushed) && !jump {
            // What lies between was not offered here: it is read from the log.
            self.lagging |= useq > self.pushed;
            return false;
        }
        self.pushed = useq;
        self.high = self.high.max(useq);
        true
    }

    fn owe_ack(&mut self, now: Instant) {
        self.owed = saturated(self.pushed - self.acked);
        self.stuck_since.get_or_insert(now);
    }

    /// The device has stored everything up to `useq`. Err: it cannot have, that was never pushed.
    pub fn on_ack(&mut self, useq: u64, now: Instant) -> Result<bool, ()> {
        if useq > self.high && !canary::is("ack-unchecked") {
            return Err(());
        }
        if useq <= self.acked {
            return Ok(false);
        }
        let in_flight = self.pushed.saturating_sub(self.acked);
        self.owed = self.owed.saturating_sub(saturated(useq - self.acked));
        self.acked = useq;
        self.pushed = self.pushed.max(useq);
        self.keep_bytes_of(self.pushed - useq, in_flight);
        self.retransmits = 0;
        self.probing = false;
        self.stuck_since = (self.owed > 0).then_some(now);
        self.pushed_again_after_ms = 0;
        Ok(true)
    }

    /// Pushes again from the entry after `after`, out of the log.
    pub fn rewind(&mut self, after: u64) {
        let in_flight = self.pushed - self.acked;
        self.pushed = after.clamp(self.acked, self.pushed);
        self.keep_bytes_of(self.pushed - self.acked, in_flight);
        self.lagging = true;
    }

    /// Entries are not remembered one by one, so the bytes are taken to be spread evenly over them.
    fn keep_bytes_of(&mut self, entries: u64, of: u64) {
        self.bytes_in_flight = saturated(u64::from(self.bytes_in_flight) * entries / of.max(1));
    }

    /// Whether the next entry has still to be read from the log. When all up to the head has been pushed, the live queue
    /// takes over.
    pub fn set_lagging(&mut self, lagging: bool) {
        self.lagging = lagging;
    }

    /// The log no longer holds what the device misses: it goes on from `head`.
    pub fn reset(&mut self, head: u64) {
        *self = Self { lagging: self.lagging, pings_out: self.pings_out, ..Self::new(head, head) };
    }

    /// A PONG has come: every push before the probe has been read. If none of it was acked in time, the unacked entries
    /// are pushed again. True: that has been tried often enough, close.
    pub fn on_pong(&mut self, settings: &PushSettings, now: Instant) -> bool {
        self.pings_out = self.pings_out.saturating_sub(1);
        if self.pings_out > 0 || !std::mem::take(&mut self.probing) || self.owed == 0 {
            return false;
        }
        if self.retransmits == settings.retransmits {
            return true;
        }
        self.retransmits += 1;
        let stuck = self.stuck_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.pushed_again_after_ms = millis(stuck);
        self.rewind(self.acked);
        false
    }

    /// When to look at the acks next.
    pub fn poll_timeout(&self, settings: &PushSettings) -> Option<Instant> {
        let since = self.stuck_since?;
        let stuck = since + settings.lagging_timeout;
        if self.probing {
            return Some(stuck);
        }
        let waiting_since = since + Duration::from_millis(self.pushed_again_after_ms.into());
        Some(stuck.min(waiting_since + settings.ack_timeout * (1 << self.retransmits.min(16))))
    }

    /// What is due at `now`, if anything.
    pub fn handle_timeout(&mut self, settings: &PushSettings, now: Instant) -> Option<Overdue> {
        if self.poll_timeout(settings)? > now {
            return None;
        }
        let stuck = self.stuck_since.is_some_and(|since| since + settings.lagging_timeout <= now);
        if stuck {
            return Some(Overdue::GiveUp);
        }
        self.probing = true;
        self.pings_out = self.pings_out.saturating_add(1);
        Some(Overdue::Probe)
    }
}

/// As 32 bits hold it; the windows keep it far below.
fn saturated(number: u64) -> u32 {
    number.try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> PushSettings {
        PushSettings { window_entries: 4, window_bytes: 100, ..PushSettings::default() }
    }

    #[test]
    fn the_window_counts_entries_and_bytes() {
        let (now, settings) = (Instant::now(), settings());
        let mut push = Push::new(10, 20);
        assert_eq!(push.room(&settings), 4);
        assert!(push.on_pushed(11, 30, now));
        push.set_lagging(false);
        assert!(!push.on_pushed(13, 30, now), "a jump is left to the log");
        assert!(push.is_lagging());
        assert!(push.on_pushed(12, 90, now));
        assert_eq!(push.room(&settings), 0, "the bytes are used up");
        assert_eq!(push.on_ack(11, now), Ok(true));
        assert_eq!(push.room(&settings), 3);
        assert_eq!(push.on_ack(11, now), Ok(false));
        assert_eq!(push.on_ack(13, now), Err(()), "13 was never pushed");
        assert_eq!((push.acked(), push.unacked_head()), (11, 12), "a lagging device is told what was pushed");
        push.set_lagging(false);
        assert_eq!(push.unacked_head(), 20);
    }

    #[test]
    fn own_messages_call_for_an_ack_only_when_many() {
        let (now, settings) = (Instant::now(), PushSettings::default());
        let mut push = Push::new(0, 0);
        (1..ACK_EVERY).for_each(|useq| push.on_own(useq, now));
        assert_eq!(push.poll_timeout(&settings), None);
        push.on_own(ACK_EVERY, now);
        assert_eq!(push.poll_timeout(&settings), Some(now + settings.ack_timeout));
        assert_eq!(push.on_ack(ACK_EVERY, now), Ok(true));
        push.on_own(ACK_EVERY + 1, now);
        assert_eq!(push.poll_timeout(&settings), None, "the next one may wait again");
    }

    #[test]
    fn an_own_message_behind_a_rewind_may_be_acked() {
        let now = Instant::now();
        let mut push = Push::new(0, 2);
        (1..=2).for_each(|useq| assert!(push.on_pushed(useq, 30, now)));
        push.rewind(0);
        push.on_own(3, now);
        assert_eq!(push.pushed(), 0, "all of it is pushed again");
        assert_eq!(push.on_ack(3, now), Ok(true), "but the device had 1 and 2, and 3 came as SEND_ACK");
        push.on_own(5, now);
        assert_eq!(push.on_ack(5, now), Err(()), "4 was never pushed");
    }

    #[test]
    fn a_rewind_keeps_the_bytes_that_stay_in_flight() {
        let (now, settings) = (Instant::now(), settings());
        let mut push = Push::new(0, 4);
        (1..=4).for_each(|useq| assert!(push.on_pushed(useq, 30, now)));
        push.rewind(2);
        assert_eq!((push.pushed(), push.room(&settings), push.bytes_in_flight), (2, 2, 60));
        push.rewind(u64::MAX);
        assert_eq!(push.pushed(), 2, "a rewind never goes forward");
    }

    #[test]
    fn an_overdue_ack_is_probed_then_pushed_again_then_given_up() {
        let settings = settings();
        let mut now = Instant::now();
        let mut push = Push::new(0, 1);
        push.set_lagging(false);
        push.on_pushed(1, 10, now);
        for round in 0..=settings.retransmits {
            now += settings.ack_timeout * (1 << round);
            assert_eq!(push.handle_timeout(&settings, now - Duration::from_millis(1)), None, "round {round}");
            assert_eq!(push.handle_timeout(&settings, now), Some(Overdue::Probe), "round {round}");
            assert_eq!(push.handle_timeout(&settings, now + Duration::from_secs(5)), None, "one probe at a time");
            assert_eq!(push.on_pong(&settings, now), round == settings.retransmits);
            if round < settings.retransmits {
                assert!(!push.on_pong(&settings, now), "a second PONG answers no probe");
                assert_eq!((push.is_lagging(), push.pushed()), (true, 0));
                assert!(push.on_pushed(1, 10, now));
                push.set_lagging(false);
            }
        }
        assert_eq!(push.on_ack(1, now), Ok(true));
        assert_eq!(push.poll_timeout(&settings), None, "an ack settles everything");
    }

    #[test]
    fn a_pong_speaks_for_its_own_ping_only() {
        let settings = settings();
        let start = Instant::now();
        let mut push = Push::new(0, 2);
        push.set_lagging(false);
        push.on_pushed(1, 10, start);
        push.on_pushed(2, 10, start);
        assert_eq!(push.handle_timeout(&settings, start + settings.ack_timeout), Some(Overdue::Probe));
        let acked = start + settings.ack_timeout * 2;
        assert_eq!(push.on_ack(1, acked), Ok(true));
        assert_eq!(push.handle_timeout(&settings, acked + settings.ack_timeout), Some(Overdue::Probe));
        push.on_pong(&settings, acked + settings.ack_timeout);
        assert_eq!((push.is_lagging(), push.pushed()), (false, 2), "that was the answer to the first");
        push.on_pong(&settings, acked + settings.ack_timeout);
        assert_eq!((push.is_lagging(), push.pushed()), (true, 1));
    }

    #[test]
    fn signs_of_life_do_not_replace_progress() {
        let settings = PushSettings { retransmits: 200, ..settings() };
        let start = Instant::now();
        let mut push = Push::new(0, 1);
        push.on_pushed(1, 10, start);
        let mut now = start;
        while push.handle_timeout(&settings, now) != Some(Overdue::GiveUp) {
            assert!(now < start + settings.lagging_timeout);
            push.on_pong(&settings, now);
            push.on_pushed(1, 10, now);
            now = push.poll_timeout(&settings).unwrap();
        }
        assert_eq!(now, start + settings.lagging_timeout);
    }
}
