//! What falls due, and when. What is done then is told where it is done.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::base::{environment::Now, number::UserNo};

/// How long a changed cursor may stay in memory only. After a crash the device names a newer one itself.
const CURSOR_DELAY: Duration = Duration::from_secs(1);
/// How long acks and receipts may wait for what somebody waits for, to go with its commit; no longer than receipts may.
const PATIENCE: Duration = Duration::from_millis(20);
/// How often idle users are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// How long to wait at most before looking for what expires again: the system's clock may have been set meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);
/// How long what has expired waits after the store could not be read or written.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// When the committer has something to do though nothing is handed over.
#[derive(Default)]
pub struct Due {
    patience: Duration,
    /// When changed cursors must be written.
    pub cursors: Option<Instant>,
    /// When what was committed since the last sync must be synced.
    pub sync: Option<Instant>,
    /// Whose delivered receipts are written when; each user once, in rising time.
    pub receipts: VecDeque<(Instant, UserNo)>,
    /// When to look for users who have had nothing to do for a while. None: no user is in memory.
    pub sweep: Option<Instant>,
    /// When the next message expires.
    pub expiry: Option<Instant>,
    /// `expiry` has been read from the log.
    pub knows_expiry: bool,
}

impl Due {
    pub fn new(receipt_delay: Duration) -> Self {
        Self { patience: PATIENCE.min(receipt_delay), ..Self::default() }
    }

    /// How long what nobody waits for may wait for something that somebody does.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// When the first of all this is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let receipts = self.receipts.front().map(|(due, _)| *due + self.patience);
        [receipts, self.cursors, self.sync, self.sweep, self.expiry].into_iter().flatten().min()
    }

    /// Something has changed that may wait a little.
    pub fn put_off(&mut self, now: Now) {
        self.cursors.get_or_insert(now.instant + CURSOR_DELAY);
    }

    pub fn cursors_are_due(&self, now: Now) -> bool {
        self.cursors.is_some_and(|due| due <= now.instant)
    }

    /// There is a user in memory.
    pub fn expect_sweep(&mut self, now: Now) {
        self.sweep.get_or_insert(now.instant + SWEEP_EVERY);
    }

    /// A message expires then, in ms since 1970.
    pub fn expect_expiry(&mut self, expires_ms: u64, now: Now) {
        let wait = Duration::from_millis(expires_ms.saturating_sub(now.unix_ms)).min(LOOK_AGAIN);
        let due = now.instant + wait;
        self.expiry = Some(self.expiry.map_or(due, |earlier| earlier.min(due)));
    }

    /// What has expired could not be taken out, or may not be now: it is tried again then.
    pub fn try_expiry_again(&mut self, now: Now) {
        self.expiry = Some(now.instant + TRY_AGAIN);
    }
}
