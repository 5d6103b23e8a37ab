//! What the frames of a server do to the client's end of a connection.

use std::time::{Duration, Instant};

use super::{
    connection::{Connection, DEFAULT_HEARTBEAT, Event, Phase},
    incoming::Verdict,
};
use crate::{
    code::{CloseCode, is_temporary},
    codec::{MAX_FRAME, MAX_FRAME_BEFORE_LOGIN},
    frame::Frame,
    wire::{self, entry::Item},
};

/// The shortest interval of PINGs, whatever the server's bounds say.
const MIN_INTERVAL: Duration = Duration::from_millis(50);

impl Connection {
    /// What has happened next, decoded on demand; to be polled until there is nothing.
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

    fn on_frame(&mut self, frame: Frame, now: Instant) -> Option<Event> {
        match (&self.phase, frame) {
            (_, Frame::Close(close)) => {
                self.end(CloseCode(close.code), &close.reason, close.retry_after_ms, true);
                None
            }
            (Phase::Opening { .. }, Frame::Welcome(welcome)) => {
                if !self.go_live(welcome.limits, welcome.max_send_no, welcome.last_send_no, now) {
                    return None;
                }
                self.incoming.on_reset(welcome.cursor, now);
                Some(Event::Welcome(Box::new(welcome)))
            }
            (Phase::Opening { .. }, Frame::Resumed(resumed)) => self
                .go_live(resumed.limits, resumed.max_send_no, resumed.last_send_no, now)
                .then(|| Event::Resumed(Box::new(resumed))),
            (Phase::Opening { .. }, Frame::Reject(reject)) => {
                if CloseCode(reject.code) != CloseCode::RESUME_REFUSED {
                    self.end(CloseCode(reject.code), &reject.reason, reject.retry_after_ms, true);
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
        match limits {
            Some(limits) => self.set_limits(&limits, now),
            None => self.announce_interval(now),
        }
        true
    }

    /// Applies the limits of a WELCOME or RESUMED, or those remembered from an earlier one. What is 0 is not limited.
    pub fn set_limits(&mut self, limits: &wire::Limits, now: Instant) {
        let or = |ms: u32, default| if ms == 0 { default } else { Duration::from_millis(ms.into()) };
        self.max_frame = match limits.max_frame as usize {
            0 => MAX_FRAME,
            max => max.clamp(MAX_FRAME_BEFORE_LOGIN, MAX_FRAME),
        };
        self.suggested = or(limits.heartbeat_ms, DEFAULT_HEARTBEAT);
        let interval = self.settings.heartbeat.unwrap_or(self.suggested);
        self.interval =
            interval.max(or(limits.heartbeat_min_ms, MIN_INTERVAL)).min(or(limits.heartbeat_max_ms, Duration::MAX));
        self.interval = self.interval.max(MIN_INTERVAL);
        self.announce_interval(now);
    }

    /// The server's first deadline follows its own suggestion, until a PING says otherwise.
    fn announce_interval(&mut self, now: Instant) {
        if self.interval != self.suggested {
            self.ping(now);
        }
    }

    fn on_live_frame(&mut self, frame: Frame, now: Instant) -> Option<Event> {
        match frame {
            Frame::Push(entry) => self.on_push(entry, now),
            Frame::SendAck(ack) => {
                if ack.useq != 0 {
                    self.incoming.on_own_entry(ack.useq);
                }
                self.outgoing.on_answered(ack.send_no, now).then_some(Event::Answered(ack))
            }
            Frame::SendNack(nack) => self.on_nack(nack, now),
            Frame::Credit(credit) => {
                self.outgoing.on_credit(credit.max_send_no);
                None
            }
            Frame::Ping(_) => {
                self.pongs_due = self.pongs_due.saturating_add(1);
                None
            }
            Frame::Pong(pong) => {
                self.pongs += 1;
                if self.pongs >= self.probe {
                    self.outgoing.on_pong();
                }
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
        // What has no useq is no part of the log: the application finds its place by the cseq.
        if entry.useq != 0 && self.incoming.on_entry(entry.useq, now) != Verdict::Apply {
            return None;
        }
        match entry.item {
            // The device's own message, out of the log: it stands for the SEND_ACK, if that has not come.
            Some(Item::Message(ref message)) if entry.useq != 0 && self.outgoing.has_used(entry.own_send_no) => {
                let (send_no, useq) = (entry.own_send_no, entry.useq);
                let (cseq, time_ms) = (message.cseq, message.time_ms);
                let ack = wire::SendAck { send_no, cseq, useq, time_ms, group: 0 };
                let first = self.outgoing.on_answered(send_no, now);
                Some(if first { Event::Answered(ack) } else { Event::Own(Box::new(entry)) })
            }
            _ => Some(Event::Entry(Box::new(entry))),
        }
    }

    fn on_nack(&mut self, nack: wire::SendNack, now: Instant) -> Option<Event> {
        if !is_temporary(nack.code) {
            return self.outgoing.on_answered(nack.send_no, now).then_some(Event::Refused(nack));
        }
        if self.outgoing.is_settled(nack.send_no) {
            return None;
        }
        let expected = if nack.expected == 0 { nack.send_no } else { nack.expected };
        // What was answered on this connection may have come out of the log, ahead of an older refusal.
        if self.outgoing.was_settled_before(expected) {
            let reason = format!("the server expects send_no {expected}, which it has answered for good before");
            self.close(CloseCode::STATE_LOST, &reason, now);
            return None;
        }
        let pause = Duration::from_millis(nack.retry_after_ms.into());
        self.outgoing.on_refused_for_now(nack.send_no, expected, pause, now);
        Some(Event::Postponed(nack))
    }
}
