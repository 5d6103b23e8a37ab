//! What arrived, checked by content: every message once, in order, from whom it says, unchanged.

use std::collections::BTreeSet;

use hdrhistogram::Histogram;

use crate::{device::Event, stamp::Stamp};

/// Longest latency that is told apart, in nanoseconds: 10 minutes.
const LONGEST: u64 = 600_000_000_000;

/// A histogram of nanoseconds to three digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1000, LONGEST, 3).expect("the bounds are valid")
}

/// The arrivals at one receiver from its one sender.
#[derive(Default)]
pub struct Arrivals {
    next: u64,
    /// Numbers that came before a lower one.
    ahead: BTreeSet<u64>,
}

/// What a number is to a receiver.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    New,
    /// New, but a higher number has come before it.
    Late,
    Duplicate,
}

impl Arrivals {
    pub fn note(&mut self, number: u64) -> Arrival {
        if number < self.next || self.ahead.contains(&number) {
            return Arrival::Duplicate;
        }
        let is_late = self.ahead.last().is_some_and(|highest| *highest > number);
        if number == self.next {
            self.next += 1;
            while self.ahead.remove(&self.next) {
                self.next += 1;
            }
        } else {
            self.ahead.insert(number);
        }
        if is_late { Arrival::Late } else { Arrival::New }
    }
}

/// The books of a run.
pub struct Ledger {
    arrivals: Vec<Arrivals>,
    pub sent: u64,
    /// So many are to get each message.
    pub receivers: u64,
    pub answered: u64,
    pub received: u64,
    pub duplicates: u64,
    pub out_of_order: u64,
    /// Messages whose content or sender is not what was sent.
    pub foreign: u64,
    /// Connections that ended, or messages that were refused.
    pub failures: u64,
    pub first_failure: Option<String>,
    /// From the intended time to the arrival; only messages intended at or after `measure_from`.
    pub latency: Histogram<u64>,
    /// From the intended time to the SEND_ACK.
    pub answer_latency: Histogram<u64>,
    /// Nanoseconds since the start of the run.
    pub measure_from: u64,
    /// When something last arrived.
    pub last_progress: u64,
}

impl Ledger {
    /// For as many links, none of which has received anything.
    pub fn new(links: usize) -> Self {
        Self {
            arrivals: std::iter::repeat_with(Arrivals::default).take(links).collect(),
            sent: 0,
            receivers: 1,
            answered: 0,
            received: 0,
            duplicates: 0,
            out_of_order: 0,
            foreign: 0,
            failures: 0,
            first_failure: None,
            latency: histogram(),
            answer_latency: histogram(),
            measure_from: 0,
            last_progress: 0,
        }
    }

    /// Books one event of link `link` at `now`.
    pub fn note(&mut self, link: u32, event: Event, now: u64) {
        match event {
            Event::Received(stamp) => self.on_received(link, stamp, now),
            Event::Answered { intended } => {
                self.answered += 1;
                self.last_progress = now;
                if intended >= self.measure_from {
                    self.answer_latency.saturating_record(now.saturating_sub(intended));
                }
            }
            Event::Foreign => self.foreign += 1,
            Event::LoggedIn => {}
            Event::Failed(why) => self.fail(&why),
        }
    }

    pub fn fail(&mut self, why: &str) {
        self.failures += 1;
        self.first_failure.get_or_insert_with(|| why.to_owned());
    }

    fn on_received(&mut self, link: u32, stamp: Stamp, now: u64) {
        self.last_progress = now;
        match self.arrivals[link as usize].note(stamp.number) {
            Arrival::Duplicate => {
                self.duplicates += 1;
                return;
            }
            Arrival::Late => self.out_of_order += 1,
            Arrival::New => {}
        }
        self.received += 1;
        if stamp.intended >= self.measure_from {
            self.latency.saturating_record(now.saturating_sub(stamp.intended));
        }
    }

    /// Arrivals there are to be.
    pub fn expected(&self) -> u64 {
        self.sent * self.receivers
    }

    /// Whether everything sent was answered and arrived.
    pub fn is_settled(&self) -> bool {
        self.received >= self.expected() && self.answered >= self.sent
    }

    /// Whether nothing went wrong.
    pub fn is_clean(&self) -> bool {
        self.is_settled() && self.duplicates + self.out_of_order + self.foreign + self.failures == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_tell_new_late_and_duplicate_apart() {
        let mut arrivals = Arrivals::default();
        let notes: Vec<Arrival> = [0, 2, 2, 1, 1, 3, 0].into_iter().map(|number| arrivals.note(number)).collect();
        use Arrival::{Duplicate, Late, New};
        assert_eq!(notes, [New, New, Duplicate, Late, Duplicate, New, Duplicate]);
        assert!(arrivals.ahead.is_empty());
    }

    #[test]
    fn the_books_balance_only_if_everything_arrived_once_unchanged() {
        let stamp = |number, intended| Event::Received(Stamp { sender: 0, number, intended });
        let mut ledger = Ledger::new(2);
        ledger.sent = 2;
        ledger.measure_from = 1000;
        for (event, now) in [(Event::Answered { intended: 0 }, 5), (stamp(0, 0), 6), (stamp(1, 1000), 3_001_000)] {
            ledger.note(1, event, now);
        }
        assert!(!ledger.is_settled(), "one is not answered");
        ledger.note(0, Event::Answered { intended: 1000 }, 4000);
        assert!(ledger.is_clean());
        assert_eq!(ledger.latency.len(), 1, "what was meant to leave before the measurement does not count");
        assert!(ledger.latency.equivalent(ledger.latency.max(), 3_000_000));
        ledger.note(1, stamp(1, 1000), 5000);
        assert!(!ledger.is_clean(), "a duplicate");
    }
}
