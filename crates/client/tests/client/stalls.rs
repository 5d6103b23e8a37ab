//! An application that takes no events for long: what is stored meanwhile, and what the server sees of it.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::BytesMut;
use hongyan_client::{
    Builder, CloseCode, Content, Direction, Event, Events, Settings, SqliteStore, StoreError,
    store::{Answer, Capacity, Change, Loaded, LocalStore, ShownMark, StoredEvent},
};
use hongyan_proto::{
    codec::{Decoder, MAX_FRAME, PREFACE},
    frame::Frame,
    kind::Kind,
    server::Event as Asked,
};

use crate::fake::{Peer, Server, bob, connected, next, received, settle, within};

fn with_store(server: &Server, path: &Path) -> Builder {
    server.client().store(Box::new(SqliteStore::open(path).unwrap()))
}

/// Pushes up to `last` as the window lets through, and waits for the ack of it.
async fn push_up_to(peer: &mut Peer, pushed: &mut u64, last: u64) {
    while *pushed < last {
        while peer.connection.push_room() > 0 && *pushed < last {
            *pushed += 1;
            peer.push(*pushed, *pushed).await;
        }
        stored(peer, pushed.saturating_sub(32)).await;
    }
    stored(peer, last).await;
}

/// Waits until everything up to `useq` is acked.
async fn stored(peer: &mut Peer, useq: u64) {
    while peer.connection.cursor() < useq {
        let event = peer.event().await;
        assert!(matches!(event, Asked::Acked(_)), "{event:?}");
    }
}

async fn expect_messages(events: &mut Events, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        match next(events).await {
            Event::Message(message) => assert_eq!(message.useq, number),
            other => panic!("{other:?} instead of message {number}"),
        }
    }
}

#[tokio::test]
async fn what_memory_has_no_room_for_is_stored_acked_and_read_back_in_order() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("phone.db");
    let (client, mut events, mut peer) = server.connect(with_store(&server, &path), 2_000).await;
    let mut pushed = 0;
    push_up_to(&mut peer, &mut pushed, 600).await;
    assert_eq!(client.enqueue(&bob(), Content::text("also now")).await.unwrap(), 1);
    assert_eq!(peer.send().await.send_no, 1);
    peer.answer(1, 5_000, 9_000).await;
    settle(&client, &mut peer).await;
    drop(peer);
    let mut peer = server.accept().await;
    assert_eq!(peer.resumed(b"first", b"second", 2_000, 1).await.cursor, 600);
    push_up_to(&mut peer, &mut pushed, 1_000).await;

    expect_messages(&mut events, 1..=600).await;
    assert!(matches!(next(&mut events).await, Event::Sent(sent) if sent.send_no == 1));
    connected(&mut events, true).await;
    expect_messages(&mut events, 601..=700).await;
    // While it catches up, more comes in.
    push_up_to(&mut peer, &mut pushed, 1_100).await;
    expect_messages(&mut events, 701..=800).await;
    client.close().await;
    drop((client, events, peer));

    let again = tokio::spawn(with_store(&server, &path).connect());
    let mut peer = server.accept().await;
    assert_eq!(peer.resumed(b"second", b"third", 2_000, 1).await.cursor, 1_100);
    push_up_to(&mut peer, &mut pushed, 1_101).await;
    let (_client, mut events) = within("login", again).await.unwrap().unwrap();
    // 800 was under way. Those from the earlier run come first, then the login, then what is new.
    expect_messages(&mut events, 800..=1_100).await;
    connected(&mut events, true).await;
    expect_messages(&mut events, 1_101..=1_101).await;
}

/// A store on disk that holds 300 events.
struct Small(SqliteStore);

impl LocalStore for Small {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        self.0.load()
    }

    fn commit(&mut self, change: &Change) -> Result<(), StoreError> {
        self.0.commit(change)
    }

    fn answer(&mut self, send_no: u64) -> Result<Option<Answer>, StoreError> {
        self.0.answer(send_no)
    }

    fn events(&mut self, after: u64, page: Capacity) -> Result<Vec<(u64, StoredEvent)>, StoreError> {
        self.0.events(after, page)
    }

    fn capacity(&self) -> Capacity {
        Capacity { events: 300, bytes: 16 << 20 }
    }

    fn mark(&self) -> Arc<dyn ShownMark> {
        self.0.mark()
    }
}

/// Fills the client: 16 events lie ready, and 256 more wait. Everything up to `last` is stored.
async fn fill(peer: &mut Peer, last: u64) {
    let mut pushed = 0;
    push_up_to(peer, &mut pushed, last).await;
    while peer.connection.push_room() > 0 {
        pushed += 1;
        peer.push(pushed, pushed).await;
    }
}

