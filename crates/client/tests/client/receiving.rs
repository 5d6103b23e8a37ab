//! Entries on their way in: stored before they are acked, shown once, loaded after a reset.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use hongyan_client::{
    Content, Event, MemoryStore, Receipt, SendStatus, SqliteStore, StoreError,
    store::{Answer, Capacity, Change, Loaded, LocalStore, ShownMark, StoredEvent},
};
use hongyan_proto::{
    server::encode_item,
    wire::{self, entry::Item, request::Op, response::Result as Response},
};

use crate::fake::{Peer, Server, bob, connected, message, next, received, within};

/// A store that tells which cursor it has committed.
struct Watched(MemoryStore, Arc<AtomicU64>);

impl LocalStore for Watched {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        self.0.load()
    }

    fn commit(&mut self, change: &Change) -> Result<(), StoreError> {
        self.0.commit(change)?;
        if let Some(cursor) = change.meta.as_ref().and_then(|meta| meta.cursor) {
            self.1.store(cursor, Ordering::SeqCst);
        }
        Ok(())
    }

    fn answer(&mut self, send_no: u64) -> Result<Option<Answer>, StoreError> {
        self.0.answer(send_no)
    }

    fn events(&mut self, after: u64, page: Capacity) -> Result<Vec<(u64, StoredEvent)>, StoreError> {
        self.0.events(after, page)
    }

    fn mark(&self) -> Arc<dyn ShownMark> {
        self.0.mark()
    }
}

#[tokio::test]
async fn an_entry_is_committed_before_it_is_acked() {
    let server = Server::start().await;
    let committed = Arc::new(AtomicU64::new(0));
    let store = Watched(MemoryStore::new(), Arc::clone(&committed));
    let (_client, mut events, mut peer) = server.connect(server.client().store(Box::new(store)), 50).await;
    for number in 1..=50 {
        peer.push(number, number).await;
        if number % 10 == 0 {
            peer.acked(number).await;
            assert!(committed.load(Ordering::SeqCst) >= number);
        }
    }
    for number in 1..=50 {
        let message = received(&mut events).await;
        assert_eq!((message.useq, message.conversation, message.own), (number, bob().into(), false));
    }
}

#[tokio::test]
async fn a_restart_shows_again_only_what_was_not_handled() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("phone.db");
    let store = || Box::new(SqliteStore::open(&path).unwrap());
    let (client, mut events, mut peer) = server.connect(server.client().store(store()), 4).await;
    for number in 1..=4 {
        peer.push(number, number).await;
    }
    peer.acked(4).await;
    for cseq in 1..=2 {
        assert_eq!(received(&mut events).await.cseq, cseq);
    }
    client.close().await;
    drop((client, events, peer));

    let again = tokio::spawn(server.client().store(store()).connect());
    let mut peer = server.accept().await;
    assert_eq!(peer.resumed(b"first", b"second", 5, 0).await.cursor, 4);
    peer.push(5, 5).await;
    let (client, mut events) = within("login", again).await.unwrap().unwrap();
    for cseq in 2..=5 {
        assert_eq!(received(&mut events).await.cseq, cseq, "1 was handled, 2 was under way");
    }
    events.handled();
    client.close().await;
    drop((client, events, peer));

    let again = tokio::spawn(server.client().store(store()).connect());
    let mut peer = server.accept().await;
    peer.resumed(b"second", b"third", 6, 0).await;
    peer.push(6, 6).await;
    let (_client, mut events) = within("login", again).await.unwrap().unwrap();
    assert_eq!(received(&mut events).await.cseq, 6, "5 was handled");
}

#[tokio::test]
async fn a_repeated_entry_is_shown_once() {
    let server = Server::start().await;
    let (_client, mut events, mut peer) = server.connect(server.client(), 2).await;
    peer.push(1, 1).await;
    peer.acked(1).await;
    peer.push(2, 2).await;
    assert_eq!(received(&mut events).await.cseq, 1);
    drop(peer);
    let mut peer = server.accept().await;
    let resume = peer.resume().await;
    // A server that knows less of the device than the device itself.
    let resumed = wire::Resumed { resume_token: (&b"second"[..]).into(), head: 3, ..Default::default() };
    peer.connection.resumed(resumed, 0, resume.limits_id, std::time::Instant::now());
    for number in 1..=3 {
        peer.push(number, number).await;
    }
    let mut shown = Vec::new();
    while shown.last() != Some(&3) {
        shown.push(received(&mut events).await.cseq);
    }
    assert_eq!(shown, [2, 3]);
}

