//! What the client's connection tells a device, turned into notes; and the loading of what was missed after a reset.

use std::collections::VecDeque;

use hongyan_proto::{
    CloseCode,
    client::Event,
    wire::{self, FailureCode, entry::Item as Wire, request::Op, response::Result as Answer},
};

use super::{
    Device,
    beside::{GAP, PAGE},
    notebook::{Note, Shown, Way},
};
use crate::sim::{
    conversation::{self, Conversation},
    ledger::{Item, Sight},
};

/// What is still to be loaded after a reset, on this connection.
#[derive(Default)]
pub struct Reload {
    /// No entry after the reset or login is acked up to more than this.
    pub base: u64,
    /// How many resets came before it on this connection. What was asked before one is not an answer behind it.
    resets: u64,
    is_asked: bool,
    is_listed: bool,
    list_after: u64,
    /// Conversations to load, each from behind a cseq.
    todo: VecDeque<(String, u64)>,
}

impl Reload {
    pub fn next_request(&mut self) -> Option<wire::Request> {
        if std::mem::replace(&mut self.is_asked, true) {
            return None;
        }
        let op = match self.todo.front() {
            Some((conversation, after)) => Op::History(wire::HistoryRequest {
                conversation: conversation.clone(),
                after: *after,
                limit: PAGE,
                forward: true,
                ..Default::default()
            }),
            None => Op::Conversations({
                let (after, limit) = (self.list_after, 2);
                wire::ConversationsRequest { after, limit, ..Default::default() }
            }),
        };
        Some(wire::Request { id: self.id(), op: Some(op) })
    }

    /// Of its requests.
    fn id(&self) -> u64 {
        GAP + 1 + self.resets
    }
}

impl Device {
    pub(super) fn handle_events(&mut self) {
        let now = self.world.clock.now();
        while let Some(event) = self.line.as_mut().and_then(|line| line.connection.poll_event(now)) {
            self.on_event(event);
        }
        self.move_cursor();
    }

    fn on_event(&mut self, event: Event) {
        tracing::trace!(at = ?self.world.clock.passed(), user = self.user, device = self.name, ?event);
        match event {
            Event::Welcome(welcome) => self.on_welcome(*welcome),
            Event::Resumed(resumed) => self.on_resumed(*resumed),
            Event::Rejected(reject) => self.on_rejected(&reject),
            Event::Entry(entry) => {
                if self.slow_until > self.world.clock.now() || !self.held.is_empty() {
                    self.held.push_back(*entry);
                } else {
                    self.on_entry(*entry);
                }
            }
            Event::Answered(ack) => self.on_answered(ack),
            Event::Refused(nack) => {
                if let Some(id) = self.notebook.outbox.get(&nack.send_no) {
                    self.world.ledger.borrow_mut().on_refused(*id, &nack);
                }
                self.round.push(Note::Answered { send_no: nack.send_no });
            }
            Event::Reset(reset) => self.on_reset(reset.log_epoch, reset.head),
            Event::Response(response) => self.on_response(*response),
            Event::GoAway(go_away) => {
                let spread = self.chance.span(0, u64::from(go_away.spread_ms) * 1000);
                self.leave_at = Some(self.world.clock.now() + spread);
            }
            Event::Closed { code, reason, .. } => self.on_end(code, &reason),
            Event::Own(entry) => self.on_own(*entry),
            Event::Postponed(_) | Event::Signal(_) => {}
        }
    }

    // ------------------------------------------------------------ login

    fn on_welcome(&mut self, welcome: wire::Welcome) {
        self.round.push(Note::Taken { as_self: self.selves });
        match self.notebook.cursor {
            None => {
                self.round.push(Note::Cursor(welcome.cursor));
                self.round.push(Note::LogEpoch(welcome.log_epoch));
            }
            Some(cursor) if self.notebook.log_epoch != welcome.log_epoch || cursor < welcome.cursor => {
                self.on_reset(welcome.log_epoch, welcome.cursor);
            }
            Some(_) => {}
        }
        if let Some(limits) = welcome.limits {
            self.round.push(Note::Limits(limits));
        }
        self.on_login(welcome.resume_token, welcome.cursor);
    }

    fn on_resumed(&mut self, resumed: wire::Resumed) {
        let now = self.world.clock.now();
        match (resumed.limits, self.notebook.limits, &mut self.line) {
            (Some(limits), ..) => self.round.push(Note::Limits(limits)),
            (None, Some(limits), Some(line)) => line.connection.set_limits(&limits, now),
            _ => {}
        }
        let cursor = self.notebook.cursor.unwrap_or(0);
        self.world.stolen_tokens.borrow_mut().on_resumed(self.number, &self.notebook.resume_token);
        self.on_login(resumed.resume_token, cursor);
    }

    fn on_login(&mut self, token: bytes::Bytes, cursor: u64) {
        self.round.push(Note::Token(token));
        self.distrust = false;
        self.is_suspect = false;
        if let Some(line) = &mut self.line {
            line.is_answered = true;
            line.reload.base = line.reload.base.max(cursor);
        }
    }

