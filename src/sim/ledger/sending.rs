//! What devices are told to send, and what they are answered (I1).

use bytes::Bytes;
use hongyan_proto::wire::{self, NackCode};

use super::book::{Ledger, Line, Sent};
use crate::sim::{
    content,
    conversation::{Conversation, Deed, User},
};

impl Ledger {
    /// A message or edit that has never been before, or another act. The number says which it is from now on.
    pub fn write(&mut self, from: User, to: Option<Conversation>, deed: Option<Deed>, filler: usize) -> usize {
        let id = self.sent.len();
        let content = match deed {
            None | Some(Deed::Edit(_)) => content::make(id as u32, filler),
            Some(_) => Bytes::new(),
        };
        if let (Some(Deed::Read(cseq)), Some(conversation)) = (&deed, to) {
            let asked = &mut self.marked.entry((from, conversation)).or_default().0;
            *asked = (*cseq).max(*asked);
        }
        self.sent.push(Sent {
            from,
            to,
            deed,
            content,
            is_loose: false,
            is_answered: false,
            is_refused: false,
            cseq: None,
        });
        id
    }

    /// What a device puts on the wire.
    pub fn send(&self, id: usize, send_no: u64) -> wire::Send {
        let Sent { from, to, deed, content, .. } = &self.sent[id];
        let to = to.map_or(String::new(), |to| to.name_for(*from));
        match deed {
            None => wire::Send { send_no, to, content: content.clone(), ..Default::default() },
            Some(deed) => {
                wire::Send { send_no, to, act: Some(Box::new(deed.asked(content.clone()))), ..Default::default() }
            }
        }
    }

    /// The device that was to send it cannot vouch for it any more.
    pub fn let_loose(&mut self, id: usize) {
        // That it was refused holds for the number that it had.
        (self.sent[id].is_loose, self.sent[id].is_refused) = (true, false);
    }

    /// A device was told that what it sent is durable.
    pub fn on_answered(&mut self, id: usize, ack: &wire::SendAck) {
        let sent = &mut self.sent[id];
        sent.is_answered = true;
        if ack.group != 0 {
            sent.to = Some(Conversation::Group(ack.group));
        }
        self.answered += 1;
        let (from, deed) = (sent.from, sent.deed.clone());
        let Some(to) = sent.to else { return };
        if let Some(Deed::Read(cseq)) = deed {
            let done = &mut self.marked.entry((from, to)).or_default().1;
            *done = cseq.max(*done);
        }
        if ack.cseq == 0 {
            return self.check(deed.is_some(), || format!("R1: message {id} has no number"));
        }
        if deed.is_none() {
            self.on_message(id, to, ack.cseq);
            self.stands(to, ack.cseq, Line { from, deed });
        }
        self.sent[id].cseq = Some(ack.cseq);
        let other = *self.answers.entry((to, ack.cseq)).or_insert(id);
        self.check(other == id || self.sent[other].is_loose, || {
            format!("I3: {other} and {id} were both answered to be at {} of {to:?}", ack.cseq)
        });
    }

    /// A device was told that what it sent is refused for good.
    pub fn on_refused(&mut self, id: usize, nack: &wire::SendNack) {
        let sent = &mut self.sent[id];
        sent.is_answered = true;
        let is_between_two = sent.to.is_some_and(|to| !to.is_group());
        let may_be = match nack.code() {
            // It was taken before, and comes out of the log.
            NackCode::NackAnswerExpired => {
                sent.is_loose = true;
                true
            }
            NackCode::NackNotFound | NackCode::NackForbidden => {
                !is_between_two || matches!(sent.deed, Some(Deed::Edit(_) | Deed::Recall(_)))
            }
            // A calendar may have jumped meanwhile.
            NackCode::NackTooLate => sent.deed.is_some() && self.has_time_passed,
            _ => false,
        };
        sent.is_refused = !sent.is_loose;
        self.check(may_be, || format!("I1: what is good was refused: {nack:?}"));
    }
}
