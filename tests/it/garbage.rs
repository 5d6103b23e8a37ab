//! What breaks a rule gets a CLOSE that names it, and ends; what is merely unknown is ignored; nothing else suffers.

use hongyan_proto::{
    BytesMut, CloseCode,
    codec::{self, PREFACE},
    frame::Frame,
    kind::Kind,
    wire,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    server::TestServer,
    wire::{WireClient, encoded, hello, message},
};

/// A frame of any TYPE with any body.
fn raw(type_byte: u8, body: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    codec::put_typed(&mut out, type_byte, body.len(), |out| out.extend_from_slice(body));
    out.to_vec()
}

const BIG: usize = 200 * 1024;

#[test]
fn before_login_every_broken_rule_has_its_close() {
    let server = TestServer::start();
    let (mut bystander, _) = WireClient::login_as(&server, "bystander", "phone");
    let preface = |rest: &[u8]| [&PREFACE[..], rest].concat();
    let tls_hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3][..], &[0x55; 506]].concat();
    let cases: Vec<(&str, Vec<u8>, CloseCode)> = vec![
        ("HTTP", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), CloseCode::BAD_PREFACE),
        ("TLS", tls_hello, CloseCode::BAD_PREFACE),
        ("MQTT", b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03abc".to_vec(), CloseCode::BAD_PREFACE),
        ("much that is wrong", vec![0; BIG], CloseCode::BAD_PREFACE),
        ("another version", vec![0xA9, b'H', b'Y', 2], CloseCode::UNSUPPORTED_VERSION),
        ("length 0", preface(&[0, 0, 0]), CloseCode::BAD_FRAME),
        ("the reserved bit", preface(&raw(0x41, b"")), CloseCode::BAD_FRAME),
        ("4 KiB and one byte", preface(&[0, 0x10, 0x01, 1]), CloseCode::FRAME_TOO_LARGE),
        ("the longest length, and more", preface(&vec![0xFF; BIG]), CloseCode::FRAME_TOO_LARGE),
        ("unknown and critical", preface(&raw(0xBF, b"x")), CloseCode::UNKNOWN_CRITICAL),
        ("grease that is critical", preface(&raw(0xAA, b"")), CloseCode::UNKNOWN_CRITICAL),
        ("no protobuf", preface(&raw(1, b"\xff\xff")), CloseCode::BAD_MESSAGE),
        ("a uid that is no UTF-8", preface(&raw(1, b"\x0a\x02\xc3\x28")), CloseCode::BAD_MESSAGE),
        ("a field longer than its frame", preface(&raw(1, b"\x0a\xff\xff\xff\xff\x0fx")), CloseCode::BAD_MESSAGE),
        ("SEND", preface(&encoded(&[message(1, "bob", b"hi")])), CloseCode::WRONG_STATE),
        ("PING", preface(&raw(6, b"")), CloseCode::WRONG_STATE),
        ("WELCOME", preface(&raw(2, b"")), CloseCode::WRONG_STATE),
        ("a frame of the largest length", preface(&raw(0x10, &vec![0x78; 4095])), CloseCode::BAD_MESSAGE),
    ];
    for (what, bytes, code) in cases {
        let mut client = WireClient::connect(server.address());
        // The peer may have closed before it has read everything; its CLOSE must arrive all the same.
        let _ = client.try_send_bytes(&bytes);
        let close = match client.expect() {
            Frame::Close(close) => close,
            other => panic!("{what}: {other:?}"),
        };
        assert_eq!(CloseCode(close.code), code, "{what}: {}", close.reason);
        assert!(!close.reason.is_empty() && close.reason.len() <= 256, "{what}");
        assert_eq!(client.next(), None, "{what}");
        client.finish();
    }
    bystander.ping();
    server.wait_for_metric("hongyan_connections", 1);
    server.assert_healthy();
}

