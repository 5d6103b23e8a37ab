//! The connection itself: what it holds, the bytes of its transport, its phase and its end. What frames, time and the
//! driver do to it is in the files above.

use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::{incoming::Incoming, outgoing::Outgoing};
use crate::{
    code::{CloseCode, short_reason},
    codec::{self, Decoder, MAX_FRAME, PREFACE},
    kind::{GREASE, Kind},
    wire,
};

/// The interval of PINGs as long as no limits say otherwise.
pub(super) const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(60);

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
    /// The oldest send_no without an answer. The outbox keeps every message from here on, answered or not: any of them
    /// may be asked for again by [`Connection::poll_send`].
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
    /// A message of this device comes in its turn out of the log; its answer had come before, ahead of the log.
    Own(Box<wire::Entry>),
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

/// How far the connection is.
pub(super) enum Phase {
    Opening { deadline: Instant },
    Live,
    Closed,
}

/// One connection, seen from the client. Give it bytes and time, poll events, store what they brought, write its output.
pub struct Connection {
    pub(super) settings: Settings,
    pub(super) decoder: Decoder,
    pub(super) out: BytesMut,
    pub(super) phase: Phase,
    pub(super) closing: Option<Box<Event>>,
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Incoming,
    pub(super) max_frame: usize,
    /// What the server suggested, and expects until a PING says otherwise.
    pub(super) suggested: Duration,
    pub(super) interval: Duration,
    pub(super) last_ping: Instant,
    /// A PING is out, and nothing has been heard since.
    pub(super) awaiting: Option<Instant>,
    /// PINGs of the server to answer. A PONG is written behind the ack of what was read before it: the server takes an
    /// ack that follows a PONG for one that was not sent.
    pub(super) pongs_due: u32,
    pub(super) pings: u64,
    pub(super) pongs: u64,
    /// The PING that asks whether the server has read what it has not answered.
    pub(super) probe: u64,
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
            decoder: Decoder::default(),
            out: BytesMut::new(),
            closing: None,
            outgoing: Outgoing::new(place.first_unanswered, place.last_queued),
            incoming: Incoming::new(place.cursor, now),
            max_frame: MAX_FRAME,
            suggested: DEFAULT_HEARTBEAT,
            interval: settings.heartbeat.unwrap_or(DEFAULT_HEARTBEAT),
            last_ping: now,
            awaiting: None,
            pongs_due: 0,
            pings: 0,
            pongs: 0,
            probe: 0,
            settings,
        }
    }

    // ------------------------------------------------------------ bytes

    /// Bytes from the server. Poll events afterwards.
    pub fn handle_bytes(&mut self, bytes: BytesMut) {
        if !matches!(self.phase, Phase::Closed) {
            self.awaiting = None;
            self.decoder.feed(bytes);
        }
    }

    /// Everything to write now; an ack that is due, or can leave along with something else, included.
    pub fn take_output(&mut self, now: Instant) -> BytesMut {
        let leaving = !self.out.is_empty() || self.pongs_due > 0;
        if self.incoming.is_ack_due(now) || leaving && self.incoming.owes_ack() {
            self.put_ack(now);
        }
        for _ in 0..std::mem::take(&mut self.pongs_due) {
            codec::put_frame(&mut self.out, Kind::Pong, &wire::Pong::default());
        }
        std::mem::take(&mut self.out)
    }

    fn put_ack(&mut self, now: Instant) {
        let useq = if self.is_live() { self.incoming.take_ack(now) } else { 0 };
        if useq > 0 {
            codec::put_frame(&mut self.out, Kind::Ack, &wire::Ack { useq });
        }
    }

    // ------------------------------------------------------------ at any time

    pub fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live)
    }

    /// Sends a frame of a kind that has no meaning; see [`crate::server::Connection::grease`].
    pub fn grease(&mut self, random: u8) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        let kind = GREASE[usize::from(random & 1)];
        codec::put_typed(&mut self.out, kind, 0, |_| {});
    }

    /// Leaves on purpose, or because the server broke a rule.
    pub fn close(&mut self, code: CloseCode, reason: &str, now: Instant) {
        if !matches!(self.phase, Phase::Closed) {
            self.put_ack(now);
            let close = wire::Close { code: code.0, reason: short_reason(reason), retry_after_ms: 0 };
            codec::put_frame(&mut self.out, Kind::Close, &close);
            self.fail(code, reason);
        }
    }

    pub(super) fn fail(&mut self, code: CloseCode, reason: &str) {
        self.end(code, reason, 0, false);
    }

    pub(super) fn end(&mut self, code: CloseCode, reason: &str, retry_after_ms: u32, by_peer: bool) {
        self.phase = Phase::Closed;
        self.decoder = Decoder::default();
        self.pongs_due = 0;
        let reason = short_reason(reason);
        let retry_after = Duration::from_millis(retry_after_ms.into());
        self.closing = Some(Box::new(Event::Closed { code, reason, retry_after, by_peer }));
    }
}
