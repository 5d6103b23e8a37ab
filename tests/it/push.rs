//! Getting a user's log to a device: the window, catching up, a device that stops reading, a device that does not ack, a
//! device that falls silent.

use std::time::Duration;

use hongyan_proto::{
    CloseCode,
    codec::PREFACE,
    frame::Frame,
    wire::{self, entry::Item},
};

use crate::{
    server::{TestServer, eventually},
    wire::{WireClient, encoded, hello, message, resume},
};

/// Sends `count` messages with at most 32 unanswered, from `first` on.
fn send_many(client: &mut WireClient, first: u64, count: u64, to: &str, content: &[u8]) {
    const STEP: u64 = 32;
    let mut next = first;
    let mut answered = first - 1;
    while answered < first + count - 1 {
        let until = (answered + STEP + 1).min(first + count);
        if next < until {
            let frames: Vec<Frame> = (next..until).map(|send_no| message(send_no, to, content)).collect();
            client.send_bytes(&encoded(&frames));
            next = until;
        }
        match client.expect() {
            Frame::SendAck(ack) => {
                assert_eq!(ack.send_no, answered + 1);
                answered += 1;
                if answered.is_multiple_of(32) {
                    client.ack(ack.useq);
                }
            }
            Frame::Push(wire::Entry { item: Some(Item::Receipt(_)), .. }) | Frame::Credit(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn no_more_than_the_window_is_pushed_ahead_of_the_ack() {
    let server = TestServer::with("[limits]\npush_window = 16\n");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, welcome) = WireClient::login_as(&server, "bob", "phone");
    assert_eq!(welcome.limits.unwrap().push_window, 16);
    send_many(&mut alice, 1, 50, "bob", b"hi");
    (1..=16).for_each(|useq| drop(bob.expect_message(useq)));
    let head = bob.ping().head;
    assert!([16, 50].contains(&head), "nothing beyond the window: {head}");
    // An ack opens the window by as much.
    bob.ack(3);
    (17..=19).for_each(|useq| drop(bob.expect_message(useq)));
    bob.ping();
    // What is asked for again comes again, and no further than the window.
    bob.send(Frame::SyncReq(wire::SyncReq { after: 17 }));
    (18..=19).for_each(|useq| drop(bob.expect_message(useq)));
    bob.send(Frame::SyncReq(wire::SyncReq { after: 0 }));
    (4..=19).for_each(|useq| drop(bob.expect_message(useq)));
    bob.ping();
    bob.ack(19);
    (20..=35).for_each(|useq| drop(bob.expect_message(useq)));
    bob.ack(35);
    (36..=50).for_each(|useq| drop(bob.expect_message(useq)));
    bob.ack(50);
    assert_eq!(bob.ping().head, 0);
}

#[test]
fn who_was_away_gets_everything_in_order_on_every_device() {
    let server = TestServer::start();
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let token = server.token("bob");
    const COUNT: u64 = 3000;
    send_many(&mut alice, 1, COUNT, "bob", b"while you were away");
    for device in ["phone", "desk"] {
        let (mut bob, welcome) = WireClient::login(&server, hello("bob", device, &token));
        assert_eq!((welcome.head, welcome.cursor), (COUNT, 0));
        for useq in 1..=COUNT {
            assert_eq!(bob.expect_message(useq).cseq, useq);
            if useq.is_multiple_of(16) {
                bob.ack(useq);
            }
        }
        bob.ack(COUNT);
        assert_eq!(bob.ping().head, 0);
        // And live from here on.
        alice.send_message(COUNT + if device == "phone" { 1 } else { 2 }, "carol", b"");
        alice.skip(|frame| !matches!(frame, Frame::SendNack(_)));
    }
    // Her own other device gets her own messages.
    let (mut desk, welcome) = WireClient::login_as(&server, "alice", "desk");
    for useq in 1..=welcome.head {
        assert_eq!(desk.expect_push().useq, useq);
        if useq.is_multiple_of(16) {
            desk.ack(useq);
        }
    }
}

/// Messages of a kilobyte that wait for who does not read.
const PENDING: u64 = 20_000;

#[test]
fn receivers_that_stop_reading_cost_little_delay_nobody_and_lose_nothing() {
    let config = "[limits]\nmessages_burst = 100000\n[store]\nsync = \"os\"\ncache = \"1MiB\"\n";
    let content = vec![b'x'; 1000];
    // What the same traffic costs if it is read, most of it the engine's own memory.
    let server = TestServer::with(config);
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    let before = server.rss();
    let reading = std::thread::spawn(move || read_all(&mut bob, PENDING));
    send_many(&mut alice, 1, PENDING, "bob", &content);
    reading.join().unwrap();
    let read = server.rss().saturating_sub(before);

    let server = TestServer::with(config);
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut carol, _) = WireClient::login_as(&server, "carol", "phone");
    let (mut dave, _) = WireClient::login_as(&server, "dave", "phone");
    let before = server.rss();
    let mut deaf: Vec<_> = ["one", "two", "three", "four"].map(|device| deaf_device(&server, "bob", device)).into();
    deaf.iter_mut().for_each(|client| drop(client.expect_welcome()));
    send_many(&mut alice, 1, PENDING / 2, "bob", &content);
    for send_no in 1..=50 {
        dave.send_message(send_no, "carol", b"is anybody delayed?");
        dave.expect_send_ack(send_no);
        carol.expect_message(send_no);
        carol.ack(send_no);
    }
    send_many(&mut alice, PENDING / 2 + 1, PENDING / 2, "bob", &content);
    let unread = server.rss().saturating_sub(before);
    assert!(unread < read + (8 << 20), "grown by {unread} bytes, with somebody who reads by {read}");
    assert_eq!(server.metric("hongyan_sessions"), 7, "nobody was cut off");
    for mut client in deaf {
        read_all(&mut client, PENDING);
    }
    server.assert_healthy();
}

/// A device behind a small receive buffer that has sent its HELLO.
fn deaf_device(server: &TestServer, uid: &str, device: &str) -> WireClient {
    let mut client = WireClient::with_small_buffer(server.address());
    client.send_bytes(&PREFACE);
    client.send(Frame::Hello(hello(uid, device, &server.token(uid))));
    client
}

/// Takes messages up to `last`, in order, acking as it goes.
fn read_all(client: &mut WireClient, last: u64) {
    for useq in 1..=last {
        // A probe may stand among what was written while nobody read.
        match client.skip(|frame| matches!(frame, Frame::Ping(_))) {
            Frame::Push(entry) => assert_eq!(entry.useq, useq),
            other => panic!("{other:?}"),
        }
        if useq.is_multiple_of(16) || useq == last {
            client.ack(useq);
        }
    }
    client.ping();
}

// ---------------------------------------------------------------- acks that do not come

#[test]
fn a_device_that_withholds_its_ack_gets_it_again_more_slowly_and_then_is_closed() {
    let server = TestServer::with("[delivery]\nack_timeout = \"100ms\"\nretransmits = 3\n");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, welcome) = WireClient::login_as(&server, "bob", "phone");
    send_many(&mut alice, 1, 3, "bob", b"hi");
    (1..=3).for_each(|useq| drop(bob.expect_message(useq)));
    let mut probes = Vec::new();
    for _ in 0..3 {
        assert_eq!(bob.expect(), Frame::Ping(wire::Ping::default()), "a probe comes before anything is repeated");
        probes.push(std::time::Instant::now());
        bob.send(Frame::Pong(wire::Pong::default()));
        (1..=3).for_each(|useq| drop(bob.expect_message(useq)));
    }
    assert!(probes[2] - probes[1] > probes[1] - probes[0], "backing off: {probes:?}");
    assert_eq!(bob.expect(), Frame::Ping(wire::Ping::default()));
    bob.send(Frame::Pong(wire::Pong::default()));
    bob.expect_close(CloseCode::SLOW);
    // Nothing is lost by that.
    let mut bob = WireClient::open(server.address());
    bob.send(resume(&welcome.resume_token, 0));
    bob.expect_resumed();
    (1..=3).for_each(|useq| drop(bob.expect_message(useq)));
    bob.ack(3);
    assert_eq!(bob.ping().head, 0);
}

#[test]
fn an_ack_ends_the_repetition() {
    let server = TestServer::with("[delivery]\nack_timeout = \"100ms\"\n");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    send_many(&mut alice, 1, 3, "bob", b"hi");
    (1..=3).for_each(|useq| drop(bob.expect_message(useq)));
    bob.ack(1);
    assert_eq!(bob.expect(), Frame::Ping(wire::Ping::default()));
    // Without its PONG nothing is repeated: the device may not have read them yet.
    alice.send_message(4, "bob", b"hi");
    bob.expect_message(4);
    bob.send(Frame::Pong(wire::Pong::default()));
    (2..=4).for_each(|useq| drop(bob.expect_message(useq)));
    bob.ack(4);
    assert_eq!(bob.ping().head, 0);
    alice.send_message(5, "bob", b"hi");
    bob.expect_message(5);
}

#[test]
fn a_healthy_connection_sees_no_byte_twice() {
    let server = TestServer::with("[delivery]\nack_timeout = \"100ms\"\nreceipt_delay = \"0ms\"\n");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    let mut alice_useq = 0;
    for send_no in 1..=200 {
        alice.send_message(send_no, "bob", b"hi");
        bob.expect_message(send_no);
        bob.ack(send_no);
        // The SEND_ACK and the receipt, in this order, each number once.
        for _ in 0..2 {
            let useq = match alice.skip(|frame| matches!(frame, Frame::Credit(_))) {
                Frame::SendAck(ack) => ack.useq,
                Frame::Push(entry) => entry.useq,
                other => panic!("{other:?}"),
            };
            assert_eq!(useq, alice_useq + 1);
            alice_useq = useq;
        }
        alice.ack(alice_useq);
    }
    assert_eq!((alice.ping().head, bob.ping().head), (0, 0));
    assert_eq!(server.metric("hongyan_entries_read_from_log_total"), 0);
}

#[test]
fn a_device_that_lags_without_progress_is_closed_however_alive_it_looks() {
    let server = TestServer::with("[delivery]\nack_timeout = \"900ms\"\nlagging_timeout = \"1s\"\n");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    alice.send_message(1, "bob", b"hi");
    bob.expect_message(1);
    let code = eventually("bob is closed", || {
        let _ = bob.try_send_bytes(&encoded(&[Frame::Ping(wire::Ping::default())]));
        match bob.next() {
            Some(Frame::Close(close)) => Some(CloseCode(close.code)),
            Some(Frame::Pong(pong)) => {
                assert_eq!(pong.head, 1);
                None
            }
            // A probe, which gets no answer.
            Some(Frame::Ping(_)) => None,
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(code, CloseCode::SLOW);
}

#[test]
fn delivery_is_told_even_if_the_ack_was_lost_with_its_connection() {
    let server = TestServer::with("[delivery]\nreceipt_delay = \"0ms\"\n");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, welcome) = WireClient::login_as(&server, "bob", "phone");
    alice.send_message(1, "bob", b"hi");
    alice.expect_send_ack(1);
    bob.expect_message(1);
    drop(bob);
    let mut bob = WireClient::open(server.address());
    bob.send(resume(&welcome.resume_token, 1));
    bob.expect_resumed();
    assert_eq!(alice.expect_receipt(2).delivered_cseq, 1);
}

#[test]
fn beginning_at_the_head_proves_no_delivery() {
    let server = TestServer::with("[delivery]\nreceipt_delay = \"0ms\"\n");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let token = server.token("bob");
    alice.send_message(1, "bob", b"hi");
    alice.expect_send_ack(1);
    let (mut bob, _) = WireClient::login(&server, wire::Hello { from_head: true, ..hello("bob", "desk", &token) });
    bob.ping();
    alice.ack(1);
    assert_eq!(alice.ping().head, 0);
    assert_eq!(bob.ping().head, 0);
    assert_eq!(alice.ping().head, 0, "no receipt was written");
}

// ---------------------------------------------------------------- heartbeat

#[test]
fn a_silent_client_is_closed_after_the_time_it_announced_and_half_of_it() {
    let server = TestServer::with("[heartbeat]\ninterval = \"2s\"\nmin = \"1s\"\nmax = \"2s\"\n");
    let (mut announced, welcome) = WireClient::login_as(&server, "alice", "phone");
    let limits = welcome.limits.unwrap();
    assert_eq!((limits.heartbeat_ms, limits.heartbeat_min_ms, limits.heartbeat_max_ms), (2000, 1000, 2000));
    let (mut silent, _) = WireClient::login_as(&server, "bob", "phone");
    // Below the minimum and above the maximum: the server keeps to its own bounds.
    announced.send(Frame::Ping(wire::Ping { next_ms: 1, ack: 0 }));
    let start = std::time::Instant::now();
    assert_eq!(announced.expect(), Frame::Pong(wire::Pong { head: 0 }));
    let (mut patient, _) = WireClient::login_as(&server, "carol", "phone");
    patient.send(Frame::Ping(wire::Ping { next_ms: 3_600_000, ack: 0 }));
    patient.expect();
    announced.expect_close(CloseCode::IDLE_TIMEOUT);
    assert!(start.elapsed() >= Duration::from_millis(1400), "after {:?}", start.elapsed());
    silent.expect_close(CloseCode::IDLE_TIMEOUT);
    assert!(start.elapsed() >= Duration::from_millis(2500), "after {:?}", start.elapsed());
    patient.expect_close(CloseCode::IDLE_TIMEOUT);
}

#[test]
fn answers_do_not_wait_for_the_acks_of_what_is_pushed() {
    let server = TestServer::with("[limits]\npush_window = 16\n");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    alice.ping();
    // More than the window, none of which is acked: the rest waits.
    for send_no in 1..=20 {
        bob.post(send_no, "alice", b"hi");
    }
    assert_eq!(alice.post(1, "bob", b"busy"), 21);
    server.assert_healthy();
}
