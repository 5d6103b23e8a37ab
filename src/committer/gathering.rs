//! How far apart commits begin. A sync costs the same for one message as for a hundred, so where messages come one by
//! one, commits that begin a little later serve more of them.

use std::time::{Duration, Instant};

/// A wait is worth it if so many come meanwhile: then each is held up for less than the commits that are saved would have
/// taken.
const WORTH: usize = 3;
/// After waits in vain, up to so many commits begin at once.
const MAX_SKIPPED: u32 = 64;

/// Whether waiting pays, learned from the last time. A lone sender who waits for each answer is hardly ever kept waiting.
pub struct Gathering {
    apart: Duration,
    last_began: Option<Instant>,
    /// Commits to begin at once after a wait in vain: doubled each time.
    to_skip: u32,
    skipped: u32,
}

impl Gathering {
    /// Commits begin at least `apart` apart, while there is more to gather.
    pub fn new(apart: Duration) -> Self {
        Self { apart, last_began: None, to_skip: 0, skipped: 0 }
    }

    /// Until when to let things gather after a commit; None: the next may begin as soon as something comes.
    pub fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        let until = self.last_began? + self.apart;
        if until <= now {
            return None;
        }
        if self.skipped < self.to_skip {
            self.skipped += 1;
            return None;
        }
        self.skipped = 0;
        Some(until)
    }

    /// A wait is over; `gathered` have come meanwhile.
    pub fn on_waited(&mut self, gathered: usize) {
        self.to_skip = if gathered >= WORTH { 0 } else { (self.to_skip * 2).clamp(1, MAX_SKIPPED) };
    }

    pub fn on_begun(&mut self, now: Instant) {
        self.last_began = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APART: Duration = Duration::from_millis(1);

    /// How many of `commits` waited, each `gap` after the one before.
    fn waits(commits: u32, gap: Duration, gathered: usize) -> u32 {
        let (mut gathering, mut now) = (Gathering::new(APART), Instant::now());
        let mut waits = 0;
        for _ in 0..commits {
            now += gap;
            if let Some(until) = gathering.poll_timeout(now) {
                assert!(until > now && until <= now + APART);
                (now, waits) = (until, waits + 1);
                gathering.on_waited(gathered);
            }
            gathering.on_begun(now);
        }
        waits
    }

    #[test]
    fn commits_wait_where_it_pays() {
        assert_eq!(waits(1000, APART / 4, WORTH), 999, "all but the first");
        assert!(waits(1000, APART / 4, WORTH - 1) < 30, "the gaps between waits in vain grow");
        assert_eq!(waits(1000, APART, WORTH), 0, "what comes seldom never waits");
    }
}