#[test]
fn after_login_every_broken_rule_has_its_close() {
    let server = TestServer::with("[limits]\nmax_frame = \"16KiB\"\nmax_content = \"4KiB\"\n");
    let (mut bystander, _) = WireClient::login_as(&server, "bystander", "phone");
    let frames = |frames: &[Frame]| encoded(frames);
    let again = Frame::Hello(hello("alice", "phone", "x"));
    let cases: Vec<(&str, Vec<u8>, CloseCode)> = vec![
        ("length 0", vec![0, 0, 0, 0, 0, 0], CloseCode::BAD_FRAME),
        ("the reserved bit", raw(0x50, b""), CloseCode::BAD_FRAME),
        ("longer than max_frame", vec![0, 0x40, 0x01, 0x10], CloseCode::FRAME_TOO_LARGE),
        ("longer than max_frame, and all of it", raw(0x10, &vec![0; 16_384]), CloseCode::FRAME_TOO_LARGE),
        ("unknown and critical", raw(0xB0, b""), CloseCode::UNKNOWN_CRITICAL),
        ("no protobuf", raw(0x10, b"\x1a\x7fx"), CloseCode::BAD_MESSAGE),
        ("a recipient that is no UTF-8", raw(0x10, b"\x08\x01\x12\x01\xff"), CloseCode::BAD_MESSAGE),
        ("a second HELLO", frames(&[again]), CloseCode::WRONG_STATE),
        ("a RESUME", raw(3, b""), CloseCode::WRONG_STATE),
        ("a PUSH from a client", raw(0x13, b""), CloseCode::WRONG_STATE),
        ("a SEND_ACK from a client", raw(0x11, b""), CloseCode::WRONG_STATE),
        ("a CREDIT from a client", raw(9, b""), CloseCode::WRONG_STATE),
        ("send_no 0", frames(&[message(0, "bob", b"hi")]), CloseCode::BAD_FIELD),
        ("a SEND beyond the credit", frames(&[message(65, "bob", b"hi")]), CloseCode::CREDIT_EXCEEDED),
        ("the highest send_no", frames(&[message(u64::MAX, "bob", b"hi")]), CloseCode::CREDIT_EXCEEDED),
        ("an ACK of nothing", frames(&[Frame::Ack(wire::Ack { useq: 1 })]), CloseCode::BAD_ACK),
        ("the highest ACK", frames(&[Frame::Ack(wire::Ack { useq: u64::MAX })]), CloseCode::BAD_ACK),
        ("an ACK in a PING", frames(&[Frame::Ping(wire::Ping { next_ms: 0, ack: 9 })]), CloseCode::BAD_ACK),
    ];
    for (index, (what, bytes, code)) in cases.into_iter().enumerate() {
        let (mut client, _) = WireClient::login_as(&server, &format!("user{index}"), "phone");
        let rest = raw(6, b"").repeat(20_000);
        let _ = client.try_send_bytes(&[&bytes[..], &rest].concat());
        let close = match client.expect() {
            Frame::Close(close) => close,
            other => panic!("{what}: {other:?}"),
        };
        assert_eq!(CloseCode(close.code), code, "{what}: {}", close.reason);
        assert_eq!(client.next(), None, "{what}");
    }
    bystander.ping();
    server.wait_for_metric("hongyan_sessions", 1);
    server.assert_healthy();
}

#[test]
fn a_close_comes_through_behind_what_was_not_read_yet() {
    let server = TestServer::start();
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let mut bob = WireClient::with_small_buffer(server.address());
    bob.send_bytes(&PREFACE);
    bob.send(Frame::Hello(hello("bob", "phone", &server.token("bob"))));
    bob.expect_welcome();
    for send_no in 1..=20 {
        alice.send_message(send_no, "bob", &[0; 1000]);
        alice.expect_send_ack(send_no);
    }
    server.wait_for_metric("hongyan_entries_pushed_total", 20);
    bob.send_bytes(&[&raw(0xBF, b"")[..], &[0; 100_000]].concat());
    server.wait_for_metric("hongyan_closes_total{code=\"4005\"}", 1);
    (1..=20).for_each(|useq| drop(bob.expect_message(useq)));
    bob.expect_close(CloseCode::UNKNOWN_CRITICAL);
}

#[test]
fn the_limit_before_login_holds_until_the_login() {
    let server = TestServer::start();
    let mut client = WireClient::open(server.address());
    client.send(Frame::Resume(wire::Resume::default()));
    client.expect_reject(CloseCode::RESUME_REFUSED);
    client.send_bytes(&[0, 0x10, 0x01, 1]);
    client.expect_close(CloseCode::FRAME_TOO_LARGE);
}

#[test]
fn what_is_unknown_is_ignored() {
    let server = TestServer::start();
    server.token("bob");
    let mut client = WireClient::connect(server.address());
    let unknown = [raw(0x2A, b"anything"), raw(0x3A, b""), raw(0x30, &[0; 1000]), raw(0x3F, b"\xff")].concat();
    let mut login = encoded(&[Frame::Hello(hello("alice", "phone", &server.token("alice")))]);
    // Field 99, three bytes; and the length with them.
    login.extend_from_slice(b"\x9a\x06\x03abc");
    login[2] += 6;
    assert!(login[2] >= 6, "no carry into the next byte of the length");
    let send = raw(0x10, b"\x08\x01\x12\x03bob\x1a\x02hi\xf8\x07\x01");
    let stream = [&PREFACE[..], &unknown, &login, &unknown, &send, &unknown].concat();
    // One byte in each write, as the worst network would.
    stream.iter().for_each(|byte| client.send_bytes(&[*byte]));
    client.expect_welcome();
    assert_eq!(client.expect_send_ack(1).cseq, 1);
    client.ping();
    // A SYNC_REQ beyond the log, a signal to nobody: no effect.
    client.send(Frame::SyncReq(wire::SyncReq { after: u64::MAX }));
    client.send(Frame::Signal(wire::Signal { to: "\u{1F4A9}".into(), ..Default::default() }));
    client.send(Frame::Pong(wire::Pong { head: u64::MAX }));
    client.ping();
}

