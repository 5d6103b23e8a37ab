//! The server's end of a connection.
//!
//! ```text
//!            preface           HELLO, RESUME             welcome(), resumed()
//!   Preface ─────────▶ Login ────────────────▶ Deciding ─────────────────────▶ Live
//!      │                 │  ▲                     │                              │
//!      │                 │  └───── reject(5003) ──┤                              │
//!      ▼                 ▼                        ▼ reject()                     ▼
//!   Closed ◀── broken rule, deadline, close(), CLOSE from the peer ──────────────┘
//! ```

mod frames;
mod live;
mod login;
mod push;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Buf, BytesMut};
use prost::Message as _;

use live::Live;
use push::Overdue;
pub use push::PushSettings;

use crate::{
    CloseCode, canary,
    code::short_reason,
    codec,
    codec::Decoder,
    heartbeat::millis,
    kind::{GREASE, Kind},
    wire,
};

/// What the server allows and how long it waits; the same for all its connections.
#[derive(Debug, Clone)]
pub struct Settings {
    /// From the first byte to a HELLO or RESUME. Nothing extends it.
    pub login_timeout: Duration,
    /// As announced in WELCOME.
    pub limits: wire::Limits,
    /// SENDs a client may have unanswered.
    pub send_window: u64,
    pub push: PushSettings,
}

/// What a connection wants from the server.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// Answer with [`Connection::welcome`] or [`Connection::reject`]. Nothing else is read until then.
    Hello(Box<wire::Hello>),
    /// Answer with [`Connection::resumed`], [`Connection::welcome`] (by the fallback) or [`Connection::reject`].
    Resume(Box<wire::Resume>),
    /// Answer every one, in order, with [`Connection::acked`] or [`Connection::refused`].
    Send(wire::Send),
    /// The device has stored every entry up to this one.
    Acked(u64),
    Signal(Box<wire::Signal>),
    /// Answer with [`Connection::respond`].
    Request(Box<wire::Request>),
    /// The connection is over; write what [`Connection::take_output`] still has, then drop the transport.
    Closed {
        code: CloseCode,
        reason: String,
        by_peer: bool,
    },
}

enum Phase {
    Preface {
        deadline: Instant,
    },
    Login {
        deadline: Instant,
    },
    Deciding {
        deadline: Instant,
    },
    /// Boxed, or the task of every connection would be a block of 128 bytes larger.
    Live(Box<Live>),
    /// With the Closed event, until it is polled.
    Closed(Option<Box<Event>>),
}

/// A client may write its whole window again while its first answers are on their way.
const REPETITIONS: u64 = 4;

/// One connection, seen from the server. Give it bytes and time, then poll events until there are none, then write its output.
pub struct Connection {
    settings: Arc<Settings>,
    decoder: Decoder,
    out: BytesMut,
    phase: Phase,
}

impl Connection {
    pub fn new(settings: Arc<Settings>, now: Instant) -> Self {
        let patience = if canary::is("no-login-timeout") { Duration::from_hours(1) } else { settings.login_timeout };
        let deadline = now + patience;
        Self { settings, decoder: Decoder::default(), out: BytesMut::new(), phase: Phase::Preface { deadline } }
    }

    // ------------------------------------------------------------ input

    /// Bytes from the peer. Poll events afterwards.
    pub fn handle_bytes(&mut self, bytes: BytesMut, now: Instant) {
        match &mut self.phase {
            Phase::Closed(_) => return,
            Phase::Live(live) => live.last_heard = now,
            _ => {}
        }
        self.decoder.feed(bytes);
    }

