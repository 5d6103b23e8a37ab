//! What the server says, turned into a round: entries, answers, logins, resets.

use bytes::Bytes;
use hongyan_proto::{
    CloseCode, ConversationId, Uid,
    client::Event as Told,
    wire::{self, entry::Item},
};

use super::{
    clock::{clock_ms, now},
    hello,
    outbox::outcome,
    requests::Asker,
    round::Round,
    state::{Driver, Stop},
};
use crate::{
    error::{ClientError, ErrorKind},
    event::{Event, Presence},
    store::{Answer, OutboxItem, Outcome as Stored, stored_event::Kind},
};

/// The longest resume token the protocol allows, in bytes.
const MAX_RESUME_TOKEN: usize = 64;
/// What is kept of a reason, in characters.
const MAX_REASON: usize = 256;

/// The token, unless it breaks the protocol's limit; then a HELLO has to do next time.
fn usable(token: Bytes) -> Bytes {
    if token.len() <= MAX_RESUME_TOKEN { token } else { Bytes::new() }
}

impl Driver {
    /// Takes everything that the line being driven has to tell.
    pub(super) fn poll_events(&mut self, round: &mut Round) -> Result<(), Stop> {
        let now = now();
        while let Some(told) = self.line().and_then(|line| line.connection.poll_event(now)) {
            self.on_told(told, round)?;
        }
        let Self { active, requests, .. } = self;
        if let Some(line) = active {
            requests.on_pongs(&line.connection, now);
        }
        self.move_cursor(round);
        Ok(())
    }

    fn on_told(&mut self, told: Told, round: &mut Round) -> Result<(), Stop> {
        match told {
            Told::Welcome(welcome) => self.on_welcome(*welcome, round)?,
            Told::Resumed(resumed) => self.on_resumed(*resumed, round)?,
            Told::Rejected(reject) => self.on_rejected(&reject, round)?,
            Told::Entry(mut entry) => {
                // Of an older device epoch: an entry like any other.
                entry.own_send_no = 0;
                self.on_entry(*entry, round)?;
            }
            Told::Own(entry) => self.on_entry(*entry, round)?,
            Told::Answered(ack) => self.on_answer(ack.send_no, Stored::Sent(ack), round)?,
            Told::Refused(mut nack) => {
                nack.reason = nack.reason.chars().take(MAX_REASON).collect();
                self.on_answer(nack.send_no, Stored::Refused(nack), round)?;
            }
            Told::Postponed(nack) => tracing::debug!(send_no = nack.send_no, code = nack.code, "refused for now"),
            Told::Reset(reset) => self.on_reset(reset.log_epoch, reset.head, round),
            Told::Signal(signal) => self.on_signal(signal, round),
            Told::Response(response) => {
                if let Some((asker, result)) = self.requests.on_response(*response) {
                    self.on_own_response(&asker, result, round);
                }
            }
            Told::GoAway(go_away) => self.on_go_away(go_away),
            Told::Closed { code, reason, retry_after, by_peer } => {
                self.on_closed(code, &reason, retry_after, by_peer, round)?;
            }
        }
        Ok(())
    }

    // ------------------------------------------------------------ login

    fn on_welcome(&mut self, welcome: wire::Welcome, round: &mut Round) -> Result<(), ClientError> {
        let meta = &mut self.meta;
        if Uid::new(&welcome.uid).is_err() || !meta.uid.is_empty() && meta.uid != welcome.uid {
            let what = format!("the store belongs to {:?}, but the login is {:?}", meta.uid, welcome.uid);
            return Err(ClientError::new(ErrorKind::Settings, what));
        }
        meta.uid = welcome.uid;
        meta.resume_token = usable(welcome.resume_token);
        meta.resume_ttl_s = welcome.resume_ttl_s;
        meta.resume_from_ms = clock_ms();
        meta.limits = welcome.limits.or(meta.limits.take());
        match meta.cursor {
            None => {
                meta.cursor = Some(welcome.cursor);
                meta.log_epoch = welcome.log_epoch;
            }
            // What lies between the two places would never come: the same as a reset.
            Some(cursor) if meta.log_epoch != welcome.log_epoch || cursor < welcome.cursor => {
                self.on_reset(welcome.log_epoch, welcome.cursor, round);
            }
            Some(_) => {}
        }
        self.on_logged_in(false, round);
        Ok(())
    }

    fn on_resumed(&mut self, resumed: wire::Resumed, round: &mut Round) -> Result<(), ClientError> {
        self.meta.resume_token = usable(resumed.resume_token);
        self.meta.resume_from_ms = clock_ms();
        match resumed.limits {
            Some(limits) => self.meta.limits = Some(limits),
            None => {
                let limits = self.meta.limits;
                if let (Some(line), Some(limits)) = (self.line(), limits) {
                    line.connection.set_limits(&limits, now());
                }
            }
        }
        self.on_logged_in(true, round);
        Ok(())
    }

