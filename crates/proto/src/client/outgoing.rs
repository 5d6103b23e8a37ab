//! Which messages of the outbox go out when: the credit, the answers, the resends.
//!
//! The outbox itself, with its bytes, is the driver's. Here are only numbers: `first ..= last` are in the outbox, those
//! below `next` have been written to this connection.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// How often the patience for an answer doubles at most.
const MAX_DOUBLINGS: u32 = 6;

/// The sending side of a client connection.
#[derive(Debug)]
pub struct Outgoing {
    /// The oldest number that had no answer when the connection began.
    first_here: u64,
    /// The oldest number without an answer.
    first: u64,
    /// The next number to write.
    next: u64,
    /// The newest number in the outbox.
    last: u64,
    max_send_no: u64,
    /// Answers that came before those of lower numbers.
    answered_ahead: BTreeSet<u64>,
    /// Numbers written without a message, for they were answered on an earlier connection: what this server says of them
    /// is no news.
    fillers: BTreeSet<u64>,
    /// A number was refused for now, and so is everything written after it, up to this one: their answers are awaited
    /// before anything is written again, for each would otherwise bring on another round.
    settling: Option<u64>,
    /// A temporary refusal asked for a pause.
    paused_until: Option<Instant>,
    /// When the last answer came, or the oldest unanswered message was written.
    waiting_since: Option<Instant>,
    /// A PING is out to learn whether the server has read everything below this number.
    probe: Option<u64>,
    /// How often something was written again since the last answer.
    resends: u32,
}

impl Outgoing {
    /// An outbox of the numbers `first ..= last`; empty if `last` is `first - 1`.
    pub fn new(first: u64, last: u64) -> Self {
        Self {
            first_here: first,
            first,
            next: first,
            last,
            max_send_no: 0,
            answered_ahead: BTreeSet::new(),
            fillers: BTreeSet::new(),
            settling: None,
            paused_until: None,
            waiting_since: None,
            probe: None,
            resends: 0,
        }
    }

    pub fn on_credit(&mut self, max_send_no: u64) {
        self.max_send_no = self.max_send_no.max(max_send_no);
    }

    /// The outbox has grown to `last`.
    pub fn on_queued(&mut self, last: u64) {
        self.last = self.last.max(last);
    }

    /// Whether the server's `last_send_no` is one that this outbox has used. If not, the device's state is lost.
    pub fn knows(&self, last_send_no: u64) -> bool {
        last_send_no <= self.last
    }

    /// The number to write next, if one may be written now.
    pub fn poll(&self, now: Instant) -> Option<u64> {
        let paused = self.paused_until.is_some_and(|until| now < until);
        (!paused && self.settling.is_none() && self.next <= self.last.min(self.max_send_no)).then_some(self.next)
    }

    pub fn on_written(&mut self, send_no: u64, now: Instant) {
        debug_assert_eq!(send_no, self.next, "messages are written in order");
        self.next = send_no + 1;
        self.skip_answered();
        self.paused_until = None;
        self.waiting_since.get_or_insert(now);
    }

    /// What is about to be written with this number is no message.
    pub fn on_filled(&mut self, send_no: u64) {
        self.fillers.insert(send_no);
    }

    /// A final answer. False: it was answered before, on this connection or an earlier one, or is none of the outbox.
    pub fn on_answered(&mut self, send_no: u64, now: Instant) -> bool {
        if !(self.first..=self.last).contains(&send_no) || !self.answered_ahead.insert(send_no) {
            return false;
        }
        self.on_settled(send_no);
        self.resends = 0;
        while self.answered_ahead.remove(&self.first) {
            self.first += 1;
        }
        self.next = self.next.max(self.first);
        self.skip_answered();
        self.probe = None;
        self.waiting_since = self.is_waiting().then_some(now);
        !self.fillers.remove(&send_no)
    }

