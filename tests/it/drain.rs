//! Stopping a server: everybody is asked to move, nothing acknowledged is lost, and it ends in time.

use std::time::{Duration, Instant};

use hongyan_proto::{CloseCode, frame::Frame, wire};
use rustix::process::Signal;

use crate::{
    server::TestServer,
    wire::{WireClient, encoded, hello, message},
};

fn expect_go_away(client: &mut WireClient) -> wire::GoAway {
    match client.expect() {
        Frame::GoAway(go_away) => go_away,
        other => panic!("expected GOAWAY, got {other:?}"),
    }
}

#[test]
fn a_drain_asks_everybody_to_move_and_ends_when_they_have() {
    let mut server = TestServer::with("[drain]\ndeadline = \"30s\"\nspread = \"2s\"\n");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    server.signal(Signal::TERM);
    let go_away = expect_go_away(&mut alice);
    assert_eq!(go_away.spread_ms, 2);
    assert!((1..=2002).contains(&go_away.deadline_ms), "two devices need no more of the 30 s: {go_away:?}");
    expect_go_away(&mut bob);
    assert_eq!(server.get("/readyz").0, 503);
    assert_eq!(server.get("/healthz").0, 200);
    // Work goes on until they leave.
    alice.send_message(1, "bob", b"last words");
    alice.expect_send_ack(1);
    bob.expect_message(1);
    bob.ack(1);
    let start = Instant::now();
    alice.send(Frame::Close(wire::Close { code: 1000, ..Default::default() }));
    drop(bob);
    assert!(server.wait().success());
    assert!(start.elapsed() < Duration::from_secs(15), "it does not wait for the deadline");
    assert!(!server.data().join("admin.sock").exists());
    server.restart();
    let (_, welcome) = WireClient::login_as(&server, "bob", "phone");
    assert_eq!((welcome.head, welcome.cursor), (1, 1), "the ack was kept, too");
}

#[test]
fn who_does_not_leave_is_closed_at_the_deadline() {
    let mut server =
        TestServer::with("[drain]\ndeadline = \"1s\"\nspread = \"1s\"\n[limits]\nlogin_timeout = \"1m\"\n");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let mut stranger = WireClient::open(server.address());
    stranger.send_bytes(&[0]);
    server.signal(Signal::INT);
    let go_away = expect_go_away(&mut alice);
    assert_eq!(go_away.spread_ms, 1);
    assert!((1..=1000).contains(&go_away.deadline_ms), "what is left of it: {go_away:?}");
    alice.expect_close(CloseCode::GOING_AWAY);
    drop(alice);
    assert!(server.wait().success());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = TestServer::with("[drain]\ndeadline = \"10m\"\n");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    server.signal(Signal::TERM);
    expect_go_away(&mut alice);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(1));
}

#[test]
fn whoever_logs_in_during_a_drain_is_sent_on() {
    let mut server = TestServer::with("[drain]\ndeadline = \"20s\"\n");
    let token = server.token("alice");
    let mut late = WireClient::open(server.address());
    let (mut early, _) = WireClient::login(&server, hello("alice", "desk", &token));
    server.signal(Signal::TERM);
    expect_go_away(&mut early);
    late.send(Frame::Hello(hello("alice", "phone", &token)));
    let answer = late.expect();
    assert!(matches!(&answer, Frame::Reject(reject) if CloseCode(reject.code) == CloseCode::GOING_AWAY), "{answer:?}");
    drop((early, late));
    assert!(server.wait().success());
}

#[test]
fn nothing_acknowledged_under_load_is_lost() {
    let mut server = TestServer::with("[drain]\ndeadline = \"1s\"\nspread = \"1s\"\n");
    server.token("bob");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let mut acked = 0;
    let mut sent = 0;
    loop {
        while sent < acked + 32 {
            sent += 1;
            if alice.try_send_bytes(&encoded(&[message(sent, "bob", b"under load")])).is_err() {
                break;
            }
        }
        match alice.next_within(Duration::from_secs(10)) {
            Ok(Some(Frame::SendAck(ack))) => {
                acked += 1;
                assert_eq!(ack.send_no, acked);
                if acked == 200 {
                    server.signal(Signal::TERM);
                }
            }
            Ok(Some(Frame::Close(close))) => {
                assert_eq!(CloseCode(close.code), CloseCode::GOING_AWAY);
                break;
            }
            Ok(Some(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(server.wait().success());
    server.restart();
    let (mut bob, welcome) = WireClient::login_as(&server, "bob", "phone");
    assert!(welcome.head >= acked, "{acked} were acknowledged, {} are there", welcome.head);
    for useq in 1..=welcome.head {
        assert_eq!(bob.expect_message(useq).cseq, useq);
        if useq.is_multiple_of(16) {
            bob.ack(useq);
        }
    }
}
