//! Moving to another connection: because the server drains, because it was asked to, because the old one broke.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use hongyan_client::{Direction, FrameTrace};
use hongyan_proto::{
    BytesMut,
    codec::{Decoder, MAX_FRAME, PREFACE},
    frame::Frame,
    kind::Kind,
    wire,
};
use rustix::process::Signal;
use tokio::task::block_in_place;

use super::{
    device::{Device, assert_history, assert_messages, assert_sent, builder, builder_at, content, uid},
    offline::UNLIMITED,
    proxy::Proxy,
    server::TestServer,
};

/// What a client and its server say.
#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Vec<Piece>>>);

type Piece = (Direction, Vec<u8>);

impl Trace {
    fn hook(&self) -> FrameTrace {
        let seen = self.0.clone();
        Arc::new(move |direction, bytes: &[u8]| seen.lock().unwrap().push((direction, bytes.to_vec())))
    }

    /// The frames that went in one direction of the client's n-th connection.
    fn kinds(&self, connection: usize, wanted: Direction) -> Vec<Kind> {
        let seen = self.0.lock().unwrap();
        let (mut opened, mut bytes) = (0, BytesMut::new());
        for (direction, piece) in &*seen {
            let opens = *direction == Direction::Out && piece.starts_with(&PREFACE);
            opened += usize::from(opens);
            if opened == connection + 1 && *direction == wanted {
                bytes.extend_from_slice(if opens { &piece[PREFACE.len()..] } else { piece });
            }
        }
        let mut frames = Decoder::default();
        frames.feed(bytes);
        let next = || frames.next_frame(MAX_FRAME).unwrap().map(|raw| Frame::decode(raw).unwrap());
        std::iter::from_fn(next).flatten().map(|frame| frame.kind()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_server_hands_its_clients_to_the_next() {
    let config = format!("{UNLIMITED}[drain]\ndeadline = \"1s\"\nspread = \"500ms\"\n");
    let mut server = TestServer::with(&config);
    let (alice, bob) = (uid("alice"), uid("bob"));
    let trace = Trace::default();
    let receiver = Device::connect(builder(&server, "bob", "phone").frame_trace(trace.hook())).await;
    let sender = Device::connect(builder(&server, "alice", "phone")).await;
    let laptop = Device::connect(builder(&server, "alice", "laptop")).await;
    let is_drained = AtomicBool::new(false);
    let draining = async {
        for part in 1..=2 {
            sender.wait("load", |shown| shown.sent.len() > part * 500).await;
            server.signal(Signal::TERM);
            let status = block_in_place(|| server.wait());
            assert_eq!(status.code(), Some(0), "{}", server.stderr());
            block_in_place(|| server.restart());
            for device in [&receiver, &sender, &laptop] {
                device.wait("another login", |shown| shown.logins.len() > part).await;
            }
        }
        is_drained.store(true, Ordering::Relaxed);
    };
    let sending = async {
        let mut count = 0;
        while !is_drained.load(Ordering::Relaxed) {
            sender.send_numbers(&bob, count + 1..=count + 200).await;
            count += 200;
        }
        count
    };
    let ((), count) = tokio::join!(draining, sending);
    assert_sent(&sender.shown().sent, count);
    for (device, own) in [(&receiver, false), (&laptop, true)] {
        device.wait_messages(count as usize).await;
        assert_messages(&device.shown().messages, count, own);
        assert!(device.shown().resets.is_empty() && device.shown().surprises.is_empty());
    }
    for connection in 0..2 {
        assert!(trace.kinds(connection, Direction::In).contains(&Kind::GoAway), "it was asked to move");
    }
    assert_history(&receiver.client, &alice, count, false).await;
    server.assert_healthy();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_asked_to_move_connects_before_it_leaves() {
    const COUNT: u64 = 3_000;
    let server = TestServer::with(UNLIMITED);
    let proxies = [Proxy::to(server.address()).await, Proxy::to(server.address()).await];
    let bob = uid("bob");
    let at = |proxy: &Proxy, user, device| builder_at(&proxy.address.to_string(), &server.token(user), device);
    let receiver = Device::connect(at(&proxies[0], "bob", "phone")).await;
    let sender = Device::connect(at(&proxies[1], "alice", "phone")).await;
    let asking = async {
        for part in 1..=3 {
            sender.wait("load", |shown| shown.sent.len() as u64 >= part * COUNT / 4).await;
            let go_away = wire::GoAway { deadline_ms: 10_000, spread_ms: 20, alternatives: Vec::new() };
            proxies.iter().for_each(|proxy| proxy.inject(&Frame::GoAway(go_away.clone())));
            for device in [&receiver, &sender] {
                device.wait("another login", |shown| shown.logins.len() == part as usize + 1).await;
            }
        }
    };
    tokio::join!(asking, sender.send_numbers(&bob, 1..=COUNT));
    assert_sent(&sender.shown().sent, COUNT);
    receiver.wait_messages(COUNT as usize).await;
    assert_messages(&receiver.shown().messages, COUNT, false);
    for (proxy, device) in proxies.iter().zip([&receiver, &sender]) {
        assert_eq!(device.shown().logins, [false, true, true, true]);
        assert_eq!(device.shown().disconnected, Vec::<String>::new(), "it was never without a connection");
        assert_eq!((proxy.accepted(), proxy.most_open()), (4, 2), "one for each move, two for a moment");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resume_takes_one_round_trip_and_brings_what_was_missed() {
    let server = TestServer::start();
    let proxy = Proxy::to(server.address()).await;
    let bob = uid("bob");
    let trace = Trace::default();
    let through = builder_at(&proxy.address.to_string(), &server.token("bob"), "phone").grease(false);
    let receiver = Device::connect(through.frame_trace(trace.hook())).await;
    let sender = Device::connect(builder(&server, "alice", "phone")).await;
    sender.send_numbers(&bob, 1..=1).await;
    receiver.wait_messages(1).await;

    server.wait_for_metric("hongyan_sessions", 2);
    proxy.cut();
    sender.client.send(&bob, content(2)).await.unwrap();
    receiver.wait_messages(2).await;
    assert_messages(&receiver.shown().messages, 2, false);
    assert_eq!(receiver.shown().logins, [false, true]);

    let (out, back) = (trace.kinds(1, Direction::Out), trace.kinds(1, Direction::In));
    assert_eq!(out[0], Kind::Resume);
    // The conversation's line of the list is asked for beside, if that answer was cut off.
    assert!(out[1..].iter().all(|kind| matches!(kind, Kind::Ack | Kind::Request)), "{out:?}");
    assert_eq!(back[..2], [Kind::Resumed, Kind::Push], "{back:?}");
    server.assert_healthy();
}
