//! The clocks of a driver.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Tokio's clock, which tests can turn forward.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Milliseconds since 1970.
pub(super) fn clock_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}
