//! What time does to the server's end of a connection: the deadline of the login, silence, overdue acks.

use std::time::Instant;

use super::{
    connection::{Connection, Phase},
    push::Overdue,
};
use crate::{code::CloseCode, codec, kind::Kind, wire};

impl Connection {
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
}
