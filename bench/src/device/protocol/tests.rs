use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use hongyan_proto::{
    server::{Connection, Event as Asked, PushSettings, Settings, encode_item},
    wire::{NackCode, entry::Item},
};

use super::*;
use crate::{stamp::Stationery, token::Mint};

const MS: u64 = NS_PER_MS;

fn run() -> Run {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, [7; 32]).unwrap();
    Run {
        target: ([127, 0, 0, 1], 1).into(),
        tls: None,
        uids: crate::token::user_ids(1, 2),
        stationery: Stationery::new(100, 1),
        mint: Mint::from_file(&secret, "bench", "hongyan", "hongyan").unwrap(),
        device_epoch: 5,
        heartbeat: None,
        start: Instant::now(),
    }
}

/// The device of user 1 and the server's end of its connection.
struct Pair {
    run: Run,
    device: Device,
    server: Connection,
    events: Vec<Event>,
}

impl Pair {
    fn new() -> Self {
        let limits = wire::Limits { heartbeat_ms: 60_000, max_frame: 65_536, ..Default::default() };
        let login_timeout = Duration::from_secs(5);
        let settings = Settings { login_timeout, limits, send_window: 32, push: PushSettings::default() };
        let server = Connection::new(Arc::new(settings), Instant::now());
        Self { run: run(), device: Device::new(1), server, events: Vec::new() }
    }

    /// As [`Pair::new`], logged in at the entry `head`.
    fn live(head: u64) -> Self {
        let mut pair = Self::new();
        pair.device.connect(&pair.run);
        assert!(matches!(pair.deliver_to_server()[..], [Asked::Hello(_)]));
        let welcome =
            wire::Welcome { head, cursor: head, resume_token: Bytes::from_static(b"token"), ..Default::default() };
        pair.server.welcome(welcome, Instant::now());
        pair.server.set_lagging(false);
        pair.deliver_to_device(0);
        assert_eq!(pair.take_events(), [Event::LoggedIn]);
        pair
    }

    fn deliver_to_server(&mut self) -> Vec<Asked> {
        self.server.handle_bytes(self.device.out.split(), Instant::now());
        std::iter::from_fn(|| self.server.poll_event(Instant::now())).collect()
    }

    fn deliver_to_device(&mut self, now: u64) {
        let bytes = self.server.take_output();
        let used = self.device.feed(&self.run, &bytes, now, &mut self.events);
        assert_eq!(used, bytes.len());
    }

    fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn push(&mut self, useq: u64, from: &str, number: u64) {
        let (head, filling) = self.run.stationery.write(Stamp { sender: 0, number, intended: 9 });
        let content = [&head[..], filling].concat().into();
        let message = wire::Message { from: from.into(), to: self.run.uids[1].clone(), content, ..Default::default() };
        self.server.push(useq, 0, &encode_item(Item::Message(message)), Instant::now());
    }
}

#[test]
fn messages_leave_with_credit_and_are_answered_in_order() {
    let mut pair = Pair::live(0);
    let window = pair.device.sending.max;
    assert!(window > 1);
    for number in 0..=window {
        pair.device.send(&pair.run, To::User(0), Stamp { sender: 1, number, intended: number });
    }
    let sends = pair.deliver_to_server();
    assert_eq!(sends.len() as u64, window, "one waits for credit");
    for send_no in 1..=window {
        pair.server
            .acked(wire::SendAck { send_no, cseq: send_no, useq: send_no, time_ms: 1, group: 0 }, Instant::now());
    }
    pair.deliver_to_device(5);
    let answered: Vec<Event> = (0..window).map(|intended| Event::Answered { intended }).collect();
    assert_eq!(pair.take_events(), answered);
    let [Asked::Send(last), Asked::Acked(acked)] = &pair.deliver_to_server()[..] else {
        panic!("the last message leaves, and the device's own entries are acked");
    };
    assert_eq!((last.send_no, *acked), (window + 1, window));
}

#[test]
fn acks_follow_the_rules_of_an_sdk() {
    let mut pair = Pair::live(10);
    let sender = pair.run.uids[0].clone();
    pair.push(11, &sender, 0);
    pair.deliver_to_device(1000 * MS);
    assert_eq!(pair.deliver_to_server().len(), 1, "the first leaves at once");
    pair.push(12, &sender, 1);
    pair.deliver_to_device(1001 * MS);
    assert!(pair.device.out.is_empty());
    assert_eq!(pair.device.poll_timeout(), Some(1200 * MS));
    pair.device.handle_timeout(1200 * MS);
    assert_eq!(pair.deliver_to_server().len(), 1);
    assert!(pair.device.has_acked_all());
    for useq in 13..29 {
        assert!(pair.device.out.is_empty());
        pair.push(useq, &sender, useq - 11);
        pair.deliver_to_device(1201 * MS);
    }
    assert_eq!(pair.deliver_to_server().len(), 1, "sixteen are waiting");
    assert_eq!(pair.take_events().len(), 18);
}