    fn on_rejected(&mut self, reject: &wire::Reject) {
        let Some(line) = &mut self.line else { return };
        let says_hello = CloseCode(reject.code) == CloseCode::RESUME_REFUSED && std::mem::take(&mut line.is_resuming);
        line.is_answered = !says_hello;
        if says_hello {
            let hello = self.hello();
            self.line.iter_mut().for_each(|line| line.connection.log_in(&hello));
            self.round.push(Note::Token(bytes::Bytes::new()));
        }
    }

    // ------------------------------------------------------------ log

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
    fn move_cursor(&mut self) {
        let Some(line) = self.line.as_ref().filter(|line| line.connection.is_live()) else { return };
        let first_held = self.held.iter().find(|entry| entry.useq > 0);
        let cursor = first_held.map_or(line.connection.applied(), |entry| entry.useq - 1);
        let noted = self.round.iter().rev().find_map(|note| match note {
            Note::Cursor(cursor) | Note::Reset { head: cursor, .. } => Some(*cursor),
            _ => None,
        });
        if noted.or(self.notebook.cursor).is_none_or(|before| before < cursor) {
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
            Wire::Receipt(receipt) => {
                let conversation = Conversation::named(user, &receipt.conversation);
                let by = match receipt.uid.as_str() {
                    "" => conversation::user(&receipt.conversation),
                    uid => conversation::user(uid),
                };
                let mut ledger = self.world.ledger.borrow_mut();
                let (Some(conversation), Some(by)) = (conversation, by) else {
                    return ledger.violated(|| format!("I5: {receipt:?}"));
                };
                let (delivered, read) = (receipt.delivered_cseq, receipt.read_cseq);
                ledger.on_entry(user, useq, Item::Receipt { conversation, by, delivered, read });
                self.round.push(Note::Receipt { conversation, by, delivered, read });
            }
            Wire::Conversation(row) => {
                if let Some(conversation) = self.on_row(&row) {
                    self.world.ledger.borrow_mut().on_entry(user, useq, Item::Row(conversation));
                }
            }
            // Other items are not part of the book.
            _ => {}
        }
    }

    /// The device's own message, out of the log. Its answer came before, though it may have been that it is too old for one.
    fn on_own(&mut self, entry: wire::Entry) {
        let Some(Wire::Message(message)) = entry.item else { return };
        let Some((conversation, sight)) = self.see(&message) else { return };
        self.world.ledger.borrow_mut().on_entry(self.user, entry.useq, Item::Line(conversation, message.cseq));
        self.note_shown(conversation, message.cseq, Shown { way: Way::Own, sight });
    }

    fn on_answered(&mut self, ack: wire::SendAck) {
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

    // ------------------------------------------------------------ reset

    fn on_reset(&mut self, log_epoch: u64, head: u64) {
        self.held.clear();
        self.round.push(Note::Reset { log_epoch, head });
        if let Some(line) = &mut self.line {
            line.reload = Reload { base: head, resets: line.reload.resets + 1, ..Reload::default() };
        }
    }

    fn on_response(&mut self, response: wire::Response) {
        if response.id == GAP {
            return match response.result {
                Some(Answer::History(page)) => self.on_gap_page(page),
                Some(Answer::Failure(failure)) if failure.code() != FailureCode::FailureUnavailable => {
                    self.on_gap_refused();
                }
                _ => self.abandon(std::time::Duration::from_millis(100)),
            };
        }
        let Some(line) = &mut self.line else { return };
        let reload = &mut line.reload;
        if response.id != reload.id() {
            return;
        }
        reload.is_asked = false;
        match response.result {
            Some(Answer::Conversations(page)) => {
                reload.todo.extend(page.conversations.iter().map(|row| (row.conversation.clone(), 0)));
                reload.list_after = page.next;
                reload.is_listed = page.next == 0;
                for row in &page.conversations {
                    self.on_row(row);
                }
            }
            Some(Answer::History(page)) => {
                let messages = page.entries.into_iter().filter_map(|entry| match entry.item {
                    Some(Wire::Message(message)) => Some(message),
                    _ => None,
                });
                let messages: Vec<_> = messages.collect();
                match (page.more, messages.last(), reload.todo.front_mut()) {
                    (true, Some(last), Some(front)) => front.1 = last.cseq,
                    _ => drop(reload.todo.pop_front()),
                }
                messages.into_iter().for_each(|message| self.on_loaded(&message));
            }
            // The store cannot be read now: all begins anew on the next connection.
            _ => return self.abandon(std::time::Duration::from_millis(100)),
        }
        let is_done = |line: &super::Line| line.reload.is_listed && line.reload.todo.is_empty();
        if self.line.as_ref().is_some_and(is_done) {
            self.round.push(Note::ReloadDone);
        }
    }
}
