//! What every use case works with: the log, the way into the committer, the live channels, the login pieces.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use hongyan_proto::{server::Settings, wire};

use crate::{
    committer::CommitQueue, log::Log, login::Gate, metrics::Metrics, sessions::Sessions,
};

/// One server's shared state. Everything in it is safe to use from any thread.
pub struct Core {
    pub log: Log,
    pub log_epoch: u64,
    pub queue: CommitQueue,
    pub sessions: Arc<Sessions>,
    pub metrics: Arc<Metrics>,
    pub gate: Gate,
    /// For the connections.
    pub protocol: Arc<Settings>,
    is_draining: AtomicBool,
}

impl Core {
    pub fn new(
        log: Log,
        log_epoch: u64,
        queue: CommitQueue,
        sessions: Arc<Sessions>,
        metrics: Arc<Metrics>,
        gate: Gate,
        protocol: Arc<Settings>,
    ) -> Self {
        let is_draining = AtomicBool::new(false);
        Self { log, log_epoch, queue, sessions, metrics, gate, protocol, is_draining }
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
