//! One commit: everything staged, made durable, and what follows from it. And syncing what was committed before.

use std::time::Instant;

use hongyan_proto::canary;

use super::{op::Op, state::Committer, syncing::Syncing};
use crate::{
    base::{environment::Now, number::UserNo},
    store::{Batch, Durability, StoreError},
};

impl Committer {
    /// Works through `ops` and everything that has fallen due: one commit.
    pub async fn process(&mut self, ops: Vec<Op>, now: Now) {
        self.recover_acks(now).await;
        if let Err(error) = self.stage_expired(now).await {
            tracing::error!(%error, "messages that have expired could not be read");
        }
        for op in ops {
            self.stage(op, now).await;
        }
        self.stage_receipts(now).await;
        if self.is_urgent || self.due.cursors_are_due(now) {
            self.commit(now).await;
        } else {
            // Nothing durable is waited for; what there is to say does not depend on a commit.
            self.apply_effects();
        }
        if self.due.sync.is_some_and(|due| due <= now.instant) {
            self.sync(now).await;
        }
        self.let_go_of_visitors(now);
        self.let_go_of_idle_users(now);
    }

    async fn commit(&mut self, now: Now) {
        let cursors_are_due = self.due.cursors_are_due(now);
        self.write_messages();
        let touched = self.write_touched(cursors_are_due);
        if cursors_are_due {
            self.due.cursors = None;
        }
        let batch = self.batch.take();
        let is_urgent = std::mem::take(&mut self.is_urgent);
        if batch.is_empty() && !is_urgent {
            return self.apply_effects();
        }
        let durability = self.settings.syncing.durability(is_urgent);
        if canary::is("effects-before-commit") {
            self.apply_effects();
        }
        match self.commit_rows(batch, durability).await {
            Ok(()) => {
                self.schedule_sync(now);
                self.apply_effects();
            }
            Err(error) => self.fail(&error, touched, now).await,
        }
    }

    /// One commit of the engine, measured.
    async fn commit_rows(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        let rows = batch.writes.len();
        let started = Instant::now();
        let committed = self.log.engine().commit(batch, durability).await;
        match committed {
            Ok(()) => self.metrics.on_commit(rows, started.elapsed()),
            Err(_) => self.metrics.on_commit_failed(),
        }
        committed
    }

    fn apply_effects(&mut self) {
        for effect in self.effects.drain(..) {
            effect.apply(&self.sessions);
        }
    }

    /// The commit failed: everybody who waits is told, and memory is made to agree with the log again.
    async fn fail(&mut self, error: &StoreError, mut touched: Vec<UserNo>, now: Now) {
        tracing::error!(%error, "a commit failed, nothing of it was acknowledged");
        if canary::is("effects-of-a-failed-commit") {
            self.apply_effects();
        }
        for effect in self.effects.drain(..) {
            effect.fail(error);
        }
        touched.append(&mut self.touched_lazily);
        self.remember_acks(&touched, now);
        if let Err(error) = self.forget_memory().await {
            tracing::error!(%error, "the log cannot be read");
        }
        self.due.try_expiry_again(now);
    }

    /// A commit was made.
    pub fn schedule_sync(&mut self, now: Now) {
        if let Syncing::Within(interval) = self.settings.syncing {
            self.due.sync.get_or_insert(now.instant + interval);
        }
    }

    /// Puts everything committed so far on stable storage. A store that cannot do so now, but may later, is asked again
    /// after the interval; one that cannot for good takes no more commits, so that nobody is answered in vain.
    pub async fn sync(&mut self, now: Now) -> bool {
        self.due.sync = None;
        let synced = self.commit_rows(Batch::default(), Durability::Synced).await;
        if let Err(error) = &synced {
            tracing::error!(%error, "what was committed lately could not be synced");
            if !error.is_permanent() {
                self.schedule_sync(now);
            }
        }
        synced.is_ok()
    }

    /// The last commit, synced in every mode, with cursors that could still have waited. False: the sync failed.
    pub async fn finish(&mut self, now: Now) -> bool {
        self.due.cursors = Some(now.instant);
        self.process(Vec::new(), now).await;
        self.sync(now).await
    }
}
