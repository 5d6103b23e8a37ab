//! The server's end of a connection: any bytes of a client, any time, any order of what the server itself does.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::BytesMut;
use hongyan_proto::{
    CloseCode,
    codec::PREFACE,
    frame::Frame,
    server::{Connection, Event, PushSettings, Settings},
    wire,
};

use crate::{
    grammar::{from_client, number},
    output::Output,
};

const WINDOW: u64 = 8;
/// A server's own numbers stay below this.
const MAX: u64 = 1 << 62;

pub fn run(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let mut run = Run::new();
    while !u.is_empty() && run.step(&mut u).is_ok() {}
    run.settle();
}

struct Run {
    now: Instant,
    connection: Connection,
    output: Output,
    /// What the server has decided, once the login was accepted.
    live: Option<Live>,
    /// A login waits for its answer.
    deciding: bool,
    closed: bool,
}

/// What has to hold on a live connection.
struct Live {
    acked: u64,
    /// The newest entry that was pushed or told.
    pushed: u64,
    max_send_no: u64,
    unanswered: Vec<u64>,
}

impl Run {
    fn new() -> Self {
        let limits = wire::Limits {
            max_frame: 8192,
            max_content: 4096,
            push_window: WINDOW as u32,
            heartbeat_ms: 60_000,
            heartbeat_min_ms: 10_000,
            heartbeat_max_ms: 600_000,
            ..Default::default()
        };
        let push = PushSettings { window_entries: WINDOW, window_bytes: 2000, ..PushSettings::default() };
        let settings = Settings { login_timeout: Duration::from_secs(5), limits, send_window: WINDOW, push };
        let now = Instant::now();
        let connection = Connection::new(Arc::new(settings), now);
        Self { now, connection, output: Output::default(), live: None, deciding: false, closed: false }
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=19)? {
            0 => self.feed(&PREFACE),
            1 => {
                let len = u.int_in_range(0..=30)?.min(u.len());
                self.feed(u.bytes(len)?);
            }
            2..=7 => {
                let mut bytes = BytesMut::new();
                from_client(u)?.encode(&mut bytes);
                self.feed(&bytes);
            }
            8 => self.now += Duration::from_millis(u.int_in_range(0..=70_000)?),
            9 => self.now = self.connection.poll_timeout().map_or(self.now, |due| due.max(self.now)),
            10 | 11 => self.decide(u)?,
            12 | 13 => self.push(u)?,
            14 => self.answer(u)?,
            15 => self.connection.on_head(number(u)?.min(MAX)),
            16 => self.connection.set_lagging(true),
            17 => self.connection.set_lagging(false),
            18 => self.connection.grease(u8::arbitrary(u)?),
            _ => self.rarely(u)?,
        }
        self.settle();
        Ok(())
    }

    fn rarely(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=3)? {
            0 => {
                let head = number(u)?.min(MAX);
                self.connection.sync_reset(wire::SyncReset { log_epoch: 1, low: head, head });
                if let Some(live) = &mut self.live {
                    (live.acked, live.pushed) = (head, head);
                }
            }
            1 => self.connection.signal(&wire::Signal::default()),
            2 => self.connection.go_away(Duration::from_secs(1), Duration::MAX, &[]),
            _ => self.connection.close(CloseCode(u.arbitrary()?), u.arbitrary()?),
        }
        Ok(())
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.connection.handle_bytes(BytesMut::from(bytes), self.now);
    }

    /// Answers a login, or does so without having been asked.
    fn decide(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (cursor, last_send_no) = (number(u)?.min(MAX), number(u)?.min(MAX));
        let head = cursor.saturating_add(number(u)?).min(MAX);
        let accepts = u.int_in_range(0..=7)?;
        match accepts {
            0 => {
                let code = if u.arbitrary()? { CloseCode::RESUME_REFUSED } else { CloseCode::BAD_CREDENTIALS };
                self.connection.reject(code, "no", Duration::from_secs(1));
            }
            1..=4 => {
                let welcome = wire::Welcome { head, cursor, last_send_no, ..Default::default() };
                self.connection.welcome(welcome, self.now);
            }
            _ => {
                let resumed = wire::Resumed { head, last_send_no, ..Default::default() };
                self.connection.resumed(resumed, cursor, 0, self.now);
            }
        }
        let asked = std::mem::take(&mut self.deciding);
        if asked && accepts > 0 && !self.closed {
            assert!(self.connection.is_live());
            let max_send_no = last_send_no + WINDOW;
            self.live = Some(Live { acked: cursor, pushed: cursor, max_send_no, unanswered: Vec::new() });
        }
        Ok(())
    }

    /// Pushes the next entry, or one that is not.
    fn push(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let after = self.connection.lagging_after();
        let useq = match after {
            Some(after) if u.int_in_range(0..=4)? > 0 => after + 1,
            _ => number(u)?.min(MAX),
        };
        let item = hongyan_proto::codec::message_item("a", "b", 1, 1, &vec![0; u.int_in_range(0..=600)?]);
        let room = self.connection.push_room();
        let pushed = room > 0 && self.connection.push(useq, 0, &item, self.now);
        if pushed {
            let live = self.live.as_mut().expect("only a live connection takes a push");
            assert!(after.is_none_or(|after| useq == after + 1), "{useq} is not the next after {after:?}");
            live.pushed = live.pushed.max(useq);
            assert!(live.pushed <= live.acked + WINDOW + live.unanswered.len() as u64 || live.acked < useq);
        }
        Ok(())
    }

    /// Answers the oldest SEND.
    fn answer(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let Some(live) = self.live.as_mut().filter(|live| !live.unanswered.is_empty()) else { return Ok(()) };
        let send_no = live.unanswered.remove(0);
        if u.int_in_range(0..=3)? == 0 {
            let code = u.int_in_range(0..=21)?;
            self.connection.refused(wire::SendNack { send_no, code, ..Default::default() });
            return Ok(());
        }
        let useq = number(u)?.min(MAX);
        live.pushed = live.pushed.max(useq);
        self.connection.acked(wire::SendAck { send_no, cseq: 1, useq, time_ms: 1, group: 0 }, self.now);
        Ok(())
    }

    /// What every round of a link does, and what must hold after it.
    fn settle(&mut self) {
        for round in 0.. {
            self.events();
            match self.connection.poll_timeout() {
                Some(due) if due <= self.now => self.connection.handle_timeout(self.now),
                _ => break,
            }
            assert!(round < 8, "a timeout stays due");
        }
        let output = self.connection.take_output();
        for frame in self.output.take(output) {
            self.check_output(&frame);
        }
        assert_eq!(self.connection.output_len(), 0);
        if self.closed {
            assert!(self.connection.is_closed() && self.connection.poll_timeout().is_none());
            assert_eq!(self.connection.buffered(), 0);
        }
    }

    fn events(&mut self) {
        while let Some(event) = self.connection.poll_event(self.now) {
            assert!(!self.closed, "{event:?} after the end");
            match event {
                Event::Hello(_) | Event::Resume(_) => {
                    assert!(self.live.is_none() && !self.deciding);
                    self.deciding = true;
                }
                Event::Closed { .. } => self.closed = true,
                Event::Send(send) => {
                    let live = self.live.as_mut().expect("no SEND before the login");
                    assert!((1..=live.max_send_no).contains(&send.send_no), "{}", send.send_no);
                    live.unanswered.push(send.send_no);
                }
                Event::Acked(useq) => {
                    let live = self.live.as_mut().expect("no ACK before the login");
                    assert!(useq > live.acked && useq <= live.pushed, "{useq}: {} {}", live.acked, live.pushed);
                    live.acked = useq;
                }
                Event::Signal(_) | Event::Request(_) => assert!(self.live.is_some()),
            }
        }
    }

    fn check_output(&mut self, frame: &Frame) {
        match frame {
            Frame::Credit(credit) => {
                let live = self.live.as_mut().expect("no CREDIT before the login");
                assert!(credit.max_send_no > live.max_send_no, "credit goes down");
                live.max_send_no = credit.max_send_no;
            }
            Frame::Reject(_) | Frame::Close(_) => {}
            _ => assert!(self.live.is_some(), "{frame:?} before the login"),
        }
    }
}
