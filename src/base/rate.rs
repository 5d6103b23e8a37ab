//! How fast one user may send: a token bucket that stores one instant.

use std::time::{Duration, Instant};

/// The generic cell rate algorithm: the bucket is full again at `full_at`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    full_at: Option<Instant>,
}

impl Bucket {
    /// Takes one. Err: how long to wait until there is one again.
    pub fn take(&mut self, per_second: u32, burst: u32, now: Instant) -> Result<(), Duration> {
        let one = Duration::from_secs(1) / per_second.max(1);
        let full_at = self.full_at.map_or(now, |at| at.max(now)) + one;
        let missing = full_at - now;
        let capacity = one * burst.max(1);
        if missing > capacity {
            return Err(missing - capacity);
        }
        self.full_at = Some(full_at);
        Ok(())
    }

    /// Nothing is missing, so nothing needs to be remembered.
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut bucket = Bucket::default();
        for _ in 0..5 {
            assert_eq!(bucket.take(10, 5, start), Ok(()));
        }
        assert_eq!(bucket.take(10, 5, start), Err(Duration::from_millis(100)));
        let later = start + Duration::from_millis(100);
        assert_eq!(bucket.take(10, 5, later), Ok(()));
        assert!(bucket.take(10, 5, later).is_err());
        assert_eq!(bucket.take(10, 5, later + Duration::from_secs(60)), Ok(()));
    }
}
