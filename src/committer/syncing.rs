//! When commits reach stable storage: with each, within an interval, or when the operating system likes.
//!
//! Only a power cut, or a crash of the operating system, tells the three apart: what is committed survives a crash of this
//! process in each of them. What is lost then is a tail of the log, never something in its middle.

use std::time::Duration;

use hongyan_proto::canary;

use super::Committer;
use crate::{
    base::environment::Now,
    store::{Batch, Durability},
};

/// When a commit that somebody waits for is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syncing {
    /// Before anybody is answered. A power cut loses nothing that was acknowledged.
    EachCommit,
    /// At the latest so long after the first commit that is not synced. A power cut loses what is younger.
    Within(Duration),
    /// By the operating system, usually within half a minute. A power cut loses what it had not written.
    BySystem,
}

impl Syncing {
    /// What a commit must promise. Cursors alone, which nobody waits for, may always be lost: a device names its own.
    pub fn durability(self, is_urgent: bool) -> Durability {
        if is_urgent && self == Syncing::EachCommit && !canary::is("ack-before-sync") {
            Durability::Synced
        } else {
            Durability::Buffered
        }
    }
}

impl Committer {
    /// A commit was made.
    pub fn schedule_sync(&mut self, now: Now) {
        if let Syncing::Within(interval) = self.settings.syncing {
            self.sync_due.get_or_insert(now.instant + interval);
        }
    }

    /// Puts everything committed so far on stable storage. A store that cannot do so now, but may later, is asked again
    /// after the interval; one that cannot for good takes no more commits, so that nobody is answered in vain.
    pub async fn sync(&mut self, now: Now) -> bool {
        self.sync_due = None;
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
        self.cursors_due = Some(now.instant);
        self.process(Vec::new(), now).await;
        self.sync(now).await
    }
}
