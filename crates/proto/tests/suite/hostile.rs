//! Bytes that no honest peer would send: a CLOSE with the right code or nothing, never a panic, and no memory beyond
//! one frame and one read.

use std::{sync::Arc, time::Instant};

use hongyan_proto::{BytesMut, CloseCode, client, codec, codec::MAX_FRAME, frame::Frame, kind::Kind, server, wire};
use proptest::prelude::*;

use crate::{core::settings, net::Plan, retransmission::live_pair, rig::World, unless_miri};

const READ: usize = 16 * 1024;

/// Feeds a server in reads of `READ`, as a link does, and accepts every login. None: the connection goes on.
fn feed_server(server: &mut server::Connection, bytes: &[u8], now: Instant) -> Option<CloseCode> {
    for read in bytes.chunks(READ) {
        server.handle_bytes(BytesMut::from(read), now);
        while let Some(event) = server.poll_event(now) {
            match event {
                server::Event::Hello(_) => server.welcome(wire::Welcome::default(), now),
                server::Event::Resume(resume) => server.resumed(wire::Resumed::default(), resume.cursor, 0, now),
                server::Event::Closed { code, .. } => return Some(code),
                _ => {}
            }
        }
    }
    None
}

fn feed_client(client: &mut client::Connection, bytes: &[u8], now: Instant) -> Option<CloseCode> {
    for read in bytes.chunks(READ) {
        client.handle_bytes(BytesMut::from(read));
        while let Some(event) = client.poll_event(now) {
            client.stored(client.applied());
            if let client::Event::Closed { code, .. } = event {
                return Some(code);
            }
        }
        client.take_output(now);
    }
    client.handle_timeout(now);
    None
}

fn new_server(now: Instant) -> server::Connection {
    server::Connection::new(Arc::new(settings()), now)
}

/// Before and after the login.
type Verdicts = (Option<CloseCode>, Option<CloseCode>);

fn framed(len: usize, rest: &[u8]) -> Vec<u8> {
    [&(len as u32).to_be_bytes()[1..], rest].concat()
}

#[test]
fn a_broken_frame_is_closed_with_its_code() {
    let now = Instant::now();
    let limit = settings().limits.max_frame as usize;
    let bad = |code| (Some(code), Some(code));
    // The bytes, and the verdict before and after the login.
    let table: Vec<(&str, Vec<u8>, Verdicts)> = vec![
        ("length 0", framed(0, &[]), bad(CloseCode::BAD_FRAME)),
        ("reserved bit", framed(1, &[0x46]), bad(CloseCode::BAD_FRAME)),
        ("reserved and critical", framed(1, &[0xC6]), bad(CloseCode::BAD_FRAME)),
        ("u24::MAX", framed(0xFF_FFFF, &[]), bad(CloseCode::FRAME_TOO_LARGE)),
        ("4,096", framed(4096, &[0x2A]), (None, None)),
        ("4,097", framed(4097, &[0x2A]), (Some(CloseCode::FRAME_TOO_LARGE), None)),
        ("max_frame", framed(limit, &[0x2A]), (Some(CloseCode::FRAME_TOO_LARGE), None)),
        ("max_frame + 1", framed(limit + 1, &[0x2A]), bad(CloseCode::FRAME_TOO_LARGE)),
        ("unknown critical", framed(1, &[0xB0]), bad(CloseCode::UNKNOWN_CRITICAL)),
        ("critical kind 0", framed(1, &[0x80]), bad(CloseCode::UNKNOWN_CRITICAL)),
        ("critical GREASE", framed(1, &[0xAA]), bad(CloseCode::UNKNOWN_CRITICAL)),
        ("reserved kind, critical", framed(1, &[0x8D]), bad(CloseCode::UNKNOWN_CRITICAL)),
        ("unknown", framed(3, &[0x30, 0xFF, 0xFF]), (None, None)),
        ("kind 0", framed(1, &[0x00]), (None, None)),
        ("reserved kind", framed(1, &[0x14]), (None, None)),
        ("GREASE", [framed(2, &[0x2A, 7]), framed(1, &[0x3A])].concat(), (None, None)),
        ("truncated", framed(9, &[0x10, 0x08]), (None, None)),
        ("no protobuf", framed(2, &[0x01, 0xFF]), bad(CloseCode::BAD_MESSAGE)),
        ("bad UTF-8", framed(5, &[0x01, 0x0A, 2, 0xC3, 0x28]), bad(CloseCode::BAD_MESSAGE)),
        ("wrong wire type", framed(6, &[0x01, 0x0D, 0, 0, 0, 0]), bad(CloseCode::BAD_MESSAGE)),
        ("field beyond the body", framed(4, &[0x01, 0x0A, 9, 0x41]), bad(CloseCode::BAD_MESSAGE)),
        ("endless varint", framed(13, &[&[0x06, 0x08][..], &[0xFF; 11]].concat()), bad(CloseCode::BAD_MESSAGE)),
        ("deep groups", framed(301, &[&[0x06][..], &[0x7B; 300]].concat()), bad(CloseCode::BAD_MESSAGE)),
    ];
    for (name, bytes, (before, after)) in table {
        let mut server = new_server(now);
        assert_eq!(feed_server(&mut server, &codec::PREFACE, now), None);
        assert_eq!(feed_server(&mut server, &bytes, now), before, "{name} before login");
        assert_close_is_last(&server.take_output(), before);
        let (mut server, mut client) = live_pair(now, client::Settings::default());
        assert_eq!(feed_server(&mut server, &bytes, now), after, "{name} after login");
        assert_close_is_last(&server.take_output(), after);
        assert_eq!(feed_client(&mut client, &bytes, now), after, "{name} at the client");
    }
}

