//! Large groups: what comes beside the log, and the fetching of what did not (docs/protocol.md, section 19).

use std::time::Duration;

use hongyan_proto::wire::{self, FailureCode, entry::Item as Wire, response::Result as Answer};

use super::{
    notebook::{Note, Shown, Way},
    requests::{self, GAP},
    state::Device,
};
use crate::sim::conversation::Conversation;

impl Device {
    /// Where it is in a large group, what this turn has brought included.
    fn place(&self, group: u64) -> u64 {
        let written = self.notebook.groups.get(&group).map_or(0, |standing| standing.place);
        self.round.place(group).unwrap_or(0).max(written)
    }

    /// An entry without a useq.
    pub(super) fn on_beside(&mut self, item: Wire) {
        match item {
            Wire::Hint(hint) => match Conversation::named(self.user, &hint.conversation) {
                Some(Conversation::Group(group)) => self.round.push(Note::Head { group, head: hint.head_cseq }),
                _ => self.world.ledger.borrow_mut().violated(|| format!("I5: a hint at {}", hint.conversation)),
            },
            Wire::Message(message) => {
                let Some((conversation, sight)) = self.see(&message) else { return };
                let Conversation::Group(group) = conversation else { return };
                let (place, cseq) = (self.place(group), message.cseq);
                if cseq == place + 1 {
                    self.note_shown(conversation, cseq, Shown { way: Way::Loaded, sight });
                    self.round.push(Note::Place { group, cseq });
                } else if cseq > place {
                    self.round.push(Note::Head { group, head: cseq });
                }
            }
            _ => {}
        }
    }

    /// The line of a conversation in the list, as it is now.
    pub(super) fn on_row(&mut self, row: &wire::Conversation) -> Option<Conversation> {
        let conversation = Conversation::named(self.user, &row.conversation)?;
        if let Conversation::Group(group) = conversation {
            self.round.push(Note::Group { group, is_in: !row.former });
            // Of a group that one has left nobody says whether it was large.
            if row.former || row.group.as_ref().is_some_and(|group| group.large) {
                self.round.push(Note::Head { group, head: row.head_cseq });
            }
        }
        Some(conversation)
    }

    /// Asks for what comes next of a large group that has come further than this device, one at a time.
    pub(super) fn fetch_gap(&mut self) {
        let Some((group, place)) = self.notebook.behind() else { return };
        if let Some(line) = self.line.as_mut().filter(|line| line.asked.is_none()) {
            line.asked = Some(group);
            let conversation = Conversation::Group(group).name_for(self.user);
            line.connection.request(&requests::history(GAP, conversation, place));
        }
    }

    pub(super) fn on_gap_answered(&mut self, answer: Option<Answer>) {
        match answer {
            Some(Answer::History(page)) => self.on_gap_page(page),
            Some(Answer::Failure(failure)) if failure.code() != FailureCode::FailureUnavailable => {
                self.on_gap_refused();
            }
            _ => self.abandon(Duration::from_millis(100)),
        }
    }

    fn on_gap_page(&mut self, page: wire::HistoryPage) {
        let Some(group) = self.line.as_mut().and_then(|line| line.asked.take()) else { return };
        let (mut place, before) = (self.place(group), self.place(group));
        for entry in page.entries {
            let Some(Wire::Message(message)) = entry.item else { continue };
            place = place.max(message.cseq);
            self.on_loaded(&message);
        }
        if !page.more {
            // What cannot be seen leaves holes.
            place = place.max(page.head_cseq);
        }
        if place > before {
            self.round.push(Note::Place { group, cseq: place });
        } else if !page.more && page.head_cseq <= place {
            self.leave_gap(group);
        }
    }

    /// The group cannot be read, or not any more.
    fn on_gap_refused(&mut self) {
        if let Some(group) = self.line.as_mut().and_then(|line| line.asked.take()) {
            self.leave_gap(group);
        }
    }

    /// Nothing of what lies above can be seen.
    fn leave_gap(&mut self, group: u64) {
        let head = self.notebook.groups.get(&group).map_or(0, |standing| standing.head);
        self.round.push(Note::Place { group, cseq: head });
    }
}
