//! What the client's connection tells a device, turned into notes; and the loading of what was missed after a reset.

use std::collections::VecDeque;

use hongyan_proto::{
    CloseCode,
    client::Event,
    wire::{self, NackCode, entry::Item as Wire, request::Op, response::Result as Answer},
};

use super::{Device, Note, Way};
use crate::sim::ledger::{self, Item, pair};

/// Messages of one page of history.
const PAGE: u32 = 20;

/// What is still to be loaded after a reset, on this connection.
#[derive(Default)]
pub struct Reload {
    /// No entry after the reset or login is acked up to more than this.
    pub base: u64,
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
        Some(wire::Request { id: 1, op: Some(op) })
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
                let what = format!("I1: u{} {}: a good message was refused: {nack:?}", self.user, self.name);
                let is_repeated = nack.code() == NackCode::NackAnswerExpired;
                let mut ledger = self.world.ledger.borrow_mut();
                ledger.check(is_repeated, || what);
                // It was taken before, and comes out of the log.
                self.notebook.outbox.get(&nack.send_no).iter().for_each(|(_, content)| ledger.let_loose(content));
                drop(ledger);
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
        let known = self.notebook.cursor;
        match known {
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
        let hello = self.hello();
        let Some(line) = &mut self.line else { return };
        line.is_answered = true;
        if CloseCode(reject.code) == CloseCode::RESUME_REFUSED && std::mem::take(&mut line.is_resuming) {
            line.is_answered = false;
            line.connection.log_in(&hello);
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
        let cursor = self.held.front().map_or(line.connection.applied(), |entry| entry.useq - 1);
        let noted = self.round.iter().rev().find_map(|note| match note {
            Note::Cursor(cursor) | Note::Reset { head: cursor, .. } => Some(*cursor),
            _ => None,
        });
        if noted.or(self.notebook.cursor).is_none_or(|before| before < cursor) {
            self.round.push(Note::Cursor(cursor));
        }
    }

    fn on_entry(&mut self, entry: wire::Entry) {
        let user = self.user;
        // At once, for the connection may have ended by the end of the turn.
        self.round.push(Note::Cursor(entry.useq));
        match entry.item {
            Some(Wire::Message(message)) => {
                let is_synced = !self.world.host.disk.is_unsynced(&message.content);
                let mut ledger = self.world.ledger.borrow_mut();
                let is_synced = is_synced || ledger.is_loose(&message.content);
                ledger.check(is_synced, || format!("I4: u{user} is shown entry {} before its sync", entry.useq));
                let wire::Message { from, to, cseq, content, .. } = &message;
                let Some(pair) = ledger.on_place(user, from, to, *cseq, content) else { return };
                ledger.on_entry(user, entry.useq, Item::Message(pair, *cseq));
                self.round.push(Note::Shown { pair, cseq: *cseq, way: Way::Pushed });
            }
            Some(Wire::Receipt(receipt)) => {
                let mut ledger = self.world.ledger.borrow_mut();
                let Some(peer) = ledger::user(&receipt.conversation) else {
                    return ledger.violated(|| format!("I5: a receipt of {}", receipt.conversation));
                };
                ledger.on_entry(user, entry.useq, Item::Receipt(peer, receipt.delivered_cseq));
                self.round.push(Note::Receipt { peer, cseq: receipt.delivered_cseq });
            }
            // Other items are not part of the book.
            _ => {}
        }
    }

    /// The device's own message, out of the log. Its answer came before, though it may have been that it is too old for one.
    fn on_own(&mut self, entry: wire::Entry) {
        let Some(Wire::Message(message)) = entry.item else { return };
        let wire::Message { from, to, cseq, content, .. } = &message;
        let mut ledger = self.world.ledger.borrow_mut();
        let Some(pair) = ledger.on_place(self.user, from, to, *cseq, content) else { return };
        ledger.on_entry(self.user, entry.useq, Item::Message(pair, *cseq));
        self.round.push(Note::Shown { pair, cseq: *cseq, way: Way::Own });
    }

    fn on_answered(&mut self, ack: wire::SendAck) {
        let user = self.user;
        let Some((to, content)) = self.notebook.outbox.get(&ack.send_no).cloned() else {
            return self
                .world
                .ledger
                .borrow_mut()
                .violated(|| format!("u{user}: send_no {} has no message", ack.send_no));
        };
        let is_synced = !self.world.host.disk.is_unsynced(&content);
        let mut ledger = self.world.ledger.borrow_mut();
        let is_synced = is_synced || ledger.is_loose(&content);
        ledger.check(is_synced, || format!("I4: send_no {} of u{user} was acked before its sync", ack.send_no));
        ledger.on_acked(user, &content, ack.cseq);
        let pair = pair(user, to);
        ledger.on_entry(user, ack.useq, Item::Message(pair, ack.cseq));
        self.round.push(Note::Answered { send_no: ack.send_no });
        self.round.push(Note::Shown { pair, cseq: ack.cseq, way: Way::Own });
    }

    // ------------------------------------------------------------ reset

    fn on_reset(&mut self, log_epoch: u64, head: u64) {
        self.held.clear();
        self.round.push(Note::Reset { log_epoch, head });
        if let Some(line) = &mut self.line {
            line.reload = Reload { base: head, ..Reload::default() };
        }
    }

    fn on_response(&mut self, response: wire::Response) {
        let Some(line) = &mut self.line else { return };
        let reload = &mut line.reload;
        reload.is_asked = false;
        match response.result {
            Some(Answer::Conversations(page)) => {
                reload.todo.extend(page.conversations.into_iter().map(|found| (found.conversation, 0)));
                reload.list_after = page.next;
                reload.is_listed = page.next == 0;
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

    fn on_loaded(&mut self, message: &wire::Message) {
        let wire::Message { from, to, cseq, content, .. } = message;
        let placed = self.world.ledger.borrow_mut().on_place(self.user, from, to, *cseq, content);
        let Some(pair) = placed else { return };
        let is_known = self.notebook.shown.get(&pair).is_some_and(|shown| shown.contains_key(cseq));
        if !is_known {
            self.round.push(Note::Shown { pair, cseq: *cseq, way: Way::Loaded });
        }
    }
}