fn assert_close_is_last(output: &[u8], code: Option<CloseCode>) {
    let mut decoder = codec::Decoder::default();
    decoder.feed(BytesMut::from(output));
    let frames = std::iter::from_fn(|| decoder.next_frame(MAX_FRAME).unwrap());
    let last = frames.last().map(|raw| Frame::decode(raw).unwrap());
    let close = if let Some(Some(Frame::Close(close))) = last { Some(CloseCode(close.code)) } else { None };
    assert_eq!(close, code);
}

#[test]
fn a_wrong_preface_is_told_apart_from_a_wrong_version() {
    let now = Instant::now();
    for (bytes, code) in [
        (&b"GET / HTTP/1.1"[..], CloseCode::BAD_PREFACE),
        (b"\x16\x03\x01", CloseCode::BAD_PREFACE),
        (b"\xA9HX", CloseCode::BAD_PREFACE),
        (b"\xA9HY\x02", CloseCode::UNSUPPORTED_VERSION),
    ] {
        assert_eq!(feed_server(&mut new_server(now), bytes, now), Some(code));
    }
}

#[test]
fn a_stranger_cannot_pile_up_bytes_while_the_login_is_decided() {
    let now = Instant::now();
    let mut server = new_server(now);
    let mut bytes = BytesMut::from(&codec::PREFACE[..]);
    codec::put_frame(&mut bytes, Kind::Hello, &wire::Hello::default());
    server.handle_bytes(bytes, now);
    assert!(matches!(server.poll_event(now), Some(server::Event::Hello(_))));
    let mut fed = 0;
    while server.poll_event(now).is_none() {
        server.handle_bytes(BytesMut::from(&[0; 1024][..]), now);
        fed += 1024;
        assert!(fed <= 8192);
    }
    assert_close_is_last(&server.take_output(), Some(CloseCode::WRONG_STATE));
}

#[test]
fn reasons_of_a_peer_are_cut() {
    let now = Instant::now();
    let (mut server, mut client) = live_pair(now, client::Settings::default());
    let close = Frame::Close(wire::Close { code: 2000, reason: "x".repeat(9000), retry_after_ms: 5 });
    let mut bytes = BytesMut::new();
    close.encode(&mut bytes);
    server.handle_bytes(bytes.clone(), now);
    client.handle_bytes(bytes);
    let Some(server::Event::Closed { reason: at_server, .. }) = server.poll_event(now) else { panic!("not closed") };
    let Some(client::Event::Closed { reason: at_client, .. }) = client.poll_event(now) else { panic!("not closed") };
    assert_eq!((at_server.len(), at_client.len()), (256, 256));
}

/// The bytes that a client and a server write in a small honest exchange.
fn honest() -> (Vec<u8>, Vec<u8>) {
    let mut world = World::new(5, Plan::default(), &[("alice", "phone"), ("bob", "phone")]);
    (0..6).for_each(|number| world.queue(0, ["bob", "alice", "nobody"][number % 3], "hello"));
    world.run_until(std::time::Duration::from_secs(9), World::is_drained);
    (world.links[0].up.tap().to_vec(), world.links[0].down.tap().to_vec())
}

