//! What the driver does with a connection: messages of the outbox go out, entries are stored, questions are asked.

use std::time::Instant;

use super::connection::{Connection, Phase};
use crate::{codec, kind::Kind, wire};

impl Connection {
    /// After REJECT 5003: log in on the same connection.
    pub fn log_in(&mut self, hello: &wire::Hello) {
        if matches!(self.phase, Phase::Opening { .. }) {
            codec::put_frame(&mut self.out, Kind::Hello, hello);
        }
    }

    /// The outbox has grown to `last`.
    pub fn queued(&mut self, last: u64) {
        self.outgoing.on_queued(last);
    }

    /// The send_no of the outbox that may be written now; answer with [`Self::send`] or [`Self::fill`].
    pub fn poll_send(&self, now: Instant) -> Option<u64> {
        matches!(self.phase, Phase::Live).then(|| self.outgoing.poll(now)).flatten()
    }

    /// Writes the message that [`Self::poll_send`] asked for.
    pub fn send(&mut self, send: &wire::Send, now: Instant) {
        codec::put_frame(&mut self.out, Kind::Send, send);
        self.outgoing.on_written(send.send_no, now);
    }

    /// The outbox holds no message with the number that [`Self::poll_send`] asked for: it was answered on an earlier
    /// connection. A server that has forgotten the device since would wait for the number for ever, so a SEND without a
    /// message takes its place. No event tells of its answer.
    pub fn fill(&mut self, send_no: u64, now: Instant) {
        self.outgoing.on_filled(send_no);
        self.send(&wire::Send { send_no, ..Default::default() }, now);
    }

    /// Every entry up to this one has been handed out.
    pub fn applied(&self) -> u64 {
        self.incoming.applied()
    }

    /// The driver has stored every entry up to `useq`, in general [`Self::applied`]; an ack follows when it is due.
    pub fn stored(&mut self, useq: u64) {
        self.incoming.on_stored(useq);
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
}
