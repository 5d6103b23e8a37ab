//! The client's end of a connection.
//!
//! ```text
//!                     WELCOME, RESUMED                 CLOSE, broken rule, silence
//!   Opening ───────────────────────────────▶ Live ───────────────────────────────▶ Closed
//!      │ ▲                                                                           ▲
//!      │ └── log_in() after REJECT 5003                                              │
//!      └── any other REJECT ─────────────────────────────────────────────────────────┘
//! ```
//!
//! The driver owns the outbox and the store; the connection owns the numbers. After every round of events the driver
//! commits what they brought, calls [`Connection::stored`], and writes [`Connection::take_output`].

mod incoming;
mod outgoing;

use std::time::{Duration, Instant};

use bytes::BytesMut;

pub use incoming::{ACK_DELAY, ACK_EVERY, GAP_DELAY};
use incoming::{Incoming, Verdict};
use outgoing::Outgoing;

use crate::{
    CloseCode, codec,
    codec::{Decoder, MAX_FRAME, MAX_FRAME_BEFORE_LOGIN, PREFACE},
    frame::{Frame, GREASE, Kind},
    wire::{self, entry::Item},
};

/// The shortest interval of PINGs, whatever the server's bounds say.
const MIN_INTERVAL: Duration = Duration::from_millis(50);

/// How long a client waits.
#[derive(Debug, Clone)]
pub struct Settings {
    /// From the first byte to WELCOME, RESUMED or REJECT.
    pub login_timeout: Duration,
    /// The interval of PINGs; none: what the server suggests. Clamped to the server's bounds.
    pub heartbeat: Option<Duration>,
    /// From a PING to the first byte of life.
    pub pong_timeout: Duration,
    /// From a SEND to asking with a PING whether it was read.
    pub answer_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            login_timeout: Duration::from_secs(10),
            heartbeat: None,
            pong_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(5),
        }
    }
}

/// The numbers a device brings into a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Everything up to here is stored.
    pub cursor: u64,
    /// The oldest send_no of the outbox without an answer.
    pub first_unanswered: u64,
    /// The newest send_no of the outbox; `first_unanswered - 1` if it is empty.
    pub last_queued: u64,
}

/// What a connection tells its driver.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// The login is accepted. `cursor` in it is where the entries begin.
    Welcome(Box<wire::Welcome>),
    /// The resume is accepted.
    Resumed(Box<wire::Resumed>),
    /// Refused. If the code is RESUME_REFUSED, [`Connection::log_in`] may follow; otherwise Closed does.
    Rejected(wire::Reject),
    /// The next entry of the log, never one twice.
    Entry(Box<wire::Entry>),
    /// A message of the outbox is durable. Told once for each.
    Answered(wire::SendAck),
    /// A message of the outbox is refused for good. Told once for each.
    Refused(wire::SendNack),
    /// A message of the outbox is refused for now; the connection sends it again by itself.
    Postponed(wire::SendNack),
    /// The log cannot be continued: load the conversations anew and go on from `head`.
    Reset(wire::SyncReset),
    Signal(wire::Signal),
    Response(Box<wire::Response>),
    /// Make a new connection, then leave this one.
    GoAway(wire::GoAway),
    /// The connection is over.
    Closed {
        code: CloseCode,
        reason: String,
        retry_after: Duration,
        by_peer: bool,
    },
}

enum Phase {
    Opening { deadline: Instant },
    Live,
    Closed,
}

/// One connection, seen from the client. Give it bytes and time, poll events, store what they brought, write its output.
pub struct Connection {
    settings: Settings,
    decoder: Decoder,
    out: BytesMut,
    phase: Phase,
    closing: Option<Box<Event>>,
    outgoing: Outgoing,
    incoming: Incoming,
    max_frame: usize,
    interval: Duration,
    last_ping: Instant,
    /// A PING is out, and nothing has been heard since.
    awaiting: Option<Instant>,
    pings: u64,
    pongs: u64,
}

impl Connection {
    /// Begins with a HELLO.
    pub fn hello(settings: Settings, hello: &wire::Hello, place: Place, now: Instant) -> Self {
        let mut connection = Self::new(settings, place, now);
        connection.out.extend_from_slice(&PREFACE);
        codec::put_frame(&mut connection.out, Kind::Hello, hello);
        connection
    }