#[test]
fn a_message_from_somebody_else_is_foreign_and_a_jump_is_asked_for() {
    let mut pair = Pair::live(0);
    pair.push(1, "mallory", 0);
    pair.deliver_to_device(0);
    assert_eq!(pair.take_events(), [Event::Foreign]);
    let mut out = BytesMut::new();
    codec::put_push(&mut out, 3, 0, &[]);
    pair.device.feed(&pair.run, &out, MS, &mut pair.events);
    pair.device.out.clear();
    pair.device.handle_timeout(201 * MS);
    let mut expected = BytesMut::new();
    codec::put_frame(&mut expected, Kind::SyncReq, &wire::SyncReq { after: 1 });
    assert_eq!(pair.device.out, expected);
    assert_eq!(pair.take_events(), []);
}

#[test]
fn a_device_that_was_here_comes_back_with_its_token_and_place() {
    let mut pair = Pair::live(40);
    let mut again = Pair::new();
    std::mem::swap(&mut pair.device, &mut again.device);
    again.device.disconnected();
    again.device.connect(&again.run);
    let [Asked::Resume(resume)] = &again.deliver_to_server()[..] else { panic!("a RESUME") };
    assert_eq!((resume.resume_token.as_ref(), resume.cursor), (b"token".as_slice(), 40));
}

#[test]
fn what_was_not_answered_is_sent_again_and_what_is_new_waits_for_the_connection() {
    let mut pair = Pair::live(0);
    let stamp = |number| Stamp { sender: 1, number, intended: number };
    (0..3).for_each(|number| pair.device.send(&pair.run, To::User(0), stamp(number)));
    let first: Vec<_> = pair.deliver_to_server();
    pair.server.acked(wire::SendAck { send_no: 1, cseq: 1, useq: 1, time_ms: 1, group: 0 }, Instant::now());
    pair.deliver_to_device(5);
    assert_eq!(pair.take_events(), [Event::Answered { intended: 0 }]);
    let mut again = Pair::new();
    std::mem::swap(&mut pair.device, &mut again.device);
    again.device.disconnected();
    again.device.send(&again.run, To::User(0), stamp(3));
    again.device.connect(&again.run);
    assert!(matches!(again.deliver_to_server()[..], [Asked::Resume(_)]), "nothing goes before the RESUME");
    let resumed = wire::Resumed { last_send_no: 2, ..Default::default() };
    again.server.resumed(resumed, 0, 0, Instant::now());
    again.server.set_lagging(false);
    again.deliver_to_device(6);
    let sent: Vec<_> = again.deliver_to_server();
    let (Asked::Send(old), Asked::Send(same)) = (&first[1], &sent[0]) else { panic!("{sent:?}") };
    assert_eq!((same.send_no, &same.content), (old.send_no, &old.content), "the same number, the same bytes");
    let numbers: Vec<u64> =
        sent.iter().filter_map(|asked| if let Asked::Send(send) = asked { Some(send.send_no) } else { None }).collect();
    assert_eq!(numbers, [2, 3, 4]);
}

#[test]
fn refusals_end_the_run_and_say_what_to_do() {
    let mut pair = Pair::live(0);
    pair.device.send(&pair.run, To::User(0), Stamp { sender: 1, number: 0, intended: 0 });
    pair.deliver_to_server();
    let code = NackCode::NackRateLimited as i32;
    pair.server.refused(wire::SendNack { send_no: 1, code, reason: "too fast".into(), ..Default::default() });
    pair.deliver_to_device(0);
    let [Event::Failed(why)] = &pair.take_events()[..] else { panic!("one failure") };
    assert!(why.contains("too fast") && why.contains("limits.messages_per_second"), "{why}");
}

#[test]
fn frames_may_come_in_pieces() {
    let mut pair = Pair::live(0);
    let sender = pair.run.uids[0].clone();
    pair.push(1, &sender, 0);
    let bytes = pair.server.take_output();
    for cut in 0..bytes.len() {
        assert_eq!(pair.device.feed(&pair.run, &bytes[..cut], 0, &mut pair.events), 0);
    }
    assert_eq!(pair.device.feed(&pair.run, &bytes, 0, &mut pair.events), bytes.len());
    assert_eq!(pair.take_events(), [Event::Received(Stamp { sender: 0, number: 0, intended: 9 })]);
}