#[tokio::test]
async fn a_login_that_begins_too_early_repeats_nothing() {
    let server = Server::start().await;
    let (_client, mut events, mut peer) = server.connect(server.client(), 2).await;
    peer.push(1, 1).await;
    peer.push(2, 2).await;
    peer.acked(2).await;
    drop(peer);
    let mut peer = server.accept().await;
    peer.resume().await;
    peer.connection.reject(hongyan_client::CloseCode::RESUME_REFUSED, "", std::time::Duration::ZERO);
    let hello = peer.hello().await;
    assert_eq!(hello.cursor, Some(2));
    peer.accept_hello(&wire::Hello { cursor: None, ..hello }, 3).await;
    for number in 1..=3 {
        peer.push(number, number).await;
    }
    for cseq in 1..=3 {
        assert_eq!(received(&mut events).await.cseq, cseq);
    }
    peer.acked(3).await;
}

#[tokio::test]
async fn entries_that_come_with_the_close_are_shown_once() {
    let server = Server::start().await;
    let (_client, mut events, mut peer) = server.connect(server.client(), 2).await;
    for number in 1..=2 {
        let item = encode_item(message("bob", "alice", number));
        peer.connection.push(number, 0, &item, std::time::Instant::now());
    }
    peer.connection.close(hongyan_client::CloseCode::IDLE_TIMEOUT, "");
    peer.flush().await;
    let mut peer = server.accept().await;
    assert_eq!(peer.resumed(b"first", b"second", 3, 0).await.cursor, 2);
    peer.push(3, 3).await;
    for cseq in 1..=3 {
        assert_eq!(received(&mut events).await.cseq, cseq);
    }
}

#[tokio::test]
async fn a_receipt_marks_what_was_sent_as_delivered() {
    let server = Server::start().await;
    let (client, mut events, mut peer) = server.connect(server.client(), 0).await;
    client.enqueue(&bob(), "x".into()).await.unwrap();
    peer.send().await;
    peer.answer(1, 1, 1).await;
    assert!(matches!(next(&mut events).await, Event::Sent(_)));
    let receipt = wire::Receipt { conversation: "bob".into(), delivered_cseq: 1, ..Default::default() };
    peer.connection.push(2, 0, &encode_item(Item::Receipt(receipt)), std::time::Instant::now());
    peer.flush().await;
    assert!(matches!(next(&mut events).await, Event::Receipt(Receipt { delivered_cseq: 1, .. })));
    assert!(matches!(client.status(1).await, SendStatus::Delivered(_)));
}

#[tokio::test]
async fn a_slow_application_holds_the_server_and_still_sends() {
    let server = Server::start().await;
    let (client, mut events, mut peer) = server.connect(server.client(), 2_000).await;
    let mut pushed = 0;
    // As much as the window lets through while nobody takes an event: the acks stop by themselves.
    let stopped = loop {
        while peer.connection.push_room() > 0 {
            pushed += 1;
            peer.push(pushed, pushed).await;
        }
        match tokio::time::timeout(std::time::Duration::from_millis(500), peer.event()).await {
            Ok(_) => assert!(pushed < 1_000, "held at {pushed}"),
            Err(_) if pushed >= 256 => break pushed,
            Err(_) => {}
        }
    };
    let sending = tokio::spawn({
        let client = client.clone();
        async move { client.send(&bob(), "x".into()).await }
    });
    peer.send().await;
    peer.answer(1, 9_999, stopped + 1).await;
    assert!(within("answer", sending).await.unwrap().is_ok());
    for number in 1..=stopped {
        assert_eq!(received(&mut events).await.useq, number);
    }
    peer.acked(stopped).await;
}

async fn answer_list(peer: &mut Peer, head_cseq: u64) {
    let request = peer.request().await;
    assert!(matches!(request.op, Some(Op::Conversations(_))));
    let conversations = vec![wire::Conversation { conversation: "bob".into(), head_cseq, ..Default::default() }];
    let page = wire::ConversationsPage { conversations, next: 0 };
    peer.respond(request.id, Response::Conversations(page)).await;
}

