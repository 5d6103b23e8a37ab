//! What every use case works with: the log, the way into the committer, the live channels, the login pieces.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hongyan_proto::{server::Settings, wire};

use super::{gate::Gate, presence::Presence};
use crate::{
    base::{environment::Environment, metrics::Metrics},
    committer::CommitQueue,
    live::sessions::Sessions,
    log::Log,
};

/// One server's shared state. Everything in it is safe to use from any thread.
pub struct Core {
    parts: CoreParts,
    is_draining: AtomicBool,
}

/// What a core is made of.
pub struct CoreParts {
    pub log: Log,
    pub log_epoch: u64,
    pub queue: CommitQueue,
    pub sessions: Arc<Sessions>,
    pub presence: Presence,
    pub metrics: Arc<Metrics>,
    pub gate: Gate,
    /// For the connections.
    pub protocol: Arc<Settings>,
    /// As told in WELCOME.
    pub resume_ttl: Duration,
    pub environment: Box<dyn Environment>,
}

impl Core {
    pub fn new(parts: CoreParts) -> Self {
        Self { parts, is_draining: AtomicBool::new(false) }
    }

    pub fn limits(&self) -> &wire::Limits {
        &self.protocol.limits
    }

    /// From now on the server only finishes.
    pub fn start_draining(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }
}

impl Deref for Core {
    type Target = CoreParts;

    fn deref(&self) -> &CoreParts {
        &self.parts
    }
}
