//! From the end of one connection to the next: what a close code asks for, pauses, and moving away after a GOAWAY.

use std::{
    io,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hongyan_proto::{CloseCode, client::Place, code::Class, wire};
use tokio::time::timeout;

use super::{
    clock::{clock_ms, now},
    hello,
    round::Round,
    state::{Driver, Line, Next},
};
use crate::{
    backoff::{BASE, LIVED},
    certificate::CertificateProblem,
    command::CLOSE_TIMEOUT,
    error::{ClientError, ErrorKind, reason_text},
    event::Event,
    link::Link,
};

/// What ended without a close code: back off.
const NO_CODE: CloseCode = CloseCode(0);
/// The longest pause a server can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// How long a login that was given up may still reach the server, and replace a later one.
const STRAY_LOGIN: Duration = Duration::from_secs(60);
/// Addresses that are taken from one GOAWAY.
const MAX_ALTERNATIVES: usize = 8;

impl Driver {
    /// What is due by now.
    pub(super) fn on_time(&mut self, now: Instant, round: &mut Round) -> Result<(), ClientError> {
        if let Some(line) = self.line()
            && line.connection.poll_timeout().is_some_and(|due| due <= now)
        {
            line.connection.handle_timeout(now);
        }
        if self.first.is_some() && !round.logged_in && self.give_up_at.is_some_and(|due| due <= now) {
            let failure = reason_text(&self.failure);
            let what = format!("no login at {} in the time given for it{failure}", self.address);
            return Err(ClientError::new(ErrorKind::Unreachable, what));
        }
        let waiting = matches!(self.next, Next::Wait(_));
        if waiting && self.stalled && self.queue.has_room() {
            // The pause was for an application that takes nothing, and it does again.
            self.next = Next::Wait(now);
        }
        if matches!(self.next, Next::Wait(until) if until <= now) {
            self.stalled = false;
            let address = self.alternatives.pop_front().unwrap_or_else(|| self.address.clone());
            tracing::debug!(%address, "connecting");
            self.next = Next::Dial(Box::pin(self.dialer.clone().dial(address)));
        }
        Ok(())
    }

    /// Every send_no up to this one has its answer.
    pub(super) fn answered(&self) -> u64 {
        self.outbox.first().map_or(self.meta.last_send_no, |first| first - 1)
    }

    pub(super) fn on_dialed(&mut self, link: Link) -> Result<(), ClientError> {
        let now = now();
        let cursor = self.meta.cursor.unwrap_or(0);
        let (first_unanswered, last_queued) = (self.answered() + 1, self.meta.last_send_no);
        let place = Place { cursor, first_unanswered, last_queued };
        let opening = self.login.open(&self.meta, place, self.distrust, clock_ms(), now);
        let opening = opening.ok_or_else(hello::required)?;
        let (connection, resuming) = (opening.connection, opening.resume);
        let line = Line { link, connection, opened: now, resuming, answered: false };
        self.next = Next::Login(Box::new(line));
        Ok(())
    }

    pub(super) fn on_dial_failed(&mut self, error: &io::Error, round: &mut Round) -> Result<(), ClientError> {
        self.next = Next::Idle;
        let reason = match CertificateProblem::of_io(error) {
            Some(problem) if self.first.is_some() => {
                let said = problem.to_string();
                return Err(ClientError::new(ErrorKind::Certificate(problem), said));
            }
            Some(problem) => problem.to_string(),
            None => format!("the server cannot be reached: {error}"),
        };
        let pause = self.backoff.pause(rand::random());
        self.pause(&reason, pause, round);
        Ok(())
    }

    /// The line whose login was answered takes over.
    pub(super) fn on_logged_in(&mut self, resumed: bool, round: &mut Round) {
        round.meta = true;
        round.logged_in = true;
        if let Next::Login(mut line) = std::mem::replace(&mut self.next, Next::Idle) {
            line.answered = true;
            self.active = Some(*line);
        }
        self.backoff.on_logged_in();
        self.held.clear();
        self.alternatives.clear();
        self.distrust = false;
        self.requests.on_new_connection();
        self.rows.on_new_connection();
        self.large.on_new_connection();
        self.restart_reload();
        round.events.extend(self.queue.passing(Event::Connected { resumed }));
    }

    /// A GOAWAY: some time within the spread, a new connection is made before this one is left.
    pub(super) fn on_go_away(&mut self, go_away: wire::GoAway) {
        if matches!(self.next, Next::Idle) {
            self.alternatives = go_away.alternatives.into_iter().take(MAX_ALTERNATIVES).collect();
            let spread = Duration::from_millis(go_away.spread_ms.into());
            self.next = Next::Wait(now() + random_part(spread));
        }
    }

    /// The transport is gone, without a close code.
    pub(super) fn on_broken(&mut self, reason: &str, round: &mut Round) -> Result<(), ClientError> {
        self.on_closed(NO_CODE, reason, Duration::ZERO, true, round)
    }

    /// The line being driven has ended.
    pub(super) fn on_closed(
        &mut self,
        code: CloseCode,
        reason: &str,
        retry_after: Duration,
        by_peer: bool,
        round: &mut Round,
    ) -> Result<(), ClientError> {
        let (line, logging_in) = match std::mem::replace(&mut self.next, Next::Idle) {
            Next::Login(line) => (Some(*line), true),
            next => {
                self.next = next;
                (self.active.take(), false)
            }
        };
        let Some(line) = line else { return Ok(()) };
        let Line { opened, resuming, answered, .. } = line;
        if !by_peer {
            retire(line);
        }
        let now = now();
        if logging_in && !answered {
            self.distrust = true;
            self.stray = Some(now);
        }
        if !logging_in {
            self.held.clear();
        }
        if code == CloseCode::RESUME_REFUSED && logging_in && resuming {
            self.meta.resume_token = Bytes::new();
            round.meta = true;
            self.login.hello(&self.meta, self.answered()).ok_or_else(hello::required)?;
        } else if code == CloseCode::STATE_LOST && self.begin_device_epoch() {
            round.meta = true;
            self.login.hello(&self.meta, self.answered()).ok_or_else(hello::required)?;
        } else if matches!(code.class(), Class::Stop | Class::LogInAgain) {
            // Replaced by a login of its own, which was given up here but had arrived.
            let stray = self.stray.filter(|_| code == CloseCode::REPLACED);
            let by_itself = stray.is_some_and(|since| now < since + STRAY_LOGIN);
            if !by_itself && self.active.is_none() {
                return Err(ClientError::from_close(code, reason, !logging_in));
            }
            self.stray = None;
        }
        if now >= opened + LIVED {
            self.backoff.reset();
        }
        let pause = self.pause_after(code).max(retry_after.min(MAX_RETRY_AFTER));
        self.stalled = code == CloseCode::SLOW && retry_after.is_zero() && self.queue.is_full();
        let told = if code == NO_CODE { reason.to_owned() } else { format!("{code}{}", reason_text(reason)) };
        self.pause(&told, pause, round);
        Ok(())
    }

    fn pause_after(&mut self, code: CloseCode) -> Duration {
        match code.class() {
            // The connection was good, and the next one would end the same way: only an entry that can be stored starts
            // these pauses anew, and they are never near 0.
            _ if code == CloseCode::SLOW => self.stalls.pause(rand::random_range(0.5..1.0)),
            _ if code == CloseCode::STATE_LOST => self.backoff.pause_if_repeated(rand::random()),
            Class::RetryHere => self.backoff.pause_if_repeated(rand::random()),
            Class::Elsewhere if !self.alternatives.is_empty() => random_part(BASE),
            _ => self.backoff.pause(rand::random()),
        }
    }

    /// One end has lost the numbers of this device. Under a new device epoch the server takes what is unanswered, under
    /// the numbers it has here. False: that was done before, and no answer has come since.
    fn begin_device_epoch(&mut self) -> bool {
        tracing::warn!("the server and this device disagree about the numbers that this device has used");
        let drawn = rand::random_range(1..u32::MAX);
        // Neither 0 nor the same.
        self.meta.device_epoch = if drawn < self.meta.device_epoch { drawn } else { drawn + 1 };
        self.meta.resume_token = Bytes::new();
        // Its answers would be those to another epoch. What it had brought comes again.
        if let Some(mut line) = self.active.take() {
            line.connection.close(CloseCode::NORMAL, "", now());
            retire(line);
            self.held.clear();
        }
        !std::mem::replace(&mut self.new_epoch, true)
    }

    /// Tries again after `pause`, unless an attempt to move away is under way already.
    fn pause(&mut self, reason: &str, pause: Duration, round: &mut Round) {
        tracing::debug!(reason, ?pause, "not connected");
        self.failure = reason.to_owned();
        let dialing = matches!(self.next, Next::Dial(_));
        if !dialing {
            self.next = Next::Wait(now() + pause);
        }
        if self.active.is_none() && self.first.is_none() {
            let retry_in = if dialing { Duration::ZERO } else { pause };
            let reason = reason.to_owned();
            round.events.extend(self.queue.passing(Event::Disconnected { reason, retry_in }));
        }
    }
}

/// Says the last words of a connection that this end has closed, in the background.
fn retire(mut line: Line) {
    line.link.queue(line.connection.take_output(now()));
    tokio::spawn(async move {
        let _ = timeout(CLOSE_TIMEOUT, line.link.finish()).await;
    });
}

/// A random part of `span`.
fn random_part(span: Duration) -> Duration {
    span.mul_f64(rand::random())
}
