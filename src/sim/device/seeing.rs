//! A message that has come, from wherever: checked against the book, and noted as shown.

use hongyan_proto::wire;

use super::{
    notebook::{Note, Shown, Way},
    state::Device,
};
use crate::sim::{conversation::Conversation, ledger::Sight};

impl Device {
    /// Something in a conversation has come, from wherever: it is put into the book, and must be on stable storage (I4).
    pub(super) fn see(&mut self, message: &wire::Message) -> Option<(Conversation, Sight)> {
        let mut ledger = self.world.ledger.borrow_mut();
        let (conversation, sight) = ledger.on_line(self.user, message)?;
        if let Sight::Message { content, .. } | Sight::Edit { content: Some(content), .. } = sight {
            let is_safe = ledger.is_loose(content) || self.is_synced(content);
            let (user, cseq) = (self.user, message.cseq);
            ledger.check(is_safe, || format!("I4: u{user} is shown {cseq} of {conversation:?} before its sync"));
        }
        Some((conversation, sight))
    }

    pub(super) fn is_synced(&self, content: usize) -> bool {
        !self.world.host.disk.is_unsynced(content as u32)
    }

    pub(super) fn note_shown(&mut self, conversation: Conversation, cseq: u64, shown: Shown) {
        self.round.push(Note::Shown { conversation, cseq, shown });
    }

    pub(super) fn on_loaded(&mut self, message: &wire::Message) {
        let Some((conversation, sight)) = self.see(message) else { return };
        match self.notebook.has(conversation, message.cseq) {
            false => self.note_shown(conversation, message.cseq, Shown { way: Way::Loaded, sight }),
            // It may have been taken back behind a reset, where its answer came after the act.
            true => self.round.push(Note::Seen { conversation, cseq: message.cseq, sight }),
        }
    }
}