#[tokio::test]
async fn after_a_reset_what_was_missed_is_loaded_once() {
    let server = Server::start().await;
    let (_client, mut events, mut peer) = server.connect(server.client(), 2).await;
    peer.push(1, 1).await;
    peer.push(2, 2).await;
    for cseq in 1..=2 {
        assert_eq!(received(&mut events).await.cseq, cseq);
    }
    peer.acked(2).await;
    peer.list = None;
    let reset = wire::SyncReset { log_epoch: crate::fake::LOG_EPOCH, low: 90, head: 100 };
    peer.connection.sync_reset(reset);
    peer.flush().await;
    assert!(matches!(next(&mut events).await, Event::Reset));
    // 7 comes live before the pages: they end before it.
    peer.push(101, 7).await;
    assert_eq!(received(&mut events).await.cseq, 7);
    answer_list(&mut peer, 7).await;
    for (first, last, more) in [(5, 6, true), (3, 4, false)] {
        let request = peer.request().await;
        let Some(Op::History(history)) = request.op else { panic!("no history is asked for") };
        assert_eq!((history.after, history.before), (2, last + 1));
        let entry = |cseq| wire::Entry { useq: 0, own_send_no: 0, item: Some(message("bob", "alice", cseq)) };
        let page = wire::HistoryPage {
            entries: (first..=last).map(entry).collect(),
            head_cseq: 7,
            more,
            ..Default::default()
        };
        peer.respond(request.id, Response::History(page)).await;
    }
    for cseq in 3..=6 {
        let message = received(&mut events).await;
        assert_eq!((message.cseq, message.useq), (cseq, 0));
    }
    peer.push(102, 8).await;
    assert_eq!(received(&mut events).await.cseq, 8);
    peer.acked(102).await;
}

#[tokio::test]
async fn a_reset_to_another_log_shows_reused_numbers() {
    let server = Server::start().await;
    let (_client, mut events, mut peer) = server.connect(server.client(), 2).await;
    peer.push(1, 1).await;
    peer.push(2, 2).await;
    for cseq in 1..=2 {
        assert_eq!(received(&mut events).await.cseq, cseq);
    }
    peer.acked(2).await;
    peer.list = None;
    // The server went back to a backup that held 1 only, and has since taken another 2.
    peer.connection.sync_reset(wire::SyncReset { log_epoch: 78, low: 0, head: 2 });
    peer.flush().await;
    assert!(matches!(next(&mut events).await, Event::Reset));
    answer_list(&mut peer, 2).await;
    let request = peer.request().await;
    let entries = [(1, 1_001), (2, 5_000)].map(|(cseq, time)| {
        let Item::Message(mut item) = message("bob", "alice", cseq) else { unreachable!() };
        item.time_ms = time;
        wire::Entry { useq: 0, own_send_no: 0, item: Some(Item::Message(item)) }
    });
    let page = wire::HistoryPage { entries: entries.into(), head_cseq: 2, more: false, ..Default::default() };
    peer.respond(request.id, Response::History(page)).await;
    let shown = received(&mut events).await;
    assert_eq!((shown.cseq, shown.time_ms), (2, 5_000));
    drop(peer);
    let mut peer = server.accept().await;
    assert_eq!(peer.resumed(b"first", b"second", 2, 0).await.cursor, 2);
    connected(&mut events, true).await;
}

#[tokio::test]
async fn after_a_reset_what_this_device_has_sent_is_not_loaded() {
    let server = Server::start().await;
    let (client, mut events, mut peer) = server.connect(server.client(), 0).await;
    peer.list = Some(vec![wire::Conversation { conversation: "bob".into(), head_cseq: 5, ..Default::default() }]);
    peer.connection.sync_reset(wire::SyncReset { log_epoch: crate::fake::LOG_EPOCH, low: 90, head: 100 });
    peer.flush().await;
    assert!(matches!(next(&mut events).await, Event::Reset));
    let request = peer.request().await;
    for _ in 0..2 {
        client.enqueue(bob(), Content::text("mine")).await.unwrap();
    }
    for send_no in 1..=2 {
        assert_eq!(peer.send().await.send_no, send_no);
    }
    // The first has its answer before the log has come to it, the second only after the page with both.
    peer.answer(1, 3, 102).await;
    assert!(matches!(next(&mut events).await, Event::Sent(sent) if sent.cseq == 3));
    let items = [("bob", 2), ("alice", 3), ("alice", 4), ("bob", 5)]
        .map(|(from, cseq)| message(from, if from == "bob" { "alice" } else { "bob" }, cseq));
    let entries = items.map(|item| wire::Entry { item: Some(item), ..Default::default() }).into();
    peer.respond(request.id, Response::History(wire::HistoryPage { entries, head_cseq: 5, ..Default::default() }))
        .await;
    peer.answer(2, 4, 103).await;
    assert!(matches!(next(&mut events).await, Event::Sent(sent) if sent.cseq == 4));
    for cseq in [2, 5] {
        assert_eq!(received(&mut events).await.cseq, cseq);
    }
    // The log comes to what was loaded.
    peer.push(101, 2).await;
    peer.push_item(102, 1, message("alice", "bob", 3)).await;
    peer.push_item(103, 2, message("alice", "bob", 4)).await;
    peer.push(104, 5).await;
    peer.push(105, 6).await;
    assert_eq!(received(&mut events).await.cseq, 6);
}
