//! Answering a HELLO or RESUME: how a connection becomes live, or does not.

use std::time::{Duration, Instant};

use super::{
    connection::{Connection, Phase},
    live::Live,
    push::Push,
};
use crate::{
    code::{CloseCode, short_reason},
    codec,
    heartbeat::millis,
    kind::Kind,
    wire,
};

impl Connection {
    /// Accepts a HELLO. `welcome` lacks only what this connection decides: credit and limits. Nothing happens if the
    /// connection ended meanwhile.
    pub fn welcome(&mut self, mut welcome: wire::Welcome, now: Instant) {
        if !self.is_deciding() {
            return;
        }
        let max_send_no = welcome.last_send_no + self.settings.send_window;
        welcome.max_send_no = max_send_no;
        welcome.limits = Some(self.settings.limits);
        codec::put_frame(&mut self.out, Kind::Welcome, &welcome);
        self.go_live(welcome.cursor, welcome.head, welcome.last_send_no, now);
    }

    /// Accepts a RESUME of a device that has stored everything up to `cursor` and remembers the limits `limits_id`.
    pub fn resumed(&mut self, mut resumed: wire::Resumed, cursor: u64, limits_id: u32, now: Instant) {
        if !self.is_deciding() {
            return;
        }
        resumed.max_send_no = resumed.last_send_no + self.settings.send_window;
        resumed.limits = (limits_id != self.settings.limits.id).then_some(self.settings.limits);
        codec::put_frame(&mut self.out, Kind::Resumed, &resumed);
        self.go_live(cursor, resumed.head, resumed.last_send_no, now);
    }

    fn go_live(&mut self, cursor: u64, head: u64, answered: u64, now: Instant) {
        let interval_ms = self.settings.limits.heartbeat_ms;
        let max_send_no = answered + self.settings.send_window;
        let push = Push::new(cursor, head);
        let live = Live { push, answered, max_send_no, unanswered: 0, last_heard: now, interval_ms };
        self.phase = Phase::Live(live.into());
    }

    /// Refuses a HELLO or RESUME. After RESUME_REFUSED a HELLO may follow; otherwise the connection is over.
    pub fn reject(&mut self, code: CloseCode, reason: &str, retry_after: Duration) {
        if !self.is_deciding() {
            return;
        }
        let reject = wire::Reject { code: code.0, reason: short_reason(reason), retry_after_ms: millis(retry_after) };
        codec::put_frame(&mut self.out, Kind::Reject, &reject);
        match self.phase {
            Phase::Deciding { deadline } if code == CloseCode::RESUME_REFUSED => self.phase = Phase::Login { deadline },
            _ => self.end(code, short_reason(reason), false),
        }
    }
}