    fn on_rejected(&mut self, reject: &wire::Reject, round: &mut Round) -> Result<(), ClientError> {
        let code = CloseCode(reject.code);
        let hello = self.login.hello(&self.meta, self.answered());
        let Some(line) = self.line() else { return Ok(()) };
        line.answered = true;
        if code != CloseCode::RESUME_REFUSED {
            // The connection tells its end itself.
            return Ok(());
        }
        if !std::mem::take(&mut line.resuming) {
            return Err(ClientError::from_close(code, &reject.reason, false));
        }
        let hello = hello.ok_or_else(hello::required);
        if let Ok(hello) = &hello {
            line.connection.log_in(hello);
        }
        self.meta.resume_token = Bytes::new();
        round.meta = true;
        hello.map(|_| ())
    }

    // ------------------------------------------------------------ log

    fn on_own_response(&mut self, asker: &Asker, result: wire::response::Result, round: &mut Round) {
        match (asker, result) {
            (Asker::Reload, result) => self.on_reload_response(result, round),
            (Asker::Row, result) => self.on_row_response(result, round),
            (Asker::Gap, result) => self.on_gap_response(result, round),
            (_, wire::response::Result::Presence(list)) => self.on_presence(list.presence, round),
            _ => {}
        }
    }

    /// An entry that the connection has not handed over before. With `own_send_no`: a message of this device, which is
    /// told as Sent.
    fn on_entry(&mut self, entry: wire::Entry, round: &mut Round) -> Result<(), ClientError> {
        if entry.useq == 0 {
            return self.on_unnumbered(entry, round);
        }
        if self.meta.cursor.is_some_and(|cursor| entry.useq <= cursor) {
            return Ok(());
        }
        if !self.held.is_empty() || self.queue.is_full() && entry.own_send_no == 0 {
            self.held.push_back(entry);
            return Ok(());
        }
        self.apply(entry, round)
    }

    /// What stands in no log: an entry of a large group, or how far it has grown.
    fn on_unnumbered(&mut self, mut entry: wire::Entry, round: &mut Round) -> Result<(), ClientError> {
        match &mut entry.item {
            Some(Item::Message(message)) => {
                let group = self.conversation_of(message)?;
                message.content = Bytes::copy_from_slice(&message.content);
                self.marks.entry(group.clone()).or_default().large = true;
                self.on_large(group, entry, round);
            }
            Some(Item::Hint(hint)) => self.large.on_head(&hint.conversation, hint.head_cseq),
            _ => {}
        }
        Ok(())
    }

    /// Takes entries that were held back, as far as there is room.
    pub(super) fn resume_held(&mut self, round: &mut Round) -> Result<(), Stop> {
        let abandoned = self.queue.is_abandoned() && self.login.ephemeral;
        while !self.queue.is_full() || abandoned {
            let Some(entry) = self.held.pop_front() else { break };
            self.apply(entry, round)?;
        }
        self.move_cursor(round);
        Ok(())
    }

    /// Everything up to the first entry that is held back is part of this round or an earlier one.
    fn move_cursor(&mut self, round: &mut Round) {
        let Some(line) = self.active.as_ref().filter(|line| line.connection.is_live()) else { return };
        let cursor = self.held.front().map_or(line.connection.applied(), |entry| entry.useq - 1);
        if self.meta.cursor.is_none_or(|before| before < cursor) {
            self.meta.cursor = Some(cursor);
            round.meta = true;
        }
    }

    fn apply(&mut self, mut entry: wire::Entry, round: &mut Round) -> Result<(), ClientError> {
        self.stalls.reset();
        // At once, not at the end of the round: the connection may have ended by then.
        self.meta.cursor = Some(entry.useq);
        round.meta = true;
        let is_news = match &mut entry.item {
            Some(Item::Message(_)) => return self.on_message(entry, round),
            Some(Item::Receipt(receipt)) => self.on_receipt(receipt, round) && !self.queue.is_abandoned(),
            Some(Item::Conversation(row)) => self.on_conversation(row, round),
            Some(Item::Contact(_) | Item::Privacy(_) | Item::JoinRequest(_)) => true,
            // Hints have no number; others are of a later version.
            Some(Item::Hint(_)) | None => false,
        };
        if is_news {
            self.show(entry, round);
        }
        Ok(())
    }

    /// A line of the list as it is now. True: there is such a conversation.
    fn on_conversation(&mut self, row: &mut wire::Conversation, round: &mut Round) -> bool {
        let is_known = self.on_row(row, round);
        if is_known && self.is_large(&row.conversation) {
            self.on_large_told(row, round);
        }
        is_known
    }

