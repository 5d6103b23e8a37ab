//! How long a silence may last.

use std::time::{Duration, Instant};

/// The longest grace that is added to an announced interval.
const MAX_GRACE: Duration = Duration::from_secs(60);

/// When a peer that announced its next sign of life within `interval` is taken for gone: min(1.5 × interval, interval + 60 s).
pub fn deadline(last_heard: Instant, interval: Duration) -> Instant {
    last_heard + interval + (interval / 2).min(MAX_GRACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grace_is_half_the_interval_and_a_minute_at_most() {
        let now = Instant::now();
        assert_eq!(deadline(now, Duration::from_secs(10)), now + Duration::from_secs(15));
        assert_eq!(deadline(now, Duration::from_secs(600)), now + Duration::from_secs(660));
    }
}