#[tokio::test]
async fn a_full_store_leaves_entries_to_the_server_and_does_not_come_back_in_a_hurry() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let store = Small(SqliteStore::open(directory.path().join("phone.db")).unwrap());
    let (client, mut events, mut peer) = server.connect(server.client().store(Box::new(store)), 2_000).await;
    // One passing event was taken; the messages are 16 that lie ready and 300 that are stored behind them.
    fill(&mut peer, 316).await;
    settle(&client, &mut peer).await;
    assert_eq!(peer.connection.cursor(), 316, "held from there on");
    for (token, following) in [(&b"first"[..], &b"second"[..]), (b"second", b"third"), (b"third", b"fourth")] {
        peer.connection.close(CloseCode::SLOW, "");
        peer.flush().await;
        peer = server.accept().await;
        assert_eq!(peer.resumed(token, following, 2_000, 0).await.cursor, 316);
        peer.push(317, 317).await;
        settle(&client, &mut peer).await;
        assert_eq!(peer.connection.cursor(), 316);
    }
    let (mut pauses, mut shown) = (Vec::new(), 0);
    while shown < 317 {
        match next(&mut events).await {
            Event::Message(message) => {
                shown += 1;
                assert_eq!(message.useq, shown);
            }
            Event::Disconnected { retry_in, .. } => pauses.push(retry_in.as_millis()),
            Event::Connected { resumed: true } => {}
            other => panic!("{other:?}"),
        }
    }
    stored(&mut peer, 317).await;
    assert_eq!(pauses.len(), 3);
    for (pause, least) in pauses.iter().zip([125, 250, 500]) {
        assert!((least..=2 * least).contains(pause), "{pauses:?}");
    }
}

#[tokio::test]
async fn an_application_that_wakes_up_in_the_pause_misses_nothing() {
    let server = Server::start().await;
    let (client, mut events, mut peer) = server.connect(server.client(), 2_000).await;
    fill(&mut peer, 272).await;
    settle(&client, &mut peer).await;
    peer.connection.close(CloseCode::SLOW, "");
    peer.flush().await;
    peer.left().await;
    for number in 1..=272 {
        assert_eq!(received(&mut events).await.useq, number);
    }
    let mut peer = server.accept().await;
    assert_eq!(peer.resumed(b"first", b"second", 2_000, 0).await.cursor, 272);
    peer.push(273, 273).await;
    assert_eq!(received(&mut events).await.useq, 273);
}

#[tokio::test]
async fn what_was_received_and_is_held_back_is_not_asked_for_again() {
    let server = Server::start().await;
    let out = Arc::new(Mutex::new(BytesMut::new()));
    let trace = Arc::clone(&out);
    let settings = Settings { heartbeat: Some(Duration::from_millis(50)), ..Settings::default() };
    let builder = server.client().settings(settings).grease(false).frame_trace(Arc::new(move |direction, bytes| {
        if direction == Direction::Out {
            trace.lock().unwrap().extend_from_slice(bytes);
        }
    }));
    let (client, _events, mut peer) = server.connect(builder, 2_000).await;
    fill(&mut peer, 272).await;
    settle(&client, &mut peer).await;
    // Each PONG says that more was pushed than is acked. Asking again would take 200 ms of it: 4 heartbeats.
    for _ in 0..12 {
        settle_by_heartbeat(&mut peer, &out).await;
    }
    assert_eq!(peer.connection.cursor(), 272);
    let kinds = kinds(&out.lock().unwrap());
    assert!(kinds.contains(&Kind::Ping) && !kinds.contains(&Kind::SyncReq), "{kinds:?}");
}

/// Answers the client until it has written another PING.
async fn settle_by_heartbeat(peer: &mut Peer, out: &Mutex<BytesMut>) {
    let pings = || kinds(&out.lock().unwrap()).iter().filter(|kind| **kind == Kind::Ping).count();
    let before = pings();
    while pings() == before {
        let _ = tokio::time::timeout(Duration::from_millis(20), peer.event()).await;
    }
}

/// The kinds of the frames in what a client has written.
fn kinds(written: &[u8]) -> Vec<Kind> {
    let mut decoder = Decoder::default();
    decoder.feed(BytesMut::from(&written[PREFACE.len()..]));
    let mut kinds = Vec::new();
    while let Some(raw) = decoder.next_frame(MAX_FRAME).unwrap() {
        kinds.extend(Frame::decode(raw).unwrap().map(|frame| frame.kind()));
    }
    kinds
}
