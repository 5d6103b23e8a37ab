//! What a device sends: numbered, within its credit, and again what was not answered before the connection was lost.

use std::{borrow::Cow, collections::VecDeque};

use bytes::BytesMut;
use hongyan_proto::{
    ConversationId, codec,
    kind::Kind,
    wire::{self, NackCode, act::What},
};

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
pub struct Sending {
    /// Messages for which there is no connection or no credit yet.
    backlog: VecDeque<(To, Stamp)>,
    /// In the order of their numbers, the last of which is `last`.
    unanswered: VecDeque<Written>,
    last: u64,
    /// The highest number that there is credit for.
    pub max: u64,
}

impl Sending {
    /// The device is new here, or the server knows its numbers from another run.
    pub fn begin_at(&mut self, last: u64) {
        self.last = last;
    }

    /// The number of the oldest without an answer, or of the next one to come.
    fn first_unanswered(&self) -> u64 {
        self.last + 1 - self.unanswered.len() as u64
    }

    /// Writes a message to `out`, if there is a connection and credit; otherwise it waits for them.
    pub fn send(&mut self, run: &Run, out: Option<&mut BytesMut>, to: To, stamp: Stamp) {
        match out.filter(|_| self.backlog.is_empty() && self.last < self.max) {
            Some(out) => self.write(run, out, to, stamp),
            None => self.backlog.push_back((to, stamp)),
        }
    }

    fn write(&mut self, run: &Run, out: &mut BytesMut, to: To, stamp: Stamp) {
        self.last += 1;
        self.unanswered.push_back(Written::Message(to, stamp));
        put_send(run, out, self.last, to, stamp);
    }

    /// Writes what was not answered on the connection before.
    pub fn write_again(&self, run: &Run, out: &mut BytesMut) {
        for (written, send_no) in self.unanswered.iter().zip(self.first_unanswered()..) {
            if let Written::Message(to, stamp) = written {
                put_send(run, out, send_no, *to, *stamp);
            }
        }
    }

    /// Does something in a conversation, or in none. There must be credit for it.
    pub fn act(&mut self, out: &mut BytesMut, to: String, what: What, now: u64) {
        self.last += 1;
        let act = Some(Box::new(wire::Act { what: Some(what) }));
        let send = wire::Send { send_no: self.last, to, act, ..Default::default() };
        codec::put_frame(out, Kind::Send, &send);
        self.unanswered.push_back(Written::Act(now));
    }

    pub fn on_credit(&mut self, run: &Run, out: &mut BytesMut, max_send_no: u64) {
        self.max = self.max.max(max_send_no);
        while self.last < self.max
            && let Some((to, stamp)) = self.backlog.pop_front()
        {
            self.write(run, out, to, stamp);
        }
    }

    /// The intended time of what is answered. Answers come in the order of the numbers; one that comes again changes
    /// nothing. Err: why the run has failed.
    pub fn on_answered(&mut self, send_no: u64) -> Result<Option<u64>, String> {
        let next = self.first_unanswered();
        if send_no > next {
            return Err(format!("the server answered SEND {send_no} before SEND {next}"));
        }
        let answered = if send_no == next { self.unanswered.pop_front() } else { None };
        Ok(answered.map(|(Written::Message(_, Stamp { intended, .. }) | Written::Act(intended))| intended))
    }
}

fn put_send(run: &Run, out: &mut BytesMut, send_no: u64, to: To, stamp: Stamp) {
    let (head, filling) = run.stationery.write(stamp);
    let to = match to {
        To::User(user) => Cow::Borrowed(&run.uids[user as usize]),
        To::Group(number) => Cow::Owned(ConversationId::Group(number).to_string()),
    };
    frames::put_send(out, send_no, &to, (&head, filling));
}

/// Why the run has failed.
pub fn refusal(nack: &wire::SendNack) -> String {
    let code = NackCode::try_from(nack.code).map_or("of an unknown code", |code| code.as_str_name());
    let advice = match NackCode::try_from(nack.code) {
        Ok(NackCode::NackRateLimited) => "; raise limits.messages_per_second and limits.messages_burst of the server",
        Ok(NackCode::NackTooLarge) => "; lower --content-bytes or raise limits.max_content of the server",
        _ => "",
    };
    format!("SEND {} was refused: {code}, {}{advice}", nack.send_no, nack.reason)
}
