//! Messages on their way out: numbers, answers, what survives a cut.

use bytes::Bytes;
use hongyan_client::{Content, Event, SendError, SendStatus, SqliteStore};
use hongyan_proto::wire::{self, NackCode};

use crate::fake::{Server, bob, connected, next, within};

#[tokio::test]
async fn a_send_is_answered() {
    let server = Server::start().await;
    let (client, _events, mut peer) = server.connect(server.client(), 0).await;
    let sending = tokio::spawn({
        let client = client.clone();
        async move { client.send(&bob(), Content::text("hi")).await }
    });
    let send = peer.send().await;
    assert_eq!((send.send_no, &*send.to, send.content), (1, "bob", Content::text("hi")));
    assert_eq!(client.status(1).await, SendStatus::Queued);
    peer.answer(1, 4, 9).await;
    let sent = within("answer", sending).await.unwrap().unwrap();
    assert_eq!((sent.send_no, sent.cseq, sent.useq, sent.conversation.clone()), (1, 4, 9, bob().into()));
    assert_eq!(client.status(1).await, SendStatus::Sent(sent));
    assert_eq!(client.status(2).await, SendStatus::Unknown);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_with_the_same_bytes() {
    let server = Server::start().await;
    let (client, mut events, mut peer) = server.connect(server.client(), 0).await;
    let sending = tokio::spawn({
        let client = client.clone();
        async move { client.send(&bob(), Content::text("once")).await }
    });
    let first = peer.send().await;
    drop(peer);
    let mut peer = server.accept().await;
    peer.resumed(b"first", b"second", 1, 1).await;
    connected(&mut events, true).await;
    assert_eq!(peer.send().await, first);
    peer.answer(1, 1, 1).await;
    assert_eq!(within("answer", sending).await.unwrap().unwrap().cseq, 1);
    // The next number follows, although the server had seen the first one twice.
    assert_eq!(client.enqueue(&bob(), Bytes::new()).await.unwrap(), 2);
    assert_eq!(peer.send().await.send_no, 2);
}

#[tokio::test]
async fn the_log_itself_is_an_answer() {
    let server = Server::start().await;
    let (client, mut events, mut peer) = server.connect(server.client(), 0).await;
    assert_eq!(client.enqueue(&bob(), Content::text("1")).await.unwrap(), 1);
    peer.send().await;
    drop(peer);
    let mut peer = server.accept().await;
    peer.resumed(b"first", b"second", 1, 1).await;
    connected(&mut events, true).await;
    let item = hongyan_proto::server::encode_item(crate::fake::message("alice", "bob", 1));
    peer.connection.push(1, 1, &item, std::time::Instant::now());
    peer.flush().await;
    match next(&mut events).await {
        Event::Sent(sent) => assert_eq!((sent.send_no, sent.cseq, sent.useq), (1, 1, 1)),
        other => panic!("{other:?}"),
    }
    // The message was written again before the log could answer it, or was not.
    while !matches!(peer.event().await, hongyan_proto::server::Event::Acked(1)) {}
}

#[tokio::test]
async fn refusals_for_now_and_gaps_are_sent_again() {
    let server = Server::start().await;
    let (client, mut events, mut peer) = server.connect(server.client(), 0).await;
    for number in 1..=3 {
        assert_eq!(client.enqueue(&bob(), Content::text(&number.to_string())).await.unwrap(), number);
    }
    let nack = |send_no, code: NackCode, expected, retry_after_ms| wire::SendNack {
        send_no,
        code: code.into(),
        expected,
        retry_after_ms,
        ..Default::default()
    };
    for number in 1..=3 {
        assert_eq!(peer.send().await.send_no, number);
    }
    peer.connection.refused(nack(1, NackCode::NackRateLimited, 0, 20));
    peer.connection.refused(nack(2, NackCode::NackGap, 1, 0));
    peer.connection.refused(nack(3, NackCode::NackGap, 1, 0));
    for number in 1..=3 {
        let again = peer.send().await;
        assert_eq!((again.send_no, again.content), (number, Content::text(&number.to_string())));
    }
    peer.answer(1, 1, 1).await;
    peer.connection.refused(nack(2, NackCode::NackNotFound, 0, 0));
    peer.answer(3, 2, 2).await;
    assert!(matches!(next(&mut events).await, Event::Sent(sent) if sent.send_no == 1));
    assert!(matches!(next(&mut events).await, Event::Refused { send_no: 2, code: 16, .. }));
    assert!(matches!(next(&mut events).await, Event::Sent(sent) if sent.send_no == 3));
    assert!(matches!(client.wait(2).await, Err(SendError::Refused { code: 16, .. })));
    assert_eq!(client.wait(3).await.unwrap().cseq, 2);
    assert!(matches!(client.wait(4).await, Err(SendError::Unknown { send_no: 4 })));
}

#[tokio::test]
async fn the_outbox_survives_the_process() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("phone.db");
    let store = || Box::new(SqliteStore::open(&path).unwrap());
    let (client, events, mut peer) = server.connect(server.client().store(store()), 0).await;
    assert_eq!(client.enqueue(&bob(), Content::text("later")).await.unwrap(), 1);
    let first = peer.send().await;
    client.close().await;
    drop((client, events, peer));

    let again = tokio::spawn(server.client().store(store()).connect());
    let mut peer = server.accept().await;
    peer.resumed(b"first", b"second", 0, 0).await;
    let (client, mut events) = within("login", again).await.unwrap().unwrap();
    connected(&mut events, true).await;
    assert_eq!(peer.send().await, first);
    peer.answer(1, 1, 1).await;
    assert!(matches!(next(&mut events).await, Event::Sent(sent) if sent.send_no == 1));
    assert_eq!(client.enqueue(&bob(), Bytes::new()).await.unwrap(), 2, "numbers go on");
}

#[tokio::test]
async fn what_is_too_large_is_not_queued() {
    let server = Server::start().await;
    let (client, _events, mut peer) = server.connect(server.client(), 0).await;
    let refused = client.enqueue(&bob(), vec![0; 1001].into()).await;
    assert!(matches!(refused, Err(SendError::TooLarge { len: 1001, max: 1000 })));
    assert_eq!(client.enqueue(&bob(), vec![0; 1000].into()).await.unwrap(), 1);
    assert_eq!(peer.send().await.send_no, 1);
}

#[tokio::test]
async fn callers_learn_that_the_client_is_closed() {
    let server = Server::start().await;
    let (client, mut events, mut peer) = server.connect(server.client(), 0).await;
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.send(&bob(), Content::text("hi")).await }
    });
    peer.send().await;
    within("close", client.close()).await;
    assert!(matches!(within("answer", waiting).await.unwrap(), Err(SendError::Closed(_))));
    assert!(matches!(client.enqueue(&bob(), Bytes::new()).await, Err(SendError::Closed(_))));
    assert!(matches!(next(&mut events).await, Event::Stopped(_)));
    assert!(events.next().await.is_none());
}
