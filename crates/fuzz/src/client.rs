//! The client's end of a connection: any bytes of a server, any time, any order of what the driver does.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::BytesMut;
use hongyan_proto::{
    CloseCode,
    client::{Connection, Event, Place, Settings},
    frame::Frame,
    wire,
};

use crate::{
    grammar::{from_server, number},
    output::Output,
};

pub fn run(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let Ok(mut run) = Run::new(&mut u) else { return };
    while !u.is_empty() && run.step(&mut u).is_ok() {}
    run.settle();
}

struct Run {
    now: Instant,
    connection: Connection,
    output: Output,
    applied: u64,
    first: u64,
    last: u64,
    answered: BTreeSet<u64>,
    /// Numbers of which the outbox has no message.
    gaps: BTreeSet<u64>,
    is_live: bool,
    closed: bool,
    stored: u64,
}

impl Run {
    fn new(u: &mut Unstructured<'_>) -> Result<Self> {
        let now = Instant::now();
        let cursor = number(u)?;
        let first = 1 + u64::from(u8::arbitrary(u)?);
        let last = first - 1 + u.int_in_range(0..=20)?;
        let place = Place { cursor, first_unanswered: first, last_queued: last };
        let mut connection = match u.arbitrary()? {
            true => Connection::hello(Settings::default(), &wire::Hello::default(), place, now),
            false => Connection::resume(Settings::default(), &wire::Resume::default(), place, now),
        };
        let mut output = Output::default();
        let login = output.take_preface(connection.take_output(now));
        assert!(matches!(login[..], [Frame::Hello(_) | Frame::Resume(_)]));
        let (answered, gaps) = (BTreeSet::new(), BTreeSet::new());
        let (is_live, closed, stored) = (false, false, cursor);
        Ok(Self { now, connection, output, applied: cursor, first, last, answered, gaps, is_live, closed, stored })
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=15)? {
            0..=7 => {
                let mut bytes = BytesMut::new();
                from_server(u)?.encode(&mut bytes);
                self.connection.handle_bytes(bytes);
            }
            8 => {
                let len = u.int_in_range(0..=30)?.min(u.len());
                self.connection.handle_bytes(BytesMut::from(u.bytes(len)?));
            }
            9 => self.now += Duration::from_millis(u.int_in_range(0..=70_000)?),
            10 => self.now = self.connection.poll_timeout().map_or(self.now, |due| due.max(self.now)),
            11 => {
                self.last += u64::from(u8::arbitrary(u)? % 4);
                self.connection.queued(self.last);
            }
            12 => {
                self.stored = self.applied.max(number(u)?);
                self.connection.stored(self.stored);
            }
            13 => self.write(),
            14 => self.connection.stored(self.applied),
            _ => self.rarely(u)?,
        }
        self.settle();
        Ok(())
    }

    fn rarely(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=5)? {
            0 => self.connection.ping(self.now),
            1 => self.connection.log_in(&wire::Hello::default()),
            2 => self.connection.request(&wire::Request::default()),
            3 => self.connection.grease(u.arbitrary()?),
            4 => {
                // It was answered on an earlier connection.
                self.gaps.insert(self.first + u64::from(u8::arbitrary(u)? % 32));
            }
            _ => self.connection.close(CloseCode::GOING_AWAY, "enough", self.now),
        }
        Ok(())
    }

    /// Writes what the connection asks for, as a driver does.
    fn write(&mut self) {
        let mut written = 0;
        while let Some(send_no) = self.connection.poll_send(self.now) {
            assert!((self.first..=self.last).contains(&send_no), "{send_no} is not in the outbox");
            assert!(!self.answered.contains(&send_no), "{send_no} was answered");
            match self.gaps.contains(&send_no) {
                true => self.connection.fill(send_no, self.now),
                false => self.connection.send(&wire::Send { send_no, ..Default::default() }, self.now),
            }
            written += 1;
            assert!(written <= self.last, "it asks for ever");
        }
    }

    fn settle(&mut self) {
        for round in 0.. {
            self.events();
            match self.connection.poll_timeout() {
                Some(due) if due <= self.now => self.connection.handle_timeout(self.now),
                _ => break,
            }
            // An ack that is due leaves with the output.
            self.take_output();
            assert!(round < 16, "a timeout stays due");
        }
        self.take_output();
        assert_eq!(self.connection.applied(), self.applied);
        if self.closed {
            assert!(self.connection.poll_timeout().is_none() && self.connection.poll_send(self.now).is_none());
        }
    }

    fn take_output(&mut self) {
        let output = self.connection.take_output(self.now);
        for frame in self.output.take(output) {
            match frame {
                Frame::Hello(_) | Frame::Close(_) => {}
                Frame::Ack(ack) => assert!(ack.useq <= self.applied, "acks {}, has {}", ack.useq, self.applied),
                Frame::Ping(ping) => assert!(ping.ack <= self.applied),
                frame => assert!(self.is_live, "{frame:?} before the login"),
            }
        }
    }

    fn events(&mut self) {
        while let Some(event) = self.connection.poll_event(self.now) {
            assert!(!self.closed, "{event:?} after the end");
            match event {
                Event::Welcome(welcome) => {
                    assert!(!std::mem::replace(&mut self.is_live, true));
                    self.applied = welcome.cursor;
                }
                Event::Resumed(_) => assert!(!std::mem::replace(&mut self.is_live, true)),
                Event::Rejected(_) => assert!(!self.is_live),
                // No part of the log.
                Event::Entry(entry) if entry.useq == 0 => {}
                Event::Entry(entry) | Event::Own(entry) => {
                    assert_eq!(Some(entry.useq), self.applied.checked_add(1), "in order, each once");
                }
                Event::Answered(ack) => self.on_answer(ack.send_no),
                Event::Refused(nack) => self.on_answer(nack.send_no),
                Event::Reset(reset) => self.applied = reset.head,
                Event::Closed { reason, .. } => {
                    assert!(reason.len() <= 256);
                    self.closed = true;
                }
                Event::Postponed(_) | Event::Signal(_) | Event::Response(_) | Event::GoAway(_) => {
                    assert!(self.is_live);
                }
            }
            self.follow();
        }
        self.follow();
    }

    /// The device's own messages move its place without an entry: one at a time, and never back.
    fn follow(&mut self) {
        let applied = self.connection.applied();
        assert!(applied >= self.applied, "back from {} to {applied}", self.applied);
        self.applied = applied;
    }

    fn on_answer(&mut self, send_no: u64) {
        assert!((self.first..=self.last).contains(&send_no), "{send_no} was never queued");
        assert!(self.answered.insert(send_no), "{send_no} is answered twice");
    }
}
