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

mod frames;
mod incoming;
mod outgoing;

use std::time::{Duration, Instant};

use bytes::BytesMut;

use incoming::Incoming;
pub use incoming::{ACK_DELAY, GAP_DELAY};
use outgoing::Outgoing;

pub use crate::heartbeat::ACK_EVERY;

use crate::{
    CloseCode,
    code::short_reason,
    codec,
    codec::{Decoder, MAX_FRAME, MAX_FRAME_BEFORE_LOGIN, PREFACE},
    frame::Frame,
    heartbeat::millis,
    kind::{GREASE, Kind},
    wire,
};

/// The interval of PINGs as long as no limits say otherwise.
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(60);
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
    /// What the server suggested, and expects until a PING says otherwise.
    suggested: Duration,
    interval: Duration,
    last_ping: Instant,
    /// A PING is out, and nothing has been heard since.
    awaiting: Option<Instant>,
    /// PINGs of the server to answer. A PONG is written behind the ack of what was read before it: the server takes an
    /// ack that follows a PONG for one that was not sent.
    pongs_due: u32,
    pings: u64,
    pongs: u64,
    /// The PING that asks whether the server has read what it has not answered.
    probe: u64,
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
                if probe {
                    self.probe = self.pings;
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

    /// The driver has stored every entry up to `useq`, in general [`Self::applied`]; an ack follows when it is due.
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
            let max_frame = if self.is_live() { self.max_frame } else { MAX_FRAME_BEFORE_LOGIN };
            let frame = match self.decoder.next_frame(max_frame).and_then(|raw| raw.map(Frame::decode).transpose()) {
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

    /// The send_no of the outbox that may be written now; answer with [`Self::send`] or [`Self::fill`].
    pub fn poll_send(&self, now: Instant) -> Option<u64> {
        matches!(self.phase, Phase::Live).then(|| self.outgoing.poll(now)).flatten()
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

    /// Asks a question. Nothing is written before the login is answered, or after the end.
    pub fn request(&mut self, request: &wire::Request) {
        if self.is_live() {
            codec::put_frame(&mut self.out, Kind::Request, request);
        }
    }

    /// As [`Self::request`].
    pub fn signal(&mut self, signal: &wire::Signal) {
        if self.is_live() {
            codec::put_frame(&mut self.out, Kind::Signal, signal);
        }
    }

    /// The outbox holds no message with the number that [`Self::poll_send`] asked for: it was answered on an earlier
    /// connection. A server that has forgotten the device since would wait for the number for ever, so a SEND without a
    /// message takes its place. No event tells of its answer.
    pub fn fill(&mut self, send_no: u64, now: Instant) {
        self.outgoing.on_filled(send_no);
        self.send(&wire::Send { send_no, ..Default::default() }, now);
    }

    /// How many PINGs were written to this connection.
    pub fn pings(&self) -> u64 {
        self.pings
    }

    /// How many of them were answered; the answers come in order.
    pub fn pongs(&self) -> u64 {
        self.pongs
    }

    /// Asks for a sign of life now, if the login was answered.
    pub fn ping(&mut self, now: Instant) {
        if !self.is_live() {
            return;
        }
        let ack = self.incoming.take_ack(now);
        let ping = wire::Ping { next_ms: self.next_ms(), ack };
        codec::put_frame(&mut self.out, Kind::Ping, &ping);
        self.pings += 1;
        self.last_ping = now;
        self.awaiting.get_or_insert(now);
    }

    /// The interval is announced only where it is not what the server suggested.
    fn next_ms(&self) -> u32 {
        if self.interval == self.suggested { 0 } else { millis(self.interval) }
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

    fn fail(&mut self, code: CloseCode, reason: &str) {
        self.end(code, reason, 0, false);
    }

    fn end(&mut self, code: CloseCode, reason: &str, retry_after_ms: u32, by_peer: bool) {
        self.phase = Phase::Closed;
        self.decoder = Decoder::default();
        self.pongs_due = 0;
        let reason = short_reason(reason);
        let retry_after = Duration::from_millis(retry_after_ms.into());
        self.closing = Some(Box::new(Event::Closed { code, reason, retry_after, by_peer }));
    }
}
