//! When commits reach stable storage: with each, within an interval, or when the operating system likes.
//!
//! Only a power cut, or a crash of the operating system, tells the three apart: what is committed survives a crash of this
//! process in each of them. What is lost then is a tail of the log, never something in its middle.

use std::time::Duration;

use hongyan_proto::canary;

use crate::store::Durability;

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
