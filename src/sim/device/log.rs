//! What comes out of the log: each entry is put into the book and noted, and the cursor moves with it.

use hongyan_proto::wire::{self, entry::Item as Wire};

use super::{
    notebook::{Note, Shown, Way},
    state::Device,
};
use crate::sim::{
    conversation::{self, Conversation},
    ledger::{Item, Sight},
};

impl Device {
    /// Takes an entry, unless the application has no time for it or for one before it.
    pub(super) fn take_or_hold(&mut self, entry: wire::Entry) {
        if self.slow_until > self.world.clock.now() || !self.held.is_empty() {
            self.held.push_back(entry);
        } else {
            self.on_entry(entry);
        }
    }

    /// Takes entries that the application had no time for.
    pub(super) fn resume_held(&mut self) {
        while self.slow_until <= self.world.clock.now()
            && let Some(entry) = self.held.pop_front()
        {
            self.on_entry(entry);
        }
        self.move_cursor();
    }

    /// Everything up to the first entry that is held is noted.
    pub(super) fn move_cursor(&mut self) {
        let Some(line) = self.line.as_ref().filter(|line| line.connection.is_live()) else { return };
        let first_held = self.held.iter().find(|entry| entry.useq > 0);
        let cursor = first_held.map_or(line.connection.applied(), |entry| entry.useq - 1);
        if self.round.cursor().or(self.notebook.cursor).is_none_or(|before| before < cursor) {
            self.round.push(Note::Cursor(cursor));
        }
    }

    fn on_entry(&mut self, entry: wire::Entry) {
        let (user, useq) = (self.user, entry.useq);
        let Some(item) = entry.item else { return };
        if useq == 0 {
            return self.on_beside(item);
        }
        // At once, for the connection may have ended by the end of the turn.
        self.round.push(Note::Cursor(useq));
        match item {
            Wire::Message(message) => {
                let Some((conversation, sight)) = self.see(&message) else { return };
                let cseq = message.cseq;
                self.world.ledger.borrow_mut().on_entry(user, useq, Item::Line(conversation, cseq));
                self.note_shown(conversation, cseq, Shown { way: Way::Pushed, sight });
                if let (Conversation::Group(group), true) = (conversation, sight == Sight::Grown) {
                    // Everything before has come through the log.
                    self.round.push(Note::Place { group, cseq });
                }
            }
            Wire::Receipt(receipt) => self.on_receipt(useq, &receipt),
            Wire::Conversation(row) => {
                if let Some(conversation) = self.on_row(&row) {
                    self.world.ledger.borrow_mut().on_entry(user, useq, Item::Row(conversation));
                }
            }
            // Other items are not part of the book.
            _ => {}
        }
    }

    fn on_receipt(&mut self, useq: u64, receipt: &wire::Receipt) {
        let conversation = Conversation::named(self.user, &receipt.conversation);
        let by = match receipt.uid.as_str() {
            "" => conversation::user(&receipt.conversation),
            uid => conversation::user(uid),
        };
        let mut ledger = self.world.ledger.borrow_mut();
        let (Some(conversation), Some(by)) = (conversation, by) else {
            return ledger.violated(|| format!("I5: {receipt:?}"));
        };
        let (delivered, read) = (receipt.delivered_cseq, receipt.read_cseq);
        ledger.on_entry(self.user, useq, Item::Receipt { conversation, by, delivered, read });
        self.round.push(Note::Receipt { conversation, by, delivered, read });
    }

    /// The device's own message, out of the log. Its answer came before, though it may have been that it is too old for one.
    pub(super) fn on_own(&mut self, entry: wire::Entry) {
        let Some(Wire::Message(message)) = entry.item else { return };
        let Some((conversation, sight)) = self.see(&message) else { return };
        self.world.ledger.borrow_mut().on_entry(self.user, entry.useq, Item::Line(conversation, message.cseq));
        self.note_shown(conversation, message.cseq, Shown { way: Way::Own, sight });
    }
}
