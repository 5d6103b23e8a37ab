//! What a device sends: numbered, within its credit, and again what was not answered before the connection was lost.

use std::{borrow::Cow, collections::VecDeque};

use hongyan_proto::{
    ConversationId, codec,
    kind::Kind,
    wire::{self, NackCode, act::What},
};

use super::{Device, Event};
use crate::{frames, run::Run, stamp::Stamp};

/// Where a message goes.
#[derive(Clone, Copy, Debug)]
pub enum To {
    /// The number of the user within the run.
    User(u32),
    Group(u64),
}

impl From<u32> for To {
    fn from(user: u32) -> Self {
        To::User(user)
    }
}

/// What waits for its answer.
enum Written {
    Message(To, Stamp),
    /// With its intended time. It is not written again.
    Act(u64),
}

#[derive(Default)]
pub(super) struct Sending {
    /// Messages for which there is no connection or no credit yet.
    backlog: VecDeque<(To, Stamp)>,
    /// In the order of their numbers, the last of which is `last`.
    unanswered: VecDeque<Written>,
    last: u64,
    pub(super) max: u64,
}

impl Sending {
    /// The device is new here, or the server knows its numbers from another run.
    pub(super) fn begin_at(&mut self, last: u64) {
        self.last = last;
    }

    /// The number of the oldest without an answer, or of the next one to come.
    fn first_unanswered(&self) -> u64 {
        self.last + 1 - self.unanswered.len() as u64
    }
}

impl Device {
    /// Sends a message, as soon as there is a connection and credit.
    pub fn send(&mut self, run: &Run, to: To, stamp: Stamp) {
        let Sending { backlog, last, max, .. } = &self.sending;
        if self.is_live() && backlog.is_empty() && last < max {
            self.write(run, to, stamp);
        } else {
            self.sending.backlog.push_back((to, stamp));
        }
    }

    fn write(&mut self, run: &Run, to: To, stamp: Stamp) {
        self.sending.last += 1;
        self.sending.unanswered.push_back(Written::Message(to, stamp));
        self.put_send(run, self.sending.last, to, stamp);
    }

    fn put_send(&mut self, run: &Run, send_no: u64, to: To, stamp: Stamp) {
        let (head, filling) = run.stationery.write(stamp);
        let to = match to {
            To::User(user) => Cow::Borrowed(&run.uids[user as usize]),
            To::Group(number) => Cow::Owned(ConversationId::Group(number).to_string()),
        };
        frames::put_send(&mut self.out, send_no, &to, (&head, filling));
    }

    pub(super) fn send_unanswered_again(&mut self, run: &Run) {
        let first = self.sending.first_unanswered();
        let unanswered = std::mem::take(&mut self.sending.unanswered);
        for (written, send_no) in unanswered.iter().zip(first..) {
            if let Written::Message(to, stamp) = written {
                self.put_send(run, send_no, *to, *stamp);
            }
        }
        self.sending.unanswered = unanswered;
    }

    /// Does something in a conversation, or in none. There must be credit for it.
    pub fn act(&mut self, to: String, what: What, now: u64) {
        self.sending.last += 1;
        let act = Some(Box::new(wire::Act { what: Some(what) }));
        let send = wire::Send { send_no: self.sending.last, to, act, ..Default::default() };
        codec::put_frame(&mut self.out, Kind::Send, &send);
        self.sending.unanswered.push_back(Written::Act(now));
    }

    pub(super) fn on_credit(&mut self, run: &Run, max_send_no: u64) {
        self.sending.max = self.sending.max.max(max_send_no);
        while self.sending.last < self.sending.max
            && let Some((to, stamp)) = self.sending.backlog.pop_front()
        {
            self.write(run, to, stamp);
        }
    }

    /// Answers come in the order of the numbers; one that comes again changes nothing.
    pub(super) fn on_answered(&mut self, send_no: u64, events: &mut Vec<Event>) {
        let next = self.sending.first_unanswered();
        if send_no > next {
            self.fail(events, format!("the server answered SEND {send_no} before SEND {next}"));
        } else if send_no == next
            && let Some(written) = self.sending.unanswered.pop_front()
        {
            let (Written::Message(_, Stamp { intended, .. }) | Written::Act(intended)) = written;
            events.push(Event::Answered { intended });
        }
    }
}

pub(super) fn refusal(nack: &wire::SendNack) -> String {
    let code = NackCode::try_from(nack.code).map_or("of an unknown code", |code| code.as_str_name());
    let advice = match NackCode::try_from(nack.code) {
        Ok(NackCode::NackRateLimited) => "; raise limits.messages_per_second and limits.messages_burst of the server",
        Ok(NackCode::NackTooLarge) => "; lower --content-bytes or raise limits.max_content of the server",
        _ => "",
    };
    format!("SEND {} was refused: {code}, {}{advice}", nack.send_no, nack.reason)
}
