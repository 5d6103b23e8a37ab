//! What all scenarios share: the engine, the server's process, logging in, waiting until all has arrived.

use std::time::Duration;

use anyhow::bail;

use crate::{
    device::Event,
    engine::Engine,
    ledger::Ledger,
    meter::{self, Reading, Usage},
    process::Server,
    progress::Progress,
    report::{Report, Unit},
};

/// How often a loop looks up although nothing comes.
pub const TICK: u64 = 50_000_000;

/// A run under way.
pub struct Bench<'run> {
    pub engine: Engine<'run>,
    pub server: Option<Server>,
    pub logins_at_once: usize,
    pub patience: Duration,
    pub seed: u64,
    pub report: Report,
    /// What has happened and is not booked yet.
    pub events: Vec<(u32, Event)>,
}

impl<'run> Bench<'run> {
    pub fn new(
        engine: Engine<'run>,
        server: Option<Server>,
        logins_at_once: u32,
        patience: Duration,
        seed: u64,
        report: Report,
    ) -> Self {
        Self { engine, server, logins_at_once: logins_at_once as usize, patience, seed, report, events: Vec::new() }
    }

    pub fn now(&self) -> u64 {
        self.engine.run.now()
    }

    pub fn read_meters(&self) -> Reading {
        Reading::take(&self.engine, self.server)
    }

    /// Adds links for users that follow those already there, one link a user.
    pub fn add_links(&mut self, first_user: u32, count: u32) -> Vec<u32> {
        (first_user..first_user + count).map(|user| self.engine.add(user)).collect()
    }

    /// Lets things happen until the moment `until`, or until something has; books it.
    pub fn poll(&mut self, until: u64, ledger: &mut Ledger) -> anyhow::Result<()> {
        self.poll_with(until, |link, event, now| ledger.note(link, event, now))
    }

    /// As [`Self::poll`], with what has happened handed to `take`.
    pub fn poll_with(&mut self, until: u64, mut take: impl FnMut(u32, Event, u64)) -> anyhow::Result<()> {
        self.engine.poll(until, &mut self.events)?;
        let now = self.now();
        self.events.drain(..).for_each(|(link, event)| take(link, event, now));
        Ok(())
    }

    /// Logs all these links in, a few at a time. What arrives meanwhile is booked. Err: one of them cannot log in.
    pub fn log_in(&mut self, links: &[u32], ledger: &mut Ledger) -> anyhow::Result<Usage> {
        let progress = Progress::new("logging in", links.len() as u64);
        let from = self.read_meters();
        let mut waiting = links.iter();
        let (mut open, mut up) = (0, 0);
        let mut last_progress = self.now();
        while up < links.len() {
            while open < self.logins_at_once
                && let Some(link) = waiting.next()
            {
                self.engine.connect(*link)?;
                open += 1;
            }
            let before = up;
            self.poll_with(last_progress + TICK, |link, event, now| match event {
                Event::LoggedIn => up += 1,
                other => ledger.note(link, other, now),
            })?;
            if let Some(failure) = &ledger.first_failure {
                bail!("{up} of {} devices are logged in, and one is refused: {failure}", links.len());
            }
            if up > before {
                open -= up - before;
                last_progress = self.now();
                progress.set(up as u64);
            } else if self.is_impatient_since(last_progress) {
                bail!("{up} of {} devices are logged in, and for {:?} no other was", links.len(), self.patience);
            }
        }
        Ok(Usage::between(from, self.read_meters()))
    }

    /// Waits until everything sent was answered and has arrived, or nothing has come for too long.
    pub fn settle(&mut self, ledger: &mut Ledger) -> anyhow::Result<()> {
        let since = self.now();
        while !ledger.is_settled() && ledger.failures == 0 {
            let until = self.now() + TICK;
            self.poll(until, ledger)?;
            if self.is_impatient_since(ledger.last_progress.max(since)) {
                break;
            }
        }
        Ok(())
    }

    /// What has been delivered since the meters stood at `from`, and what that cost.
    pub fn report_deliveries(&mut self, from: Reading, ledger: &Ledger) {
        let usage = Usage::between(from, self.read_meters());
        self.report.row("deliveries_per_s", ledger.received as f64 / usage.seconds, Unit::PerSecond);
        usage.report_costs(&mut self.report, "delivery", ledger.received, self.server);
        usage.report_load(&mut self.report, self.server);
        self.report.latency("delivery", &ledger.latency);
        meter::report_memory(&mut self.report, self.server);
        self.report.errors(ledger);
    }

    /// Lets things happen for a while.
    pub fn rest(&mut self, nanos: u64, ledger: &mut Ledger) -> anyhow::Result<()> {
        let end = self.now() + nanos;
        while self.now() < end {
            self.poll(end, ledger)?;
        }
        Ok(())
    }

    pub fn is_impatient_since(&self, since: u64) -> bool {
        self.now().saturating_sub(since) > self.patience.as_nanos() as u64
    }
}

pub fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}
