//! One turn of a device: read, understand, store, and only then ack, answer and write.

use std::{
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::BytesMut;
use hongyan_proto::{CloseCode, code::Class};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Crash, Device, Line, Note, beside};

/// Bytes that may wait for the network before no more messages are written.
const MAX_OUT: usize = 64 * 1024;

/// What has come from the network.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    Nothing,
    /// Bytes of a frame that is not whole yet.
    Part,
    /// Frames, or the end of the connection.
    News,
}

impl Device {
    /// False: there is nothing more to do now. It `goes_on` if there was a turn before it at the same moment.
    pub(super) fn turn(&mut self, context: &mut Context<'_>, goes_on: bool) -> bool {
        let now = self.world.clock.now();
        if self.leave_at.is_some_and(|at| at <= now) {
            self.move_away();
            return true;
        }
        let read = self.read(context);
        let Some(line) = &mut self.line else { return true };
        if goes_on && read == Read::Part && line.out.is_empty() {
            // All that could be done without this frame is done.
            return true;
        }
        if line.connection.poll_timeout().is_some_and(|due| due <= now) {
            line.connection.handle_timeout(now);
        }
        self.handle_events();
        self.resume_held();
        if self.crash == Some(Crash::BeforeCommit) {
            self.crash = None;
            self.restart();
            return true;
        }
        self.commit();
        if self.crash == Some(Crash::AfterCommit) {
            self.crash = None;
            self.restart();
            return true;
        }
        self.produce();
        let Some(line) = &mut self.line else { return true };
        write(line, context);
        if line.is_over {
            self.line = None;
            return true;
        }
        if !line.is_answered
            && let Some(delay) = self.hasty.take()
        {
            self.abandon(delay);
            return true;
        }
        read != Read::Nothing
    }

    fn read(&mut self, context: &mut Context<'_>) -> Read {
        let deaf = self.deaf_until > self.world.clock.now();
        let Some(line) = self.line.as_mut().filter(|_| !deaf) else { return Read::Nothing };
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut buffer = ReadBuf::uninit(&mut space);
        match Pin::new(&mut line.end).poll_read(context, &mut buffer) {
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                let acked = self.notebook.cursor.unwrap_or(0).max(line.reload.base);
                let window = self.notebook.limits.as_ref().map_or(64, |limits| limits.push_window.into());
                let more = line.tap.watch(buffer.filled(), acked, window);
                line.connection.handle_bytes(BytesMut::from(buffer.filled()));
                match more {
                    Ok(false) => Read::Part,
                    Ok(true) => Read::News,
                    Err(broken) => {
                        let broken = format!("u{} {}: {broken}", self.user, self.name);
                        self.world.ledger.borrow_mut().violated(|| broken);
                        Read::News
                    }
                }
            }
            Poll::Ready(_) => {
                self.on_broken();
                Read::News
            }
            Poll::Pending => Read::Nothing,
        }
    }

    /// The transport is gone without a close code.
    fn on_broken(&mut self) {
        self.on_end(CloseCode(0), "the connection broke");
        self.line = None;
        self.forget();
    }

    pub(super) fn on_end(&mut self, code: CloseCode, reason: &str) {
        let Some(line) = &mut self.line else { return };
        let now = self.world.clock.now();
        line.is_over = true;
        self.distrust |= !line.is_answered;
        if now > line.opened + std::time::Duration::from_secs(5) {
            self.attempts = 0;
        }
        let was_resuming = line.is_resuming;
        self.held.clear();
        self.leave_at = None;
        self.pause();
        if code == CloseCode::STATE_LOST {
            // What is unanswered may have been taken under the old epoch.
            let mut ledger = self.world.ledger.borrow_mut();
            self.notebook.outbox.values().for_each(|id| ledger.let_loose(*id));
            let device_epoch = self.chance.within(1, 1 << 30) as u32;
            self.round.push(Note::DeviceEpoch(device_epoch));
        } else if code == CloseCode::RESUME_REFUSED && was_resuming {
            self.round.push(Note::Token(bytes::Bytes::new()));
        } else if matches!(code.class(), Class::Stop | Class::LogInAgain) {
            let ended = format!("I7: u{} {} is stopped by {code} {reason}", self.user, self.name);
            self.world.ledger.borrow_mut().violated(|| ended.clone());
            self.stopped = Some(ended);
        }
    }

    /// After a GOAWAY: the old connection stays open, unread, while the new one is made.
    fn move_away(&mut self) {
        let until = self.world.clock.now() + std::time::Duration::from_secs(1);
        if let Some(line) = self.line.take() {
            self.abandoned.push((until, line.end));
        }
        self.forget();
        self.next_try = self.world.clock.now();
    }

    /// Writes what the turn has brought into the notebook, and tells the connection.
    fn commit(&mut self) {
        let mut ledger = self.world.ledger.borrow_mut();
        for note in self.round.drain(..) {
            match &note {
                Note::Shown { conversation, cseq, .. } => ledger.on_stored(self.user, *conversation, *cseq),
                Note::Reset { .. } => drop(ledger.reloading.insert(self.user)),
                Note::Receipt { conversation, by, delivered, read } => {
                    ledger.on_receipt(self.user, *conversation, *by, *delivered, *read);
                }
                _ => {}
            }
            if let Err(impossible) = self.notebook.write(note) {
                ledger.violated(|| format!("u{} {}: {impossible}", self.user, self.name));
            }
        }
        drop(ledger);
        let (cursor, last) = (self.notebook.cursor.unwrap_or(0), self.notebook.last_send_no);
        if let Some(line) = &mut self.line {
            line.connection.queued(last);
            if line.connection.is_live() {
                line.connection.stored(cursor.min(line.connection.applied()));
            }
        }
    }

    fn produce(&mut self) {
        let now = self.world.clock.now();
        let Some(line) = &mut self.line else { return };
        if line.connection.is_live() {
            if self.notebook.is_reloading {
                line.reload.next_request().iter().for_each(|request| line.connection.request(request));
            } else if let Some((group, place)) = self.notebook.behind().filter(|_| line.asked.is_none()) {
                line.asked = Some(group);
                line.connection.request(&beside::request(group, place));
            }
        }
        let ledger = self.world.ledger.borrow();
        while line.out.len() < MAX_OUT
            && let Some(send_no) = line.connection.poll_send(now)
        {
            match self.notebook.outbox.get(&send_no) {
                Some(id) => line.connection.send(&ledger.send(*id, send_no), now),
                None => line.connection.fill(send_no, now),
            }
        }
        line.out.extend_from_slice(&line.connection.take_output(now));
    }
}

/// Writes as much as the network takes. That it fails will be read.
pub(super) fn write(line: &mut Line, context: &mut Context<'_>) {
    while !line.out.is_empty() {
        let Poll::Ready(Ok(written)) = Pin::new(&mut line.end).poll_write(context, &line.out) else { return };
        let _ = line.out.split_to(written);
    }
}