    /// The time of [`Self::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Preface { deadline } | Phase::Login { deadline } if *deadline <= now => {
                self.close(CloseCode::LOGIN_TIMEOUT, "no HELLO or RESUME in time");
            }
            Phase::Live(live) if live.idle_deadline() <= now => {
                self.close(CloseCode::IDLE_TIMEOUT, "nothing heard within the heartbeat interval");
            }
            Phase::Live(live) => match live.push.handle_timeout(&self.settings.push, now) {
                Some(Overdue::Probe) => codec::put_frame(&mut self.out, Kind::Ping, &wire::Ping::default()),
                Some(Overdue::GiveUp) => self.close(CloseCode::SLOW, "no ack for too long"),
                None => {}
            },
            _ => {}
        }
    }

    // ------------------------------------------------------------ output

    /// When to call [`Self::handle_timeout`]. Derived from the state, so it is never stale.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Preface { deadline } | Phase::Login { deadline } => Some(*deadline),
            Phase::Live(live) => {
                let idle = live.idle_deadline();
                Some(live.push.poll_timeout(&self.settings.push).map_or(idle, |overdue| overdue.min(idle)))
            }
            Phase::Deciding { .. } | Phase::Closed(_) => None,
        }
    }

    /// As many SENDs wait for their answers as an honest client has reason to write: nothing more is read from the peer
    /// until some are answered, or it could pile up answers by repeating one SEND.
    pub fn is_saturated(&self) -> bool {
        self.live().is_some_and(|live| u64::from(live.unanswered) >= REPETITIONS * self.settings.send_window)
    }

    /// The next thing that the peer wants, decoded on demand; nothing while [`Self::is_saturated`].
    pub fn poll_event(&mut self, now: Instant) -> Option<Event> {
        loop {
            if let Phase::Closed(event) = &mut self.phase {
                return event.take().map(|closed| *closed);
            }
            if self.is_saturated() {
                return None;
            }
            let frame = match self.next_frame() {
                Ok(frame) => frame?,
                Err(broken) => {
                    self.close(broken.code(), &broken.to_string());
                    continue;
                }
            };
            if let Some(event) = self.on_frame(frame, now) {
                return Some(event);
            }
        }
    }

    /// Everything to write now. Empty if there is nothing.
    pub fn take_output(&mut self) -> BytesMut {
        std::mem::take(&mut self.out)
    }

    /// What waits to be written, for a transport that may take a part of it; see [`Self::on_written`].
    pub fn output(&self) -> &[u8] {
        &self.out
    }

    /// The transport has taken `len` bytes of the output. When that was all of it, no memory is kept for it.
    pub fn on_written(&mut self, len: usize) {
        self.out.advance(len);
        if self.out.is_empty() {
            self.out = BytesMut::new();
        }
    }

    /// Bytes that wait to be taken.
    pub fn output_len(&self) -> usize {
        self.out.len()
    }

    /// Bytes of an incomplete frame, or that wait for the login to be answered: at most one frame and one read.
    pub fn buffered(&self) -> usize {
        self.decoder.buffered()
    }

    // ------------------------------------------------------------ live

    pub fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live(_))
    }

    /// The connection is over; a Closed event may still be waiting to be polled.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed(_))
    }

    /// Asks the client to move to a new connection.
    pub fn go_away(&mut self, deadline: Duration, spread: Duration, alternatives: &[String]) {
        if self.is_live() {
            let (deadline_ms, spread_ms) = (millis(deadline), millis(spread));
            let go_away = wire::GoAway { deadline_ms, spread_ms, alternatives: alternatives.to_vec() };
            codec::put_frame(&mut self.out, Kind::GoAway, &go_away);
        }
    }

    /// Sends a frame of a kind that has no meaning, for peers to prove that they ignore it. `random` chooses it.
    pub fn grease(&mut self, random: u8) {
        if self.is_closed() {
            return;
        }
        let kind = GREASE[usize::from(random & 1)];
        codec::put_typed(&mut self.out, kind, usize::from(random >> 5), |out| {
            out.resize(out.len() + usize::from(random >> 5), random);
        });
    }

    /// Ends the connection with a CLOSE. The next event is Closed.
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        if self.is_closed() {
            return;
        }
        let reason = short_reason(reason);
        let close = wire::Close { code: code.0, reason: reason.clone(), retry_after_ms: 0 };
        codec::put_frame(&mut self.out, Kind::Close, &close);
        self.end(code, reason, false);
    }

    fn end(&mut self, code: CloseCode, reason: String, by_peer: bool) {
        self.phase = Phase::Closed(Some(Box::new(Event::Closed { code, reason, by_peer })));
        self.decoder = Decoder::default();
    }

    fn is_deciding(&self) -> bool {
        matches!(self.phase, Phase::Deciding { .. })
    }
}

/// The encoded `Entry` that holds only `item`: what is stored, and forwarded verbatim by [`Connection::push`].
pub fn encode_item(item: wire::entry::Item) -> bytes::Bytes {
    wire::Entry { useq: 0, own_send_no: 0, item: Some(item) }.encode_to_vec().into()
}
