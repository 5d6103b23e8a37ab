//! How long to wait before the next attempt: exponential, with full jitter. Randomness comes in as an argument.

use std::time::Duration;

/// The longest first pause.
pub const BASE: Duration = Duration::from_millis(250);
/// The longest pause at all.
pub const CAP: Duration = Duration::from_secs(30);
/// A connection that lived this long starts the pauses anew.
pub const LIVED: Duration = Duration::from_secs(5);
/// What a login that succeeded leaves of the attempts before it.
const AFTER_LOGIN: u32 = 2;

/// Counts the attempts since the last connection that lived.
#[derive(Debug, Default)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The next pause: `random` (0.0..1.0) of a span that doubles with each attempt.
    pub fn pause(&mut self, random: f64) -> Duration {
        let span = BASE.saturating_mul(1 << self.attempts.min(16)).min(CAP);
        self.attempts = self.attempts.saturating_add(1);
        span.mul_f64(random.clamp(0.0, 1.0))
    }

    /// None the first time, afterwards as [`Self::pause`].
    pub fn pause_if_repeated(&mut self, random: f64) -> Duration {
        let pause = self.pause(random);
        if self.attempts == 1 { Duration::ZERO } else { pause }
    }

    /// A login has succeeded: the server is there, though it may not stay.
    pub fn on_logged_in(&mut self) {
        self.attempts = self.attempts.min(AFTER_LOGIN);
    }

    /// A connection has lived for [`LIVED`].
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_are_random() {
        let mut backoff = Backoff::default();
        let spans: Vec<_> = (0..9).map(|_| backoff.pause(1.0).as_millis()).collect();
        assert_eq!(spans, [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert_eq!(backoff.pause(0.5), CAP / 2);
        (0..100).for_each(|_| assert!(backoff.pause(1.0) <= CAP));
        backoff.on_logged_in();
        assert_eq!(backoff.pause(1.0), BASE * 4);
        backoff.reset();
        assert_eq!(backoff.pause_if_repeated(1.0), Duration::ZERO);
        assert_eq!(backoff.pause_if_repeated(1.0), BASE * 2);
    }
}
