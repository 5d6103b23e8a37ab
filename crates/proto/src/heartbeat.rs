//! What both ends keep to in time: how long a silence may last, how many entries may share an ack, how a time span travels.

use std::time::{Duration, Instant};

/// The longest grace that is added to an announced interval.
const MAX_GRACE: Duration = Duration::from_secs(60);

/// Unacked entries that make an ack leave at once. The server waits for none while they are fewer and all of them the
/// device's own messages.
pub const ACK_EVERY: u64 = 16;

/// When a peer that announced its next sign of life within `interval` is taken for gone: min(1.5 × interval, interval + 60 s).
pub fn deadline(last_heard: Instant, interval: Duration) -> Instant {
    last_heard + interval + (interval / 2).min(MAX_GRACE)
}

/// A time span as it travels: whole milliseconds, at most 49 days.
pub fn millis(span: Duration) -> u32 {
    span.as_millis().try_into().unwrap_or(u32::MAX)
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
