//! One user's device as the native protocol sees it, without a socket: bytes in, events and bytes out.
//!
//! It keeps the rules that an SDK keeps (docs/protocol.md: acks, credit, heartbeats, gaps, repeating what was not answered)
//! and nothing else: its store is the [`crate::ledger`]. A refused message or a closed connection is a failure of the run.
//!
//! Times are nanoseconds since the start of the run.

use bytes::{Bytes, BytesMut};
use hongyan_proto::{
    CloseCode,
    codec::{self, CRITICAL, HEADER_LEN, MAX_FRAME, PREFACE, RESERVED, RawFrame},
    frame::Frame,
    kind::Kind,
    wire::{self, act::What, hello},
};

use super::{
    event::Event,
    incoming::Incoming,
    sending::{Sending, To, refusal},
};
use crate::{
    frames::{Malformed, Push, SendAck},
    run::Run,
    stamp::Stamp,
};

/// The name of the one device each user has.
const DEVICE: &str = "bench";
const AGENT: &str = concat!("hongyan-bench/", env!("CARGO_PKG_VERSION"));
const NS_PER_MS: u64 = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Live,
    Closed,
}

/// The protocol state of one device. It outlives its connections.
pub struct Device {
    /// The number of its user within the run.
    pub user: u32,
    /// What waits to be written.
    pub out: BytesMut,
    phase: Phase,
    /// The last group that it has made; 0: none.
    pub group: u64,
    sending: Sending,
    incoming: Incoming,
    /// 0 before the first login.
    heartbeat: u64,
    ping_due: u64,
    resume_token: Bytes,
    limits_id: u32,
}

impl Device {
    pub fn new(user: u32) -> Self {
        Self {
            user,
            out: BytesMut::new(),
            phase: Phase::Closed,
            group: 0,
            sending: Sending::default(),
            incoming: Incoming::default(),
            heartbeat: 0,
            ping_due: 0,
            resume_token: Bytes::new(),
            limits_id: 0,
        }
    }

    // ------------------------------------------------------------ login

    /// Begins a connection: with a RESUME if the device has been here before, with a HELLO otherwise.
    pub fn connect(&mut self, run: &Run) {
        self.phase = Phase::Opening;
        self.out.clear();
        self.out.extend_from_slice(&PREFACE);
        if self.resume_token.is_empty() {
            let hello = self.hello(run);
            codec::put_frame(&mut self.out, Kind::Hello, &hello);
            return;
        }
        let resume = wire::Resume {
            resume_token: self.resume_token.clone(),
            cursor: self.incoming.applied(),
            limits_id: self.limits_id,
            fallback: None,
        };
        codec::put_frame(&mut self.out, Kind::Resume, &resume);
    }

    fn hello(&self, run: &Run) -> wire::Hello {
        wire::Hello {
            device: DEVICE.into(),
            device_epoch: run.device_epoch,
            credential: Some(hello::Credential::Token(run.token(self.user))),
            agent: AGENT.into(),
            from_head: true,
            ..Default::default()
        }
    }

    /// The transport is gone.
    pub fn disconnected(&mut self) {
        self.phase = Phase::Closed;
        self.out = BytesMut::new();
    }

    pub fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// Whether an ack was written for every entry that has come.
    pub fn has_acked_all(&self) -> bool {
        self.incoming.has_acked_all()
    }

    // ------------------------------------------------------------ sending

    /// Sends a message, as soon as there is a connection and credit.
    pub fn send(&mut self, run: &Run, to: To, stamp: Stamp) {
        let out = self.is_live().then_some(&mut self.out);
        self.sending.send(run, out, to, stamp);
    }

    /// Does something in a conversation, or in none. There must be credit for it.
    pub fn act(&mut self, to: String, what: What, now: u64) {
        self.sending.act(&mut self.out, to, what, now);
    }

    fn on_answered(&mut self, send_no: u64, events: &mut Vec<Event>) {
        match self.sending.on_answered(send_no) {
            Ok(Some(intended)) => events.push(Event::Answered { intended }),
            Ok(None) => {}
            Err(why) => self.fail(events, why),
        }
    }

