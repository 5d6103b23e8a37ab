//! Messages at a fixed rate over a number of pairs: an open loop, which never waits for the server.

use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};

use crate::{engine::Engine, ledger::Ledger, stamp::Stamp};

/// A message that leaves later than this after its time shows that the generator itself was late, in nanoseconds.
const LATE: u64 = 1_000_000;

/// When which pair sends.
pub struct Schedule {
    start: u64,
    end: u64,
    per_s: u64,
    sent: u64,
    /// The users (and links) of the senders; the receiver of each is the next user.
    senders: Vec<u32>,
    /// Messages that left late.
    pub late: u64,
}

impl Schedule {
    /// From `start` to `end` (nanoseconds of the run) `per_s` messages a second; the pairs take turns in an order drawn
    /// from the seed. `senders` are links as well as users.
    pub fn new(mut senders: Vec<u32>, per_s: u32, start: u64, end: u64, seed: u64) -> Self {
        senders.shuffle(&mut StdRng::seed_from_u64(seed));
        Self { start, end, per_s: per_s.into(), sent: 0, senders, late: 0 }
    }

    /// When the next message is to leave; none: that was all.
    pub fn next(&self) -> Option<u64> {
        let after = u128::from(self.sent) * 1_000_000_000 / u128::from(self.per_s);
        Some(self.start + after as u64).filter(|at| *at < self.end && !self.senders.is_empty())
    }

    /// Ends the schedule at `now`.
    pub fn stop(&mut self, now: u64) {
        self.end = self.end.min(now);
    }

    /// Sends all that is due.
    pub fn send_due(&mut self, engine: &mut Engine, ledger: &mut Ledger, now: u64) {
        while let Some(intended) = self.next().filter(|at| *at <= now) {
            let sender = self.senders[(self.sent % self.senders.len() as u64) as usize];
            let number = self.sent / self.senders.len() as u64;
            engine.send(sender, sender + 1, Stamp { sender, number, intended });
            self.sent += 1;
            ledger.sent += 1;
            self.late += u64::from(now - intended > LATE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_those_of_the_rate_without_drift() {
        let mut schedule = Schedule::new(vec![0, 2, 4], 3, 100, 1_000_000_100, 1);
        let mut times = Vec::new();
        while let Some(at) = schedule.next() {
            times.push(at);
            schedule.sent += 1;
        }
        assert_eq!(times, [100, 333_333_433, 666_666_766]);
        let same = Schedule::new(vec![0, 2, 4], 3, 100, 200, 1);
        assert_eq!(schedule.senders, same.senders, "the seed decides the order");
        assert_eq!(Schedule::new(vec![], 3, 0, 100, 1).next(), None);
    }
}
