//! What the server does with a live connection: entries pushed and passed, SENDs answered, and how far both are.

use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;

use super::connection::{Connection, Phase};
use crate::{code::is_temporary, codec, heartbeat::millis, kind::Kind, wire};

/// The encoded `Entry` that holds only `item`: what is stored, and forwarded verbatim by [`Connection::push`].
pub fn encode_item(item: wire::entry::Item) -> Bytes {
    wire::Entry { useq: 0, own_send_no: 0, item: Some(item) }.encode_to_vec().into()
}

impl Connection {
    /// How many more entries may be pushed now.
    pub fn push_room(&self) -> u64 {
        self.live().map_or(0, |live| live.push.room(&self.settings.push))
    }

    /// Every entry up to this one has been pushed: the next one is to be pushed next.
    pub fn pushed(&self) -> u64 {
        self.live().map_or(0, |live| live.push.pushed())
    }

    /// The same, while the entries behind it have still to be read from the log; see [`Self::set_lagging`].
    pub fn lagging_after(&self) -> Option<u64> {
        self.live().filter(|live| live.push.is_lagging()).map(|live| live.push.pushed())
    }

    /// The device has stored every entry up to this one.
    pub fn cursor(&self) -> u64 {
        self.live().map_or(0, |live| live.push.acked())
    }

    /// Pushes an entry: `item` is an encoded `Entry` without its numbers. False: the number is not the next one and
    /// nothing was written.
    pub fn push(&mut self, useq: u64, own_send_no: u64, item: &[u8], now: Instant) -> bool {
        let Phase::Live(live) = &mut self.phase else { return false };
        let next = live.push.on_pushed(useq, item.len() + 8, now);
        if next {
            codec::put_push(&mut self.out, useq, own_send_no, item);
        }
        next
    }

    /// Pushes what is not in the user's log: no number, no ack, no repetition.
    pub fn pass(&mut self, item: &[u8]) {
        if self.is_live() {
            codec::put_push(&mut self.out, 0, 0, item);
        }
    }

    /// The log has grown to `head`, whether or not the entry can be pushed now.
    pub fn on_head(&mut self, head: u64) {
        if let Some(live) = self.live_mut() {
            live.push.on_head(head);
        }
    }

    /// Whether the next entry has still to be read from the log, or comes from the live queue at once.
    pub fn set_lagging(&mut self, lagging: bool) {
        if let Some(live) = self.live_mut() {
            live.push.set_lagging(lagging);
        }
    }

    /// Answers a SEND: the message is durable. It takes the place of the sender's own entry `useq`.
    pub fn acked(&mut self, ack: wire::SendAck, now: Instant) {
        let Phase::Live(live) = &mut self.phase else { return };
        codec::put_frame(&mut self.out, Kind::SendAck, &ack);
        live.unanswered = live.unanswered.saturating_sub(1);
        if ack.useq != 0 {
            live.push.on_own(ack.useq, now);
        }
        self.on_answered(ack.send_no);
    }

    /// Answers a SEND: the message was not taken. A permanent refusal uses the number up.
    pub fn refused(&mut self, nack: wire::SendNack) {
        let Phase::Live(live) = &mut self.phase else { return };
        live.unanswered = live.unanswered.saturating_sub(1);
        codec::put_frame(&mut self.out, Kind::SendNack, &nack);
        if !is_temporary(nack.code) {
            self.on_answered(nack.send_no);
        }
    }

    fn on_answered(&mut self, send_no: u64) {
        let window = self.settings.send_window;
        let Phase::Live(live) = &mut self.phase else { return };
        live.answered = live.answered.max(send_no);
        // One CREDIT for half a window: a few bytes for many messages, and the sender never has to wait for it.
        if live.max_send_no - live.answered <= window / 2 {
            live.max_send_no = live.answered + window;
            codec::put_frame(&mut self.out, Kind::Credit, &wire::Credit { max_send_no: live.max_send_no });
        }
    }

    pub fn signal(&mut self, signal: &wire::Signal) {
        if self.is_live() {
            codec::put_frame(&mut self.out, Kind::Signal, signal);
        }
    }

    pub fn respond(&mut self, response: &wire::Response) {
        if self.is_live() {
            codec::put_frame(&mut self.out, Kind::Response, response);
        }
    }

    /// The device's place is not in the log any more: it starts over from `head`.
    pub fn sync_reset(&mut self, reset: wire::SyncReset) {
        let Phase::Live(live) = &mut self.phase else { return };
        live.push.reset(reset.head);
        codec::put_frame(&mut self.out, Kind::SyncReset, &reset);
    }

    /// Asks the client to move to a new connection.
    pub fn go_away(&mut self, deadline: Duration, spread: Duration, alternatives: &[String]) {
        if self.is_live() {
            let (deadline_ms, spread_ms) = (millis(deadline), millis(spread));
            let go_away = wire::GoAway { deadline_ms, spread_ms, alternatives: alternatives.to_vec() };
            codec::put_frame(&mut self.out, Kind::GoAway, &go_away);
        }
    }
}