fn mutate(bytes: &mut Vec<u8>, edits: &[(usize, u8, u8)]) {
    for (at, how, byte) in edits {
        let at = at % (bytes.len() + 1);
        match how % 3 {
            0 => bytes.insert(at, *byte),
            _ if at == bytes.len() => {}
            1 => bytes[at] ^= byte,
            _ => drop(bytes.remove(at)),
        }
    }
}

fn check_server(bytes: &[u8]) {
    let now = Instant::now();
    let mut server = new_server(now);
    let code = feed_server(&mut server, bytes, now);
    assert!(server.buffered() <= settings().limits.max_frame as usize + READ);
    assert!(code.is_none() || !server.is_live());
    server.handle_timeout(now + std::time::Duration::from_secs(7_000));
}

fn check_client(bytes: &[u8]) {
    let now = Instant::now();
    let place = client::Place { cursor: 3, first_unanswered: 2, last_queued: 6 };
    let mut client = client::Connection::hello(client::Settings::default(), &wire::Hello::default(), place, now);
    feed_client(&mut client, bytes, now);
    client.handle_timeout(now + std::time::Duration::from_secs(7_000));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: unless_miri(256, 4) as u32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        check_server(&bytes);
        check_server(&[&codec::PREFACE[..], &bytes].concat());
        check_client(&bytes);
    }

    #[test]
    fn random_bodies_never_panic(frames in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..20)) {
        let (up, down) = honest();
        let noise: Vec<u8> = frames.iter().flat_map(|(kind, body)| {
            let kind = [&[kind & 0xBF][..], body].concat();
            framed(kind.len(), &kind)
        }).collect();
        check_server(&[up, noise.clone()].concat());
        check_client(&[down, noise].concat());
    }

    #[test]
    fn mutated_streams_never_panic(edits in prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..6)) {
        let (mut up, mut down) = honest();
        mutate(&mut up, &edits);
        mutate(&mut down, &edits);
        check_server(&up);
        check_client(&down);
    }

    /// Numbers at the ends of their range, at either end.
    #[test]
    fn extreme_numbers_never_panic(a in extreme(), b in extreme(), c in extreme()) {
        let small = b as u32;
        let limits = wire::Limits {
            max_frame: small, heartbeat_ms: a as u32, heartbeat_min_ms: small, heartbeat_max_ms: c as u32, ..Default::default()
        };
        let mut down = BytesMut::new();
        let welcome = wire::Welcome { cursor: a, last_send_no: b % 7, max_send_no: c, limits: Some(limits), ..Default::default() };
        let nack = wire::SendNack { send_no: a, code: b as i32, retry_after_ms: c as u32, expected: c, ..Default::default() };
        Frame::Welcome(welcome).encode(&mut down);
        Frame::Push(wire::Entry { useq: a.wrapping_add(1), own_send_no: b, item: None }).encode(&mut down);
        Frame::Push(wire::Entry { useq: b, own_send_no: c, item: None }).encode(&mut down);
        Frame::SendAck(wire::SendAck { send_no: b, useq: c, cseq: a, time_ms: a, group: 0 }).encode(&mut down);
        Frame::SendNack(nack).encode(&mut down);
        Frame::Pong(wire::Pong { head: c }).encode(&mut down);
        Frame::SyncReset(wire::SyncReset { head: a, low: b, log_epoch: c }).encode(&mut down);
        check_client(&down);

        let mut up = BytesMut::from(&codec::PREFACE[..]);
        Frame::Resume(wire::Resume { cursor: a, ..Default::default() }).encode(&mut up);
        Frame::Ping(wire::Ping { next_ms: small, ack: b }).encode(&mut up);
        Frame::SyncReq(wire::SyncReq { after: c }).encode(&mut up);
        check_server(&up);
        let now = Instant::now();
        let (mut server, _client) = live_pair(now, client::Settings::default());
        server.push(a, b, &[], now);
        server.acked(wire::SendAck { send_no: 1, useq: c, ..Default::default() }, now);
        server.on_head(b);
    }
}

fn extreme() -> impl Strategy<Value = u64> {
    prop_oneof![
        0u64..8,
        u64::MAX - 3..=u64::MAX,
        any::<u64>(),
        Just(u64::from(u32::MAX)),
        Just(u64::from(u32::MAX) + 1)
    ]
}
