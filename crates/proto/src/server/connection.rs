//! The connection itself: what it holds, the bytes of its transport, its phase and its end. What frames, time and the
//! server do to it is in the files above.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Buf, BytesMut};

use super::{live::Live, push::PushSettings};
use crate::{
    canary,
    code::{CloseCode, short_reason},
    codec::{self, Decoder},
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

/// How far the connection is.
pub(super) enum Phase {
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

/// One connection, seen from the server. Give it bytes and time, then poll events until there are none, then write its output.
pub struct Connection {
    pub(super) settings: Arc<Settings>,
    pub(super) decoder: Decoder,
    pub(super) out: BytesMut,
    pub(super) phase: Phase,
}

impl Connection {
    pub fn new(settings: Arc<Settings>, now: Instant) -> Self {
        let patience = if canary::is("no-login-timeout") { Duration::from_hours(1) } else { settings.login_timeout };
        let deadline = now + patience;
        Self { settings, decoder: Decoder::default(), out: BytesMut::new(), phase: Phase::Preface { deadline } }
    }

    // ------------------------------------------------------------ bytes

    /// Bytes from the peer. Poll events afterwards.
    pub fn handle_bytes(&mut self, bytes: BytesMut, now: Instant) {
        match &mut self.phase {
            Phase::Closed(_) => return,
            Phase::Live(live) => live.last_heard = now,
            _ => {}
        }
        self.decoder.feed(bytes);
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

    // ------------------------------------------------------------ phase

    pub fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live(_))
    }

    /// The connection is over; a Closed event may still be waiting to be polled.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed(_))
    }

    pub(super) fn is_deciding(&self) -> bool {
        matches!(self.phase, Phase::Deciding { .. })
    }

    pub(super) fn live(&self) -> Option<&Live> {
        match &self.phase {
            Phase::Live(live) => Some(live),
            _ => None,
        }
    }

    pub(super) fn live_mut(&mut self) -> Option<&mut Live> {
        match &mut self.phase {
            Phase::Live(live) => Some(live),
            _ => None,
        }
    }

    // ------------------------------------------------------------ at any time

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

    pub(super) fn end(&mut self, code: CloseCode, reason: String, by_peer: bool) {
        self.phase = Phase::Closed(Some(Box::new(Event::Closed { code, reason, by_peer })));
        self.decoder = Decoder::default();
    }
}
