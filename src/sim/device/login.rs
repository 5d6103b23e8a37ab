//! Logging in: what a device says of itself, and what it is told.

use std::net::IpAddr;

use bytes::Bytes;
use hongyan_proto::{
    CloseCode,
    client::{Connection, Place, Settings},
    wire::{self, hello},
};

use super::{
    line::Line,
    notebook::{Note, Notebook},
    state::Device,
};
use crate::sim::{conversation, network};

impl Device {
    pub(super) fn connect(&mut self) {
        let now = self.world.clock.now();
        let (ours, theirs) = network::connect(&self.world.clock, self.chance.fork(), self.road);
        let address = IpAddr::from([10, 0, self.user as u8, self.number as u8]);
        if !self.world.host.accept(theirs, address, self.by_requests) {
            return self.pause();
        }
        let Notebook { cursor, last_send_no, .. } = self.notebook;
        let cursor = cursor.unwrap_or(0);
        let first_unanswered = self.notebook.answered() + 1;
        let place = Place { cursor, first_unanswered, last_queued: last_send_no };
        let is_resuming = !self.notebook.resume_token.is_empty();
        let connection = if is_resuming {
            let has_fallback = self.distrust || self.chance.one_in(2);
            let resume = wire::Resume {
                resume_token: self.notebook.resume_token.clone(),
                cursor,
                limits_id: self.notebook.limits.as_ref().map_or(0, |limits| limits.id),
                fallback: has_fallback.then(|| self.hello()),
            };
            Connection::resume(Settings::default(), &resume, place, now)
        } else {
            Connection::hello(Settings::default(), &self.hello(), place, now)
        };
        self.line = Some(Line::new(ours, connection, cursor, now, is_resuming));
    }

    /// What it says of itself. In another device epoch than the last time it is another device to the server, also if it
    /// has been in that epoch before.
    fn hello(&mut self) -> wire::Hello {
        let device_epoch = self.notebook.device_epoch;
        if std::mem::replace(&mut self.told_epoch, device_epoch) != device_epoch {
            self.selves += 1;
        }
        wire::Hello {
            uid: conversation::uid(self.user),
            device: self.name.clone(),
            device_epoch,
            credential: Some(hello::Credential::Token(self.world.tokens[self.user].clone())),
            cursor: self.notebook.cursor,
            log_epoch: self.notebook.log_epoch,
            last_send_no: self.notebook.last_send_no,
            answered_send_no: self.notebook.answered(),
            ..Default::default()
        }
    }

    pub(super) fn on_welcome(&mut self, welcome: wire::Welcome) {
        self.round.push(Note::Taken { as_self: self.selves });
        match self.notebook.cursor {
            None => {
                self.round.push(Note::Cursor(welcome.cursor));
                self.round.push(Note::LogEpoch(welcome.log_epoch));
            }
            Some(cursor) if self.notebook.log_epoch != welcome.log_epoch || cursor < welcome.cursor => {
                self.on_reset(welcome.log_epoch, welcome.cursor);
            }
            Some(_) => {}
        }
        if let Some(limits) = welcome.limits {
            self.round.push(Note::Limits(limits));
        }
        self.on_login(welcome.resume_token, welcome.cursor);
    }

    pub(super) fn on_resumed(&mut self, resumed: wire::Resumed) {
        let now = self.world.clock.now();
        match (resumed.limits, self.notebook.limits, &mut self.line) {
            (Some(limits), ..) => self.round.push(Note::Limits(limits)),
            (None, Some(limits), Some(line)) => line.connection.set_limits(&limits, now),
            _ => {}
        }
        let cursor = self.notebook.cursor.unwrap_or(0);
        self.world.stolen_tokens.borrow_mut().on_resumed(self.number, &self.notebook.resume_token);
        self.on_login(resumed.resume_token, cursor);
    }

    fn on_login(&mut self, token: Bytes, cursor: u64) {
        self.round.push(Note::Token(token));
        self.distrust = false;
        self.is_suspect = false;
        if let Some(line) = &mut self.line {
            line.is_answered = true;
            line.reload.begin_at(cursor);
        }
    }

    pub(super) fn on_rejected(&mut self, reject: &wire::Reject) {
        let Some(line) = &mut self.line else { return };
        let says_hello = CloseCode(reject.code) == CloseCode::RESUME_REFUSED && std::mem::take(&mut line.is_resuming);
        line.is_answered = !says_hello;
        if says_hello {
            let hello = self.hello();
            self.line.iter_mut().for_each(|line| line.connection.log_in(&hello));
            self.round.push(Note::Token(Bytes::new()));
        }
    }
}