    fn on_message(&mut self, mut entry: wire::Entry, round: &mut Round) -> Result<(), ClientError> {
        let Some(Item::Message(message)) = &mut entry.item else { return Ok(()) };
        let conversation = self.conversation_of(message)?;
        // Otherwise a short message would keep the whole read buffer.
        message.content = Bytes::copy_from_slice(&message.content);
        if self.is_large(&conversation) {
            self.on_large(conversation, entry, round);
            return Ok(());
        }
        self.fold(&conversation, message, round);
        // In a new device epoch nothing else says that it is this device's.
        let was_told = self.marks.get(&conversation).is_some_and(|mark| mark.own_ahead.contains(&message.cseq));
        let is_new = self.note_newest(&conversation, message.cseq, message.time_ms, round);
        if is_grown(message) {
            self.marks.entry(conversation).or_default().large = true;
        }
        if is_new && entry.own_send_no == 0 && !was_told {
            self.show(entry, round);
        }
        Ok(())
    }

    /// Where a message stands, as this user names it.
    fn conversation_of(&self, message: &wire::Message) -> Result<String, ClientError> {
        let to = ConversationId::new(&message.to);
        let name = match &to {
            Ok(ConversationId::User(_)) if message.from != self.meta.uid => &message.from,
            _ => &message.to,
        };
        if to.is_err() || Uid::new(&message.from).is_err() {
            let what = "the server pushed a message of a user with an illegal name";
            return Err(ClientError::from_close(CloseCode::BAD_FIELD, what, true));
        }
        Ok(name.clone())
    }

    fn on_signal(&mut self, signal: wire::Signal, round: &mut Round) {
        let wire::Signal { to, from, body, typing, presence } = signal;
        self.on_presence(presence, round);
        let Ok(from) = Uid::new(&from) else { return };
        let conversation = ConversationId::new(&to).unwrap_or_else(|_| from.clone().into());
        if typing {
            self.pass(Event::Typing { conversation: conversation.clone(), from: from.clone() }, round);
        }
        if !body.is_empty() || !typing {
            self.pass(Event::Signal { conversation, from, body }, round);
        }
    }

    fn on_presence(&mut self, presence: Vec<wire::Presence>, round: &mut Round) {
        for presence in presence.into_iter().filter_map(Presence::read) {
            self.pass(Event::Presence(presence), round);
        }
    }

    // ------------------------------------------------------------ answers

    /// Whoever waits for the answer gets it; if nobody does, the application gets it as an event.
    fn on_answer(&mut self, send_no: u64, stored: Stored, round: &mut Round) -> Result<(), ClientError> {
        let Some(item) = self.outbox.remove(send_no) else { return Ok(()) };
        self.new_epoch = false;
        self.large.on_answer(&item.to);
        if let (Stored::Sent(ack), None) = (&stored, &item.act) {
            self.on_taken(*ack, &item, round)?;
        }
        let answer = Answer { to: item.to, outcome: Some(stored) };
        let waiters = self.outbox.waiters(send_no);
        if waiters.is_empty() && !self.queue.is_abandoned() {
            self.keep(Kind::Answer(answer.clone()), round);
        }
        let Ok(me) = Uid::new(&self.meta.uid) else { return Ok(()) };
        for waiter in waiters {
            round.outcomes.extend(outcome(&me, &answer).map(|outcome| (waiter, outcome)));
        }
        round.change.answers.push((send_no, answer));
        self.on_answer_to_reload(round);
        Ok(())
    }

    /// A message of this device is durable: the answer stands for its entry, if everything before that has come.
    /// Otherwise the log brings it in its turn.
    fn on_taken(&mut self, ack: wire::SendAck, item: &OutboxItem, round: &mut Round) -> Result<(), ClientError> {
        let wire::SendAck { send_no, cseq, useq, time_ms, .. } = ack;
        let is_before_a_reset = self.meta.cursor.is_some_and(|cursor| useq <= cursor);
        if is_before_a_reset || self.line().is_none_or(|line| line.connection.applied() < useq) {
            self.note_own_ahead(&item.to, cseq, round);
            return Ok(());
        }
        let message = wire::Message {
            from: self.meta.uid.clone(),
            to: item.to.clone(),
            cseq,
            time_ms,
            content: item.content.clone(),
            extras: self.extras_as_taken(item, time_ms),
            act: None,
        };
        self.on_entry(wire::Entry { useq, own_send_no: send_no, item: Some(Item::Message(message)) }, round)
    }
}

/// Whether a group is large from here on.
fn is_grown(message: &wire::Message) -> bool {
    matches!(message.act.as_deref(), Some(wire::Act { what: Some(wire::act::What::GroupGrown(_)) }))
}
