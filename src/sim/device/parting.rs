//! How a device and its connection part: it leaves, moves away or is left, or its process ends; and how long it waits then.

use std::{
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use hongyan_proto::{CloseCode, code::Class};

use super::{notebook::Note, state::Device};

impl Device {
    /// Leaves its connection as it is, bytes under way and all, and makes another.
    pub fn abandon(&mut self, delay: Duration) {
        let now = self.world.clock.now();
        if let Some(line) = self.line.take() {
            line.end.stall(now + delay);
            self.abandoned.push((now + delay * 2, line.end));
            self.distrust |= !line.is_answered;
        }
        self.forget();
        // No two connections of a device are made at the same moment.
        self.next_try = now + Duration::from_micros(1);
        self.wake();
    }

    /// After a GOAWAY: the old connection stays open, unread, while the new one is made.
    pub(super) fn move_away(&mut self) {
        let until = self.world.clock.now() + Duration::from_secs(1);
        if let Some(line) = self.line.take() {
            self.abandoned.push((until, line.end));
        }
        self.forget();
        self.next_try = self.world.clock.now();
    }

    /// Leaves with a farewell and stays away, or comes back.
    pub fn turn_off(&mut self, is_off: bool) {
        let now = self.world.clock.now();
        self.is_off = is_off;
        if let Some(mut line) = self.line.take().filter(|_| is_off) {
            self.round.clear();
            line.connection.close(CloseCode::NORMAL, "", now);
            line.out.extend_from_slice(&line.connection.take_output(now));
            line.write(&mut Context::from_waker(Waker::noop()));
            self.distrust |= !line.is_answered;
        }
        self.forget();
        self.next_try = now;
        self.wake();
    }

    /// The transport is gone without a close code.
    pub(super) fn on_broken(&mut self) {
        self.on_end(CloseCode(0), "the connection broke");
        self.line = None;
        self.forget();
    }

    pub(super) fn on_end(&mut self, code: CloseCode, reason: &str) {
        let Some(line) = &mut self.line else { return };
        let now = self.world.clock.now();
        line.is_over = true;
        self.distrust |= !line.is_answered;
        if now > line.opened + Duration::from_secs(5) {
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
            self.round.push(Note::Token(Bytes::new()));
        } else if matches!(code.class(), Class::Stop | Class::LogInAgain) {
            let ended = format!("I7: u{} {} is stopped by {code} {reason}", self.user, self.name);
            self.world.ledger.borrow_mut().violated(|| ended.clone());
            self.stopped = Some(ended);
        }
    }

    /// What does not survive the end of a connection.
    fn forget(&mut self) {
        self.round.clear();
        self.held.clear();
        self.leave_at = None;
    }

    /// The process ends, without a word, and starts again.
    pub(super) fn restart(&mut self) {
        let now = self.world.clock.now();
        self.line = None;
        self.forget();
        // A process that starts knows nothing of the logins of the one before.
        self.distrust = false;
        self.attempts = 0;
        self.next_try = now + self.chance.span(1, 500_000);
        self.wake();
    }

    /// Waits before it tries again, the longer the more often it has failed.
    pub(super) fn pause(&mut self) {
        let most_us = 250_000_u64 << self.attempts.min(5);
        self.attempts += 1;
        self.next_try = self.world.clock.now() + self.chance.span(most_us / 4, most_us);
    }
}
