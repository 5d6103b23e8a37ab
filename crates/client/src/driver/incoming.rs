//! What the server says, turned into a round: entries, answers, logins, resets.

use bytes::Bytes;
use hongyan_proto::{
    CloseCode, Uid,
    client::Event as Told,
    wire::{self, entry::Item},
};

use super::{Driver, Round, Stop, clock_ms, login, now, outbox::outcome};
use crate::{
    ClientError, ErrorKind, Event,
    store::{Answer, Outcome as Stored, StoredEvent, stored_event::Kind},
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
            Told::Entry(entry) => self.on_entry(*entry, round)?,
            Told::Own(_) => {}
            Told::Answered(ack) => self.on_answer(ack.send_no, Stored::Sent(ack), round),
            Told::Refused(mut nack) => {
                nack.reason = nack.reason.chars().take(MAX_REASON).collect();
                self.on_answer(nack.send_no, Stored::Refused(nack), round);
            }
            Told::Postponed(nack) => tracing::debug!(send_no = nack.send_no, code = nack.code, "refused for now"),
            Told::Reset(reset) => self.on_reset(reset.log_epoch, reset.head, round),
            Told::Signal(signal) => self.on_signal(signal, round),
            Told::Response(response) => {
                if let Some(result) = self.requests.on_response(*response) {
                    self.on_reload_response(result, round);
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
        let hello = hello.ok_or_else(login::required);
        if let Ok(hello) = &hello {
            line.connection.log_in(hello);
        }
        self.meta.resume_token = Bytes::new();
        round.meta = true;
        hello.map(|_| ())
    }

    // ------------------------------------------------------------ log

    /// An entry that the connection has not handed over before.
    fn on_entry(&mut self, entry: wire::Entry, round: &mut Round) -> Result<(), ClientError> {
        if self.meta.cursor.is_some_and(|cursor| entry.useq <= cursor) {
            return Ok(());
        }
        if !self.held.is_empty() || self.queue.is_full() {
            self.held.push_back(entry);
            return Ok(());
        }
        self.apply(entry, round)
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
        let broken = |what| Err(ClientError::from_close(CloseCode::BAD_FIELD, what, true));
        match &mut entry.item {
            Some(Item::Message(message)) => {
                if Uid::new(&message.from).is_err() || Uid::new(&message.to).is_err() {
                    return broken("the server pushed a message of a user with an illegal name");
                }
                // Otherwise a short message would keep the whole read buffer.
                message.content = Bytes::copy_from_slice(&message.content);
                if !self.note_pushed(message, round) {
                    return Ok(());
                }
            }
            Some(Item::Receipt(receipt)) => {
                if Uid::new(&receipt.conversation).is_err() {
                    return broken("the server pushed a receipt of a user with an illegal name");
                }
                let mark = self.marks.entry(receipt.conversation.clone()).or_default();
                if receipt.delivered_cseq <= mark.delivered {
                    return Ok(());
                }
                mark.delivered = receipt.delivered_cseq;
                round.marks.push(receipt.conversation.clone());
                if self.queue.is_abandoned() {
                    return Ok(());
                }
            }
            // An item of a later version.
            _ => return Ok(()),
        }
        if !(self.queue.is_abandoned() && self.login.ephemeral) {
            self.keep(Kind::Entry(entry), round);
        }
        Ok(())
    }

    /// Shows an event once the round is committed, and again after a restart until it is handled.
    pub(super) fn keep(&mut self, kind: Kind, round: &mut Round) {
        if let Ok(uid) = Uid::new(&self.meta.uid) {
            let stored = StoredEvent { kind: Some(kind) };
            round.events.extend(self.queue.keep(&uid, stored, &mut round.change));
        }
    }

    fn on_signal(&mut self, signal: wire::Signal, round: &mut Round) {
        if let (Ok(from), false) = (Uid::new(&signal.from), self.queue.is_behind()) {
            round.events.extend(self.queue.passing(Event::Signal { from, body: signal.body }));
        }
    }

    // ------------------------------------------------------------ answers

    /// Whoever waits for the answer gets it; if nobody does, the application gets it as an event.
    fn on_answer(&mut self, send_no: u64, stored: Stored, round: &mut Round) {
        let Some(item) = self.outbox.remove(send_no) else { return };
        self.new_epoch = false;
        if let Stored::Sent(ack) = &stored
            && self.line().is_some_and(|line| line.connection.applied() >= ack.useq)
        {
            // Everything before it has been pushed, so the conversation is complete up to here.
            self.note_newest(&item.to, ack.cseq, ack.time_ms, round);
        }
        let answer = Answer { to: item.to, outcome: Some(stored) };
        let waiters = self.outbox.waiters(send_no);
        if waiters.is_empty() && !self.queue.is_abandoned() {
            self.keep(Kind::Answer(answer.clone()), round);
        }
        for waiter in waiters {
            round.outcomes.extend(outcome(&answer).map(|outcome| (waiter, outcome)));
        }
        round.change.answers.push((send_no, answer));
    }
}