    // ------------------------------------------------------------ time

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<u64> {
        self.is_live().then(|| self.incoming.poll_timeout().map_or(self.ping_due, |due| due.min(self.ping_due)))
    }

    pub fn handle_timeout(&mut self, now: u64) {
        if !self.is_live() {
            return;
        }
        if let Some(after) = self.incoming.take_sync(now) {
            codec::put_frame(&mut self.out, Kind::SyncReq, &wire::SyncReq { after });
        }
        if self.ping_due <= now {
            self.ping(0, now);
        }
        self.ack_if_due(now);
    }

    /// Ends the connection politely, with everything acked.
    pub fn leave(&mut self, now: u64) {
        self.put_ack(now);
        let close = wire::Close { code: CloseCode::NORMAL.0, ..Default::default() };
        codec::put_frame(&mut self.out, Kind::Close, &close);
        self.phase = Phase::Closed;
    }

    fn ping(&mut self, next_ms: u32, now: u64) {
        let ack = self.incoming.take_ack(now);
        codec::put_frame(&mut self.out, Kind::Ping, &wire::Ping { next_ms, ack });
        self.ping_due = now + self.heartbeat;
    }

    fn put_ack(&mut self, now: u64) {
        let useq = if self.is_live() { self.incoming.take_ack(now) } else { 0 };
        if useq > 0 {
            codec::put_frame(&mut self.out, Kind::Ack, &wire::Ack { useq });
        }
    }

    fn ack_if_due(&mut self, now: u64) {
        if self.incoming.is_ack_due(now) {
            self.put_ack(now);
        }
    }

    /// Lets an ack leave along with what is about to be written anyway.
    pub fn before_write(&mut self, now: u64) {
        if !self.out.is_empty() {
            self.put_ack(now);
        }
    }

    // ------------------------------------------------------------ receiving

    /// Takes what has come and appends what it means to `events`. Returns how many bytes were used; the rest begins a
    /// frame that is not complete.
    pub fn feed(&mut self, run: &Run, bytes: &[u8], now: u64, events: &mut Vec<Event>) -> usize {
        let mut used = 0;
        while let Some(&[a, b, c, type_byte]) = bytes[used..].first_chunk::<HEADER_LEN>() {
            let len = u32::from_be_bytes([0, a, b, c]) as usize;
            if len == 0 || len > MAX_FRAME {
                self.fail(events, format!("the server sent a frame of length {len}"));
                break;
            }
            let end = used + HEADER_LEN - 1 + len;
            let Some(body) = bytes.get(used + HEADER_LEN..end) else { break };
            used = end;
            if self.on_frame(run, type_byte, body, now, events).is_err() {
                self.fail(events, format!("the server sent a frame of TYPE {type_byte:#04x} with a body that is none"));
            }
            if self.phase == Phase::Closed {
                break;
            }
        }
        self.ack_if_due(now);
        used
    }

    fn on_frame(
        &mut self,
        run: &Run,
        type_byte: u8,
        body: &[u8],
        now: u64,
        events: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        const PUSH: u8 = Kind::Push as u8;
        const SEND_ACK: u8 = Kind::SendAck as u8;
        match type_byte & !(CRITICAL | RESERVED) {
            PUSH if self.is_live() => self.on_push(run, Push::read(body)?, now, events),
            SEND_ACK if self.is_live() => {
                let ack = SendAck::read(body)?;
                self.incoming.on_own_entry(ack.useq);
                if ack.group != 0 {
                    self.group = ack.group;
                }
                self.on_answered(ack.send_no, events);
            }
            _ => {
                let raw = RawFrame { type_byte, body: Bytes::copy_from_slice(body) };
                if let Some(frame) = Frame::decode(raw).map_err(|_| Malformed)? {
                    self.on_rare_frame(run, frame, now, events);
                }
            }
        }
        Ok(())
    }