    /// `send_no` is refused for now; the server expects `expected` next, after a pause.
    pub fn on_refused_for_now(&mut self, send_no: u64, expected: u64, pause: Duration, now: Instant) {
        self.settling = self.settling.or(self.next.checked_sub(1));
        self.on_settled(send_no);
        self.next = self.next.min(expected.max(self.first));
        self.skip_answered();
        if !pause.is_zero() {
            self.paused_until = Some(now + pause);
        }
        self.waiting_since = self.is_waiting().then_some(now);
    }

    fn on_settled(&mut self, send_no: u64) {
        self.settling = self.settling.filter(|last| send_no < *last);
    }

    fn is_waiting(&self) -> bool {
        self.first < self.next || self.settling.is_some()
    }

    /// Whether `send_no` was answered for good, on this connection or before it.
    pub fn is_settled(&self, send_no: u64) -> bool {
        send_no < self.first || self.answered_ahead.contains(&send_no)
    }

    /// Whether `send_no` was answered for good before this connection began.
    pub fn was_settled_before(&self, send_no: u64) -> bool {
        send_no < self.first_here
    }

    /// Whether `send_no` is a number of this outbox, answered or not.
    pub fn has_used(&self, send_no: u64) -> bool {
        (1..=self.last).contains(&send_no)
    }

    /// What was answered ahead of lower numbers is not written again: the server has passed it.
    fn skip_answered(&mut self) {
        while self.answered_ahead.contains(&self.next) {
            self.next += 1;
        }
    }

    /// A PONG has come. What the probe asked about was read and not answered: it is written again.
    pub fn on_pong(&mut self) {
        let Some(below) = self.probe.take() else { return };
        self.settling = None;
        if self.first < below {
            self.next = self.first;
            self.resends += 1;
        }
        self.waiting_since = None;
    }

    /// When an answer is overdue, or a pause over.
    pub fn poll_timeout(&self, answer_timeout: Duration) -> Option<Instant> {
        let overdue = self.overdue_at(answer_timeout).filter(|_| self.probe.is_none());
        self.paused_until.into_iter().chain(overdue).min()
    }

    /// The patience doubles with every resend: a server that is slow to answer must not be asked the more for it.
    fn overdue_at(&self, answer_timeout: Duration) -> Option<Instant> {
        self.waiting_since.map(|since| since + answer_timeout * (1 << self.resends.min(MAX_DOUBLINGS)))
    }