#[test]
fn a_peer_that_closes_or_vanishes_at_any_point_leaves_nothing_behind() {
    let server = TestServer::start();
    let hello = encoded(&[Frame::Hello(hello("alice", "phone", &server.token("alice")))]);
    let goodbye = encoded(&[Frame::Close(wire::Close { code: 1000, ..Default::default() })]);
    let stream = [&PREFACE[..], &hello, &encoded(&[message(1, "alice", b"hi")]), &goodbye].concat();
    for end in 0..stream.len() {
        let mut client = WireClient::connect(server.address());
        let _ = client.try_send_bytes(&stream[..end]);
        if end % 2 == 0 {
            client.finish();
            while let Ok(Some(_)) = client.next_within(std::time::Duration::from_secs(10)) {}
        }
    }
    server.wait_for_metric("hongyan_sessions", 0);
    server.wait_for_metric("hongyan_connections", 0);
    server.assert_healthy();
}

#[test]
fn thousands_of_mutated_streams_change_nothing_for_the_others() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u64>);
    println!("SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let server = TestServer::with("[limits]\nmax_unauthenticated_per_ip = 1000\nlogins_per_minute_per_ip = 100000\n");
    let (mut bystander, _) = WireClient::login_as(&server, "bystander", "phone");
    server.token("bob");
    let token = server.token("alice");
    for round in 0..3000 {
        let login = wire::Hello { device_epoch: round + 1, ..hello("alice", "phone", &token) };
        let frames = [
            Frame::Hello(login),
            message(1, "bob", b"a message"),
            Frame::Ping(wire::Ping { next_ms: 60_000, ack: 1 }),
            Frame::SyncReq(wire::SyncReq { after: 0 }),
            Frame::Request(wire::Request {
                id: 1,
                op: Some(wire::request::Op::History(wire::HistoryRequest {
                    conversation: "bob".into(),
                    ..Default::default()
                })),
            }),
            message(2, "alice", &[0; 100]),
        ];
        let mut stream = [&PREFACE[..], &encoded(&frames)].concat();
        // Most mutations behind the login, whose token they would only make invalid.
        let from = if random.random_bool(0.7) { encoded(&frames[..1]).len() + PREFACE.len() } else { 0 };
        for _ in 0..random.random_range(1..4) {
            mutate(&mut stream, from, &mut random);
        }
        let mut client = WireClient::connect(server.address());
        let _ = client.try_send_bytes(&stream);
        if round % 16 == 0 {
            client.finish();
            while let Ok(Some(_)) = client.next_within(std::time::Duration::from_secs(10)) {}
        }
        if round % 500 == 0 {
            bystander.ping();
        }
    }
    bystander.ping();
    server.wait_for_metric("hongyan_connections", 1);
    server.wait_for_metric("hongyan_sessions", 1);
    server.assert_healthy();
}

fn mutate(stream: &mut Vec<u8>, from: usize, random: &mut StdRng) {
    if from >= stream.len() {
        return;
    }
    let at = random.random_range(from..stream.len());
    match random.random_range(0..6) {
        0 => stream[at] = random.random(),
        1 => stream[at] ^= 1 << random.random_range(0..8),
        2 => drop(stream.remove(at)),
        3 => stream.insert(at, random.random()),
        4 => stream.truncate(at),
        _ => {
            let end = random.random_range(at..stream.len());
            let copy = stream[at..end].to_vec();
            stream.splice(at..at, copy);
        }
    }
}

/// The kinds that a table above writes as numbers.
#[test]
fn the_numbers_used_here_are_those_of_the_protocol() {
    let numbers =
        [Kind::Hello, Kind::Welcome, Kind::Resume, Kind::Ping, Kind::Credit, Kind::Send, Kind::SendAck, Kind::Push];
    assert_eq!(numbers.map(|kind| kind as u8), [1, 2, 3, 6, 9, 0x10, 0x11, 0x13]);
}
