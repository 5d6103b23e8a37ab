//! What the server answers to what a device has sent.

use hongyan_proto::wire;

use super::{
    notebook::{Note, Shown, Way},
    state::Device,
};
use crate::sim::ledger::{Item, Sight};

impl Device {
    pub(super) fn on_answered(&mut self, ack: wire::SendAck) {
        let user = self.user;
        let mut ledger = self.world.ledger.borrow_mut();
        let Some(id) = self.notebook.outbox.get(&ack.send_no).copied() else {
            // A message may be answered out of the log ahead of an act before it, once on each connection until that is.
            let is_ahead = ack.send_no > self.notebook.answered() && ack.send_no <= self.notebook.last_send_no;
            return ledger.check(is_ahead, || format!("I2: u{user}: send_no {} was answered before", ack.send_no));
        };
        let is_safe = ledger.is_loose(id) || !ledger.has_content(id) || self.is_synced(id);
        ledger.check(is_safe, || format!("I4: send_no {} of u{user} was acked before its sync", ack.send_no));
        ledger.on_answered(id, &ack);
        self.round.push(Note::Answered { send_no: ack.send_no });
        // An act comes as an entry of its own.
        if let Some(conversation) = ledger.conversation(id).filter(|_| ack.useq > 0) {
            ledger.on_entry(user, ack.useq, Item::Line(conversation, ack.cseq));
            let shown = Shown { way: Way::Own, sight: Sight::Message { content: id, edited: 0 } };
            drop(ledger);
            self.note_shown(conversation, ack.cseq, shown);
        }
    }

    pub(super) fn on_refused(&mut self, nack: &wire::SendNack) {
        if let Some(id) = self.notebook.outbox.get(&nack.send_no) {
            self.world.ledger.borrow_mut().on_refused(*id, nack);
        }
        self.round.push(Note::Answered { send_no: nack.send_no });
    }
}