    /// True: send a PING to learn whether the server has read what it has not answered.
    pub fn handle_timeout(&mut self, answer_timeout: Duration, now: Instant) -> bool {
        if self.paused_until.is_some_and(|until| until <= now) {
            self.paused_until = None;
        }
        let overdue = self.overdue_at(answer_timeout).is_some_and(|at| at <= now);
        if !overdue || self.probe.is_some() {
            return false;
        }
        self.probe = Some(self.next);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(5);

    fn write_all(outgoing: &mut Outgoing, now: Instant) -> Vec<u64> {
        let mut written = Vec::new();
        while let Some(send_no) = outgoing.poll(now) {
            outgoing.on_written(send_no, now);
            written.push(send_no);
        }
        written
    }

    #[test]
    fn credit_bounds_what_is_written() {
        let now = Instant::now();
        let mut outgoing = Outgoing::new(5, 9);
        assert_eq!(write_all(&mut outgoing, now), []);
        outgoing.on_credit(7);
        assert_eq!(write_all(&mut outgoing, now), [5, 6, 7]);
        outgoing.on_credit(6);
        assert_eq!(write_all(&mut outgoing, now), [], "credit never goes down");
        outgoing.on_credit(20);
        outgoing.on_queued(10);
        assert_eq!(write_all(&mut outgoing, now), [8, 9, 10]);
    }

    #[test]
    fn answers_may_be_repeated_and_come_early() {
        let now = Instant::now();
        let mut outgoing = Outgoing::new(1, 3);
        outgoing.on_credit(10);
        write_all(&mut outgoing, now);
        assert!(outgoing.on_answered(2, now));
        assert!(!outgoing.on_answered(2, now));
        assert_eq!(outgoing.first, 1);
        assert!(outgoing.on_answered(1, now));
        assert_eq!(outgoing.first, 3);
        assert!(!outgoing.on_answered(1, now));
        assert!(outgoing.on_answered(3, now));
        assert_eq!(outgoing.poll_timeout(TIMEOUT), None);
    }

    #[test]
    fn what_was_answered_ahead_is_not_written_again() {
        let now = Instant::now();
        let mut outgoing = Outgoing::new(1, 4);
        outgoing.on_credit(10);
        assert!(outgoing.on_answered(2, now), "the log has brought it before it was written again");
        assert!(!outgoing.on_answered(9, now), "9 was never queued");
        assert_eq!(write_all(&mut outgoing, now), [1, 3, 4]);
    }

    #[test]
    fn a_refusal_for_now_pauses_and_goes_back() {
        let now = Instant::now();
        let mut outgoing = Outgoing::new(1, 4);
        outgoing.on_credit(10);
        write_all(&mut outgoing, now);
        outgoing.on_answered(1, now);
        outgoing.on_refused_for_now(2, 2, Duration::from_secs(1), now);
        outgoing.on_refused_for_now(3, 2, Duration::ZERO, now);
        outgoing.on_refused_for_now(4, 2, Duration::ZERO, now);
        assert_eq!(outgoing.poll(now), None);
        assert_eq!(outgoing.poll_timeout(TIMEOUT), Some(now + Duration::from_secs(1)));
        assert_eq!(write_all(&mut outgoing, now + Duration::from_secs(1)), [2, 3, 4]);
    }

    #[test]
    fn what_was_written_after_a_refusal_is_answered_before_anything_is_written_again() {
        let now = Instant::now();
        let mut outgoing = Outgoing::new(1, 3);
        outgoing.on_credit(10);
        write_all(&mut outgoing, now);
        outgoing.on_refused_for_now(1, 1, Duration::ZERO, now);
        assert_eq!(outgoing.poll(now), None);
        outgoing.on_refused_for_now(2, 1, Duration::ZERO, now);
        assert_eq!(outgoing.poll(now), None);
        outgoing.on_refused_for_now(3, 1, Duration::ZERO, now);
        assert_eq!(write_all(&mut outgoing, now), [1, 2, 3]);
        outgoing.on_refused_for_now(1, 1, Duration::ZERO, now);
        assert!(outgoing.handle_timeout(TIMEOUT, now + TIMEOUT), "if the others stay unanswered, a probe goes out");
        outgoing.on_pong();
        assert_eq!(write_all(&mut outgoing, now), [1, 2, 3]);
    }

    #[test]
    fn an_answer_to_a_number_never_used_is_none() {
        let now = Instant::now();
        let mut outgoing = Outgoing::new(1, 1);
        assert!(!outgoing.on_answered(2, now));
        assert!(!outgoing.on_answered(u64::MAX, now));
        outgoing.on_credit(10);
        outgoing.on_queued(2);
        assert_eq!(write_all(&mut outgoing, now), [1, 2]);
    }

    #[test]
    fn only_a_pong_makes_it_write_again() {
        let now = Instant::now();
        let mut outgoing = Outgoing::new(1, 2);
        outgoing.on_credit(10);
        write_all(&mut outgoing, now);
        outgoing.on_pong();
        assert_eq!(outgoing.poll(now), None, "a PONG that answers no probe proves nothing");
        let later = now + TIMEOUT;
        assert!(outgoing.handle_timeout(TIMEOUT, later));
        assert!(!outgoing.handle_timeout(TIMEOUT, later), "one probe at a time");
        assert_eq!(outgoing.poll(later), None);
        outgoing.on_pong();
        assert_eq!(write_all(&mut outgoing, later), [1, 2]);
        assert_eq!(outgoing.poll_timeout(TIMEOUT), Some(later + TIMEOUT * 2), "with more patience now");
    }
}
