//! What the server counts about itself, in the Prometheus text format. Never anything of a message's content.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use hongyan_proto::CloseCode;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// The counters. Each is an atomic; counting costs a few nanoseconds.
pub struct Metrics {
    registry: Registry,
    pub connections: Gauge,
    pub connections_accepted: Counter,
    pub connections_turned_away: Counter,
    pub http_connections: Gauge,
    pub http_connections_accepted: Counter,
    pub sessions: Gauge,
    pub logins: Counter,
    pub resumes: Counter,
    closes: Family<Code, Counter>,
    pub messages_received: Counter,
    pub entries_pushed: Counter,
    pub entries_read_from_log: Counter,
    commits: Counter,
    commit_rows: Counter,
    commit_seconds: Histogram,
    pub commits_failed: Counter,
    pub panics: Counter,
    is_store_failing: AtomicBool,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Code {
    code: String,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("hongyan");
        let metrics = Self {
            connections: Gauge::default(),
            connections_accepted: Counter::default(),
            connections_turned_away: Counter::default(),
            http_connections: Gauge::default(),
            http_connections_accepted: Counter::default(),
            sessions: Gauge::default(),
            logins: Counter::default(),
            resumes: Counter::default(),
            closes: Family::default(),
            messages_received: Counter::default(),
            entries_pushed: Counter::default(),
            entries_read_from_log: Counter::default(),
            commits: Counter::default(),
            commit_rows: Counter::default(),
            commit_seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 14)),
            commits_failed: Counter::default(),
            panics: Counter::default(),
            is_store_failing: AtomicBool::new(false),
            registry: Registry::default(),
        };
        let r = &mut registry;
        r.register("connections", "Connections open now", metrics.connections.clone());
        r.register("connections_accepted", "Connections accepted", metrics.connections_accepted.clone());
        r.register(
            "connections_turned_away",
            "Connections closed at once because of a limit",
            metrics.connections_turned_away.clone(),
        );
        r.register(
            "http_connections",
            "HTTP connections open now, WebSockets included",
            metrics.http_connections.clone(),
        );
        r.register("http_connections_accepted", "HTTP connections accepted", metrics.http_connections_accepted.clone());
        r.register("sessions", "Devices logged in now", metrics.sessions.clone());
        r.register("logins", "Logins with a token or password", metrics.logins.clone());
        r.register("resumes", "Resumes", metrics.resumes.clone());
        r.register("closes", "Connections ended, by close code", metrics.closes.clone());
        r.register("messages_received", "SENDs read", metrics.messages_received.clone());
        r.register("entries_pushed", "Entries pushed", metrics.entries_pushed.clone());
        r.register(
            "entries_read_from_log",
            "Entries pushed out of the log, to devices that were away or behind",
            metrics.entries_read_from_log.clone(),
        );
        r.register("commits", "Batches committed", metrics.commits.clone());
        r.register("commit_rows", "Rows committed", metrics.commit_rows.clone());
        r.register_with_unit(
            "commit_duration",
            "How long a commit took, its sync included",
            Unit::Seconds,
            metrics.commit_seconds.clone(),
        );
        r.register(
            "commits_failed",
            "Batches that failed; none of them was acknowledged",
            metrics.commits_failed.clone(),
        );
        r.register("panics", "Panics: bugs, each the end of one task", metrics.panics.clone());
        Self { registry, ..metrics }
    }
}

impl Metrics {
    pub fn on_commit(&self, rows: usize, took: Duration) {
        self.commits.inc();
        self.is_store_failing.store(false, Ordering::Relaxed);
        self.commit_rows.inc_by(rows as u64);
        self.commit_seconds.observe(took.as_secs_f64());
    }

    pub fn on_commit_failed(&self) {
        self.commits_failed.inc();
        self.is_store_failing.store(true, Ordering::Relaxed);
    }

    /// Whether the newest commit failed.
    pub fn is_store_failing(&self) -> bool {
        self.is_store_failing.load(Ordering::Relaxed)
    }

    /// Peers may invent codes; only known ones get a time series of their own.
    pub fn on_close(&self, code: CloseCode) {
        let code = code.name().map_or_else(|| "other".to_owned(), |_| code.0.to_string());
        self.closes.get_or_create(&Code { code }).inc();
    }

    /// The text for a scrape.
    pub fn render(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }
}
