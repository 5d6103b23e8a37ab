//! What the frames of a client do to the server's end of a connection.

use std::time::Instant;

use super::connection::{Connection, Event, Phase};
use crate::{
    canary,
    code::{CloseCode, short_reason},
    codec::{self, FrameError, MAX_FRAME_BEFORE_LOGIN},
    frame::Frame,
    kind::Kind,
    wire,
};

/// A client may write its whole window again while its first answers are on their way.
const REPETITIONS: u64 = 4;

impl Connection {
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

    fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let max_frame = match &self.phase {
            // Frames wait until the login is answered. A client has no reason to send many of them, and a stranger none.
            Phase::Deciding { .. } if self.decoder.buffered() > MAX_FRAME_BEFORE_LOGIN => {
                return Err(FrameError::Early(self.decoder.buffered()));
            }
            Phase::Deciding { .. } | Phase::Closed(_) => return Ok(None),
            Phase::Preface { deadline } => {
                let deadline = *deadline;
                if !self.decoder.take_preface()? {
                    return Ok(None);
                }
                self.phase = Phase::Login { deadline };
                MAX_FRAME_BEFORE_LOGIN
            }
            Phase::Login { .. } => MAX_FRAME_BEFORE_LOGIN,
            Phase::Live(_) => self.settings.limits.max_frame as usize,
        };
        while let Some(raw) = self.decoder.next_frame(max_frame)? {
            if let Some(frame) = Frame::decode(raw)? {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    fn on_frame(&mut self, frame: Frame, now: Instant) -> Option<Event> {
        match (&mut self.phase, frame) {
            (_, Frame::Close(close)) => {
                self.end(CloseCode(close.code), short_reason(&close.reason), true);
                None
            }
            (Phase::Login { deadline }, Frame::Hello(hello)) => {
                self.phase = Phase::Deciding { deadline: *deadline };
                Some(Event::Hello(Box::new(hello)))
            }
            (Phase::Login { deadline }, Frame::Resume(resume)) => {
                self.phase = Phase::Deciding { deadline: *deadline };
                Some(Event::Resume(Box::new(resume)))
            }
            (Phase::Live(_), frame) => self.on_live_frame(frame, now),
            (_, _) if canary::is("strangers-tolerated") => None,
            (_, frame) => {
                let reason = format!("{:?} before login", frame.kind());
                self.close(CloseCode::WRONG_STATE, &reason);
                None
            }
        }
    }

    fn on_live_frame(&mut self, frame: Frame, now: Instant) -> Option<Event> {
        let Phase::Live(live) = &mut self.phase else { return None };
        match frame {
            Frame::Send(send) => return self.on_send(send),
            Frame::Ack(ack) => return self.on_ack(ack.useq, now),
            Frame::Ping(ping) => return self.on_ping(ping, now),
            Frame::Pong(_) => {
                if live.push.on_pong(&self.settings.push, now) {
                    self.close(CloseCode::SLOW, "pushed entries stay unacked, though they are read");
                }
            }
            Frame::SyncReq(sync) => live.push.rewind(sync.after),
            Frame::Signal(signal) => return Some(Event::Signal(signal.into())),
            Frame::Request(request) => return Some(Event::Request(request.into())),
            other => {
                let reason = format!("{:?} is not for a client to send now", other.kind());
                self.close(CloseCode::WRONG_STATE, &reason);
            }
        }
        None
    }

    fn on_send(&mut self, send: wire::Send) -> Option<Event> {
        let live = self.live_mut()?;
        let max = live.max_send_no;
        live.unanswered += 1;
        if send.send_no > max && !canary::is("credit-ignored") {
            self.close(CloseCode::CREDIT_EXCEEDED, &format!("send_no {} is above max_send_no {max}", send.send_no));
            return None;
        }
        if send.send_no == 0 {
            self.close(CloseCode::BAD_FIELD, "send_no is 0, numbers begin at 1");
            return None;
        }
        Some(Event::Send(send))
    }

    fn on_ack(&mut self, useq: u64, now: Instant) -> Option<Event> {
        match self.live_mut()?.push.on_ack(useq, now) {
            Ok(moved) => moved.then_some(Event::Acked(useq)),
            Err(()) => {
                self.close(CloseCode::BAD_ACK, &format!("ACK of entry {useq}, which was never pushed"));
                None
            }
        }
    }

    fn on_ping(&mut self, ping: wire::Ping, now: Instant) -> Option<Event> {
        let limits = &self.settings.limits;
        let Phase::Live(live) = &mut self.phase else { return None };
        if ping.next_ms != 0 {
            live.interval_ms = ping.next_ms.max(limits.heartbeat_min_ms).min(limits.heartbeat_max_ms);
        }
        let event = if ping.ack == 0 { None } else { self.on_ack(ping.ack, now) };
        if let Phase::Live(live) = &self.phase {
            let pong = wire::Pong { head: live.push.unacked_head() };
            codec::put_frame(&mut self.out, Kind::Pong, &pong);
        }
        event
    }
}