    /// Begins with a RESUME.
    pub fn resume(settings: Settings, resume: &wire::Resume, place: Place, now: Instant) -> Self {
        let mut connection = Self::new(settings, place, now);
        connection.out.extend_from_slice(&PREFACE);
        codec::put_frame(&mut connection.out, Kind::Resume, resume);
        connection
    }

    fn new(settings: Settings, place: Place, now: Instant) -> Self {
        Self {
            phase: Phase::Opening { deadline: now + settings.login_timeout },
            settings,
            decoder: Decoder::default(),
            out: BytesMut::new(),
            closing: None,
            outgoing: Outgoing::new(place.first_unanswered, place.last_queued),
            incoming: Incoming::new(place.cursor, now),
            max_frame: MAX_FRAME,
            interval: Duration::from_secs(60),
            last_ping: now,
            awaiting: None,
            pings: 0,
            pongs: 0,
        }
    }

    // ------------------------------------------------------------ input

    /// Bytes from the server. Poll events afterwards.
    pub fn handle_bytes(&mut self, bytes: BytesMut) {
        if !matches!(self.phase, Phase::Closed) {
            self.awaiting = None;
            self.decoder.feed(bytes);
        }
    }

    /// The time of [`Self::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.phase {
            Phase::Opening { deadline } if deadline <= now => {
                self.fail(CloseCode::IDLE_TIMEOUT, "no answer to the login")
            }
            Phase::Live if self.awaiting.is_some_and(|since| since + self.settings.pong_timeout <= now) => {
                self.fail(CloseCode::IDLE_TIMEOUT, "no sign of life after a PING");
            }
            Phase::Live => {
                let probe = self.outgoing.handle_timeout(self.settings.answer_timeout, now);
                if probe || self.last_ping + self.interval <= now {
                    self.ping(now);
                }
                if let Some(after) = self.incoming.take_sync(now) {
                    codec::put_frame(&mut self.out, Kind::SyncReq, &wire::SyncReq { after });
                }
            }
            _ => {}
        }
    }

    /// The outbox has grown to `last`.
    pub fn queued(&mut self, last: u64) {
        self.outgoing.on_queued(last);
    }

    /// The driver has stored every entry up to `useq`; an ack follows when it is due.
    pub fn stored(&mut self, useq: u64) {
        self.incoming.on_stored(useq);
    }

    // ------------------------------------------------------------ output

    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Opening { deadline } => Some(deadline),
            Phase::Live => {
                let heartbeat = match self.awaiting {
                    Some(since) => since + self.settings.pong_timeout,
                    None => self.last_ping + self.interval,
                };
                let outgoing = self.outgoing.poll_timeout(self.settings.answer_timeout);
                let times = outgoing.into_iter().chain(self.incoming.poll_timeout());
                Some(times.fold(heartbeat, Instant::min))
            }
            Phase::Closed => None,
        }
    }

    pub fn poll_event(&mut self, now: Instant) -> Option<Event> {
        loop {
            if let Some(closed) = self.closing.take() {
                return Some(*closed);
            }
            if matches!(self.phase, Phase::Closed) {
                return None;
            }
            let frame = match self.decoder.next_frame(self.max_frame).and_then(|raw| raw.map(Frame::decode).transpose())
            {
                Ok(frame) => frame?,
                Err(broken) => {
                    self.close(broken.code(), &broken.to_string(), now);
                    continue;
                }
            };
            if let Some(event) = frame.and_then(|frame| self.on_frame(frame, now)) {
                return Some(event);
            }
        }
    }

    /// The send_no of the outbox that may be written now; answer with [`Self::send`].
    pub fn poll_send(&self, now: Instant) -> Option<u64> {
        matches!(self.phase, Phase::Live).then(|| self.outgoing.poll(now)).flatten()
    }

    /// Everything to write now; an ack that is due, or can leave along with something else, included.
    pub fn take_output(&mut self, now: Instant) -> BytesMut {
        if !self.out.is_empty() || self.incoming.is_ack_due(now) {
            self.put_ack(now);
        }
        std::mem::take(&mut self.out)
    }

    fn put_ack(&mut self, now: Instant) {
        let useq = if self.is_live() { self.incoming.take_ack(now) } else { 0 };
        if useq > 0 {
            codec::put_frame(&mut self.out, Kind::Ack, &wire::Ack { useq });
        }
    }

    // ------------------------------------------------------------ actions

    pub fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live)
    }

    /// Every entry up to this one has been handed out.
    pub fn applied(&self) -> u64 {
        self.incoming.applied()
    }

    /// After REJECT 5003: log in on the same connection.
    pub fn log_in(&mut self, hello: &wire::Hello) {
        if matches!(self.phase, Phase::Opening { .. }) {
            codec::put_frame(&mut self.out, Kind::Hello, hello);
        }
    }

    /// Writes the message that [`Self::poll_send`] asked for.
    pub fn send(&mut self, send: &wire::Send, now: Instant) {
        codec::put_frame(&mut self.out, Kind::Send, send);
        self.outgoing.on_written(send.send_no, now);
    }

    pub fn request(&mut self, request: &wire::Request) {
        codec::put_frame(&mut self.out, Kind::Request, request);
    }

    pub fn signal(&mut self, signal: &wire::Signal) {
        codec::put_frame(&mut self.out, Kind::Signal, signal);
    }

    /// The outbox holds no such number: it was answered on an earlier connection.
    pub fn skip(&mut self, send_no: u64, now: Instant) {
        self.outgoing.on_answered(send_no, now);
    }

    /// How many PINGs were written to this connection.
    pub fn pings(&self) -> u64 {
        self.pings
    }

    /// How many of them were answered; the answers come in order.
    pub fn pongs(&self) -> u64 {
        self.pongs
    }

    /// Asks for a sign of life now.
    pub fn ping(&mut self, now: Instant) {
        let ack = self.incoming.take_ack(now);
        let ping = wire::Ping { next_ms: self.next_ms(), ack };
        codec::put_frame(&mut self.out, Kind::Ping, &ping);
        self.last_ping = now;
        self.pings += 1;
        self.awaiting.get_or_insert(now);
    }

    /// The interval is announced only where it is not what the server suggested.
    fn next_ms(&self) -> u32 {
        self.settings.heartbeat.map_or(0, |_| self.interval.as_millis() as u32)
    }

    /// Sends a frame of a kind that has no meaning; see [`crate::server::Connection::grease`].
    pub fn grease(&mut self, random: u8) {
        let kind = GREASE[usize::from(random & 1)];
        codec::put_typed(&mut self.out, kind, 0, |_| {});
    }

    /// Leaves on purpose, or because the server broke a rule.
    pub fn close(&mut self, code: CloseCode, reason: &str, now: Instant) {
        if !matches!(self.phase, Phase::Closed) {
            self.put_ack(now);
            let close = wire::Close { code: code.0, reason: reason.into(), retry_after_ms: 0 };
            codec::put_frame(&mut self.out, Kind::Close, &close);
            self.fail(code, reason);
        }
    }

    fn fail(&mut self, code: CloseCode, reason: &str) {
        self.end(code, reason.into(), 0, false);
    }

    fn end(&mut self, code: CloseCode, reason: String, retry_after_ms: u32, by_peer: bool) {
        self.phase = Phase::Closed;
        let retry_after = Duration::from_millis(retry_after_ms.into());
        self.closing = Some(Box::new(Event::Closed { code, reason, retry_after, by_peer }));
    }

    // ------------------------------------------------------------ frames

    fn on_frame(&mut self, frame: Frame, now: Instant) -> Option<Event> {
        match (&self.phase, frame) {
            (_, Frame::Close(close)) => {
                self.end(CloseCode(close.code), close.reason, close.retry_after_ms, true);
                None
            }
            (Phase::Opening { .. }, Frame::Welcome(welcome)) => {
                self.incoming.on_reset(welcome.cursor, now);
                self.go_live(welcome.limits, welcome.max_send_no, welcome.last_send_no, now)
                    .then(|| Event::Welcome(Box::new(welcome)))
            }
            (Phase::Opening { .. }, Frame::Resumed(resumed)) => self
                .go_live(resumed.limits, resumed.max_send_no, resumed.last_send_no, now)
                .then(|| Event::Resumed(Box::new(resumed))),
            (Phase::Opening { .. }, Frame::Reject(reject)) => {
                if CloseCode(reject.code) != CloseCode::RESUME_REFUSED {
                    self.end(CloseCode(reject.code), reject.reason.clone(), reject.retry_after_ms, true);
                }
                Some(Event::Rejected(reject))
            }
            (Phase::Live, frame) => self.on_live_frame(frame, now),
            (_, frame) => {
                self.close(CloseCode::WRONG_STATE, &format!("{:?} before the login was answered", frame.kind()), now);
                None
            }
        }
    }

    /// False: the server has answered numbers that this device has never used, so the device has lost its state.
    fn go_live(&mut self, limits: Option<wire::Limits>, max_send_no: u64, last_send_no: u64, now: Instant) -> bool {
        if !self.outgoing.knows(last_send_no) {
            self.close(CloseCode::STATE_LOST, "the server has answered numbers this device never used", now);
            return false;
        }
        self.phase = Phase::Live;
        self.outgoing.on_credit(max_send_no);
        self.last_ping = now;
        if let Some(limits) = limits {
            self.set_limits(&limits, now);
        }
        true
    }

    /// Applies the limits of a WELCOME or RESUMED, or those remembered from an earlier one.
    pub fn set_limits(&mut self, limits: &wire::Limits, now: Instant) {
        self.max_frame = (limits.max_frame as usize).clamp(MAX_FRAME_BEFORE_LOGIN, MAX_FRAME);
        let min = Duration::from_millis(limits.heartbeat_min_ms.into());
        let max = Duration::from_millis(limits.heartbeat_max_ms.into());
        let suggested = Duration::from_millis(limits.heartbeat_ms.into());
        self.interval = self.settings.heartbeat.unwrap_or(suggested).max(min).min(max).max(MIN_INTERVAL);
        if self.is_live() && self.interval != suggested {
            // The server's first deadline follows its own suggestion, until a PING says otherwise.
            self.ping(now);
        }
    }

    fn on_live_frame(&mut self, frame: Frame, now: Instant) -> Option<Event> {
        match frame {
            Frame::Push(entry) => self.on_push(entry, now),
            Frame::SendAck(ack) => {
                self.incoming.on_own_entry(ack.useq);
                self.outgoing.on_answered(ack.send_no, now).then_some(Event::Answered(ack))
            }
            Frame::SendNack(nack) => self.on_nack(nack, now),
            Frame::Credit(credit) => {
                self.outgoing.on_credit(credit.max_send_no);
                None
            }
            Frame::Ping(_) => {
                codec::put_frame(&mut self.out, Kind::Pong, &wire::Pong::default());
                None
            }
            Frame::Pong(pong) => {
                self.pongs += 1;
                self.outgoing.on_pong();
                self.incoming.on_head(pong.head, now);
                None
            }
            Frame::SyncReset(reset) => {
                self.incoming.on_reset(reset.head, now);
                Some(Event::Reset(reset))
            }
            Frame::Signal(signal) => Some(Event::Signal(signal)),
            Frame::Response(response) => Some(Event::Response(Box::new(response))),
            Frame::GoAway(go_away) => Some(Event::GoAway(go_away)),
            other => {
                self.close(CloseCode::WRONG_STATE, &format!("{:?} is not for a server to send now", other.kind()), now);
                None
            }
        }
    }

    fn on_push(&mut self, entry: wire::Entry, now: Instant) -> Option<Event> {
        if self.incoming.on_entry(entry.useq, now) != Verdict::Apply {
            return None;
        }
        match entry.item {
            // The device's own message, out of the log: it stands for the SEND_ACK that never came.
            Some(Item::Message(message)) if entry.own_send_no != 0 => {
                let (send_no, useq) = (entry.own_send_no, entry.useq);
                let ack = wire::SendAck { send_no, cseq: message.cseq, useq, time_ms: message.time_ms };
                self.outgoing.on_answered(send_no, now).then_some(Event::Answered(ack))
            }
            _ => Some(Event::Entry(Box::new(entry))),
        }
    }

    fn on_nack(&mut self, nack: wire::SendNack, now: Instant) -> Option<Event> {
        if !crate::code::is_temporary(nack.code) {
            return self.outgoing.on_answered(nack.send_no, now).then_some(Event::Refused(nack));
        }
        let pause = Duration::from_millis(nack.retry_after_ms.into());
        let expected = if nack.expected == 0 { nack.send_no } else { nack.expected };
        self.outgoing.on_refused_for_now(expected, pause, now);
        Some(Event::Postponed(nack))
    }
}
