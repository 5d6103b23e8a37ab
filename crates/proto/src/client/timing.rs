//! What time does to the client's end of a connection: the deadline of the login, the heartbeat, what is asked for again.

use std::time::Instant;

use super::connection::{Connection, Phase};
use crate::{code::CloseCode, codec, heartbeat::millis, kind::Kind, wire};

impl Connection {
    /// When to call [`Self::handle_timeout`].
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

    /// How many PINGs were written to this connection.
    pub fn pings(&self) -> u64 {
        self.pings
    }

    /// How many of them were answered; the answers come in order.
    pub fn pongs(&self) -> u64 {
        self.pongs
    }
}
