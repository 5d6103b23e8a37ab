//! What the application is shown: entries and answers, which are kept until it has handled them, and what only passes.

use hongyan_proto::{Uid, wire};

use super::{round::Round, state::Driver};
use crate::{
    event::Event,
    store::{StoredEvent, stored_event::Kind},
};

impl Driver {
    /// Gives an entry to the application, unless nobody looks.
    pub(super) fn show(&mut self, entry: wire::Entry, round: &mut Round) {
        if !(self.queue.is_abandoned() && self.login.ephemeral) {
            self.keep(Kind::Entry(entry), round);
        }
    }

    /// Shows an event once the round is committed, and again after a restart until it is handled.
    pub(super) fn keep(&mut self, kind: Kind, round: &mut Round) {
        if let Ok(uid) = Uid::new(&self.meta.uid) {
            let stored = StoredEvent { kind: Some(kind) };
            round.events.extend(self.queue.keep(&uid, stored, &mut round.change));
        }
    }

    /// Shows what is worth nothing later.
    pub(super) fn pass(&mut self, event: Event, round: &mut Round) {
        if !self.queue.is_behind() {
            round.events.extend(self.queue.passing(event));
        }
    }
}