    fn on_push(&mut self, run: &Run, push: Push, now: u64, events: &mut Vec<Event>) {
        // What is passed on in a large group has no number in the user's log.
        if push.useq != 0 && !self.incoming.on_entry(push.useq, now) {
            return;
        }
        if push.own_send_no > 0 {
            // The device's own message, out of the log: it stands for a SEND_ACK.
            return self.on_answered(push.own_send_no, events);
        }
        let Some(text) = push.text.filter(|text| !text.is_act) else { return };
        let stamp = run.stationery.read(text.content);
        let is_from =
            |stamp: &Stamp| run.uids.get(stamp.sender as usize).is_some_and(|uid| uid.as_bytes() == text.from);
        events.push(stamp.filter(is_from).map_or(Event::Foreign, Event::Received));
    }

    fn on_rare_frame(&mut self, run: &Run, frame: Frame, now: u64, events: &mut Vec<Event>) {
        match frame {
            Frame::Welcome(welcome) => {
                self.incoming = Incoming::at(welcome.cursor, now);
                self.sending.begin_at(welcome.last_send_no);
                self.resume_token = welcome.resume_token;
                self.go_live(run, welcome.limits, welcome.max_send_no, now, events);
            }
            Frame::Resumed(resumed) => {
                self.resume_token = resumed.resume_token;
                self.sending.write_again(run, &mut self.out);
                self.go_live(run, resumed.limits, resumed.max_send_no, now, events);
            }
            Frame::Credit(credit) => self.sending.on_credit(run, &mut self.out, credit.max_send_no),
            Frame::Ping(_) => {
                // The ack goes first: one that follows a PONG would count as withheld.
                self.put_ack(now);
                codec::put_frame(&mut self.out, Kind::Pong, &wire::Pong::default());
            }
            Frame::Pong(pong) => self.incoming.on_head(pong.head, now),
            Frame::SyncReset(reset) => self.incoming = Incoming::at(reset.head, now),
            Frame::SendNack(nack) => self.fail(events, refusal(&nack)),
            Frame::Reject(reject) => {
                let code = CloseCode(reject.code);
                let advice = if code == CloseCode::BAD_CREDENTIALS {
                    "; compare --secret-file, --kid, --iss and --aud with the server's auth"
                } else {
                    ""
                };
                self.fail(events, format!("the login was refused: {code}, {}{advice}", reject.reason));
            }
            Frame::Close(close) => {
                let code = CloseCode(close.code);
                self.fail(events, format!("the server closed the connection: {code}, {}", close.reason));
            }
            Frame::GoAway(_) => self.fail(events, "the server is stopping (GOAWAY)".to_owned()),
            _ => {}
        }
    }

    fn go_live(
        &mut self,
        run: &Run,
        limits: Option<wire::Limits>,
        max_send_no: u64,
        now: u64,
        events: &mut Vec<Event>,
    ) {
        self.phase = Phase::Live;
        let mut suggested = self.heartbeat;
        if let Some(limits) = limits {
            self.limits_id = limits.id;
            suggested = u64::from(limits.heartbeat_ms.max(1)) * NS_PER_MS;
            self.heartbeat = run.heartbeat.unwrap_or(suggested);
        }
        if self.heartbeat != suggested || run.heartbeat.is_some() {
            self.ping((self.heartbeat / NS_PER_MS) as u32, now);
        }
        // The first heartbeats are spread over the interval, by the golden ratio, so that they do not come in a burst.
        let spread = self.user.wrapping_mul(0x9E37_79B9);
        self.ping_due = now + ((u128::from(self.heartbeat) * u128::from(spread)) >> 32) as u64;
        events.push(Event::LoggedIn);
        self.sending.on_credit(run, &mut self.out, max_send_no);
    }

    fn fail(&mut self, events: &mut Vec<Event>, why: String) {
        self.phase = Phase::Closed;
        events.push(Event::Failed(why.into()));
    }
}

#[cfg(test)]
mod tests;
