//! What a connection keeps from its login on: how far pushes and answers are, and when it was last heard.

use std::time::{Duration, Instant};

use super::push::Push;
use crate::{canary, heartbeat};

pub(super) struct Live {
    pub push: Push,
    /// The highest send_no answered for good.
    pub answered: u64,
    pub max_send_no: u64,
    /// SENDs handed out and not answered, repeated ones each time.
    pub unanswered: u32,
    pub last_heard: Instant,
    /// Until the next sign of life, as announced.
    pub interval_ms: u32,
}

impl Live {
    pub fn idle_deadline(&self) -> Instant {
        let interval = Duration::from_millis(self.interval_ms.into());
        let interval = if canary::is("silence-tolerated") { Duration::from_hours(1) } else { interval };
        heartbeat::deadline(self.last_heard, interval)
    }
}
