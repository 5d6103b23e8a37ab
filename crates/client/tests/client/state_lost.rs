//! One end has lost this device's numbers: a new device epoch, and what that leaves as it was.

use std::{path::Path, time::Duration};

use hongyan_client::{Builder, CloseCode, Content, Credential, ErrorKind, Event, SendStatus, SqliteStore};
use hongyan_proto::{server::Event as Asked, wire};

use crate::fake::{Peer, Server, bob, connected, message, next, within};

fn with_store(server: &Server, path: &Path) -> Builder {
    server.client().store(Box::new(SqliteStore::open(path).unwrap()))
}

async fn close_lost(peer: &mut Peer) {
    peer.connection.close(CloseCode::STATE_LOST, "restored");
    peer.flush().await;
}

async fn reject_lost(peer: &mut Peer) {
    peer.connection.reject(CloseCode::STATE_LOST, "restored", Duration::ZERO);
    peer.flush().await;
}

async fn sends(peer: &mut Peer, expected: &[(u64, &str)]) {
    for (number, text) in expected {
        let send = peer.send().await;
        assert_eq!((send.send_no, send.content), (*number, Content::text(text)));
    }
}

#[tokio::test]
async fn unanswered_messages_are_sent_in_the_new_epoch_under_their_numbers() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("phone.db");
    let serve = async {
        let mut peer = server.accept().await;
        (peer.welcome(1).await.device_epoch, peer)
    };
    let (client, (epoch, mut peer)) = tokio::join!(with_store(&server, &path).connect(), serve);
    let (client, mut events) = client.unwrap();
    connected(&mut events, false).await;
    for number in 1..=4 {
        assert_eq!(client.enqueue(&bob(), Content::text(&number.to_string())).await.unwrap(), number);
    }
    sends(&mut peer, &[(1, "1"), (2, "2"), (3, "3"), (4, "4")]).await;
    peer.push(1, 7).await;
    peer.acked(1).await;
    peer.answer(1, 1, 2).await;
    peer.answer(2, 2, 3).await;
    assert!(matches!(next(&mut events).await, Event::Message(_)));
    for number in 1..=2 {
        assert!(matches!(next(&mut events).await, Event::Sent(sent) if sent.send_no == number));
    }
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.wait(4).await }
    });
    assert_eq!(client.status(4).await, SendStatus::Queued);
    close_lost(&mut peer).await;

    let mut peer = server.accept().await;
    let hello = peer.welcome(3).await;
    assert!(hello.device_epoch != epoch && hello.device_epoch != 0);
    assert_eq!((hello.last_send_no, hello.answered_send_no), (4, 2));
    assert_eq!((hello.cursor, hello.log_epoch), (Some(3), crate::fake::LOG_EPOCH), "the place in the log is kept");
    connected(&mut events, false).await;
    sends(&mut peer, &[(3, "3"), (4, "4")]).await;
    assert_eq!(client.enqueue(&bob(), Content::text("5")).await.unwrap(), 5);
    sends(&mut peer, &[(5, "5")]).await;
    for number in 3..=5 {
        peer.answer(number, number, number + 1).await;
    }
    assert!(matches!(next(&mut events).await, Event::Sent(sent) if (sent.send_no, sent.cseq) == (3, 3)));
    let sent = within("answer", waiting).await.unwrap().unwrap();
    assert_eq!((sent.send_no, sent.cseq), (4, 4));
    assert!(matches!(next(&mut events).await, Event::Sent(sent) if (sent.send_no, sent.cseq) == (5, 5)));
    client.close().await;
    drop((client, events, peer));

    // Answers of both epochs stay known, and numbers go on.
    let again = tokio::spawn(with_store(&server, &path).connect());
    let mut peer = server.accept().await;
    peer.resumed(b"first", b"second", 6, 5).await;
    let (client, _events) = within("login", again).await.unwrap().unwrap();
    for number in 1..=5 {
        let status = client.status(number).await;
        assert!(
            matches!(&status, SendStatus::Sent(sent) if (sent.send_no, sent.cseq) == (number, number)),
            "{status:?}"
        );
    }
    assert_eq!(client.enqueue(&bob(), Content::text("6")).await.unwrap(), 6);
    sends(&mut peer, &[(6, "6")]).await;
}

#[tokio::test]
async fn the_new_epoch_is_drawn_once_whenever_the_process_ends() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("phone.db");
    let (client, events, mut peer) = server.connect(with_store(&server, &path), 0).await;
    for number in 1..=2 {
        client.enqueue(&bob(), Content::text(&number.to_string())).await.unwrap();
    }
    sends(&mut peer, &[(1, "1"), (2, "2")]).await;
    peer.answer(1, 1, 1).await;
    close_lost(&mut peer).await;
    let mut peer = server.accept().await;
    let first = peer.hello().await;
    client.close().await;
    drop((client, events, peer));

    let again = tokio::spawn(with_store(&server, &path).connect());
    let mut peer = server.accept().await;
    let second = peer.welcome(1).await;
    assert_eq!(second, first);
    let (client, _events) = within("login", again).await.unwrap().unwrap();
    sends(&mut peer, &[(2, "2")]).await;
    peer.answer(2, 2, 2).await;
    assert_eq!(within("answer", client.wait(2)).await.unwrap().cseq, 2);
}

/// The log had not come to the message when its answer came; when it does, nothing names it as this device's any more.
#[tokio::test]
async fn a_message_that_was_told_as_sent_is_not_news_in_the_new_epoch() {
    let server = Server::start().await;
    let (client, mut events, mut peer) = server.connect(server.client(), 0).await;
    client.enqueue(&bob(), Content::text("1")).await.unwrap();
    sends(&mut peer, &[(1, "1")]).await;
    peer.answer(1, 2, 2).await;
    assert!(matches!(next(&mut events).await, Event::Sent(sent) if sent.cseq == 2));
    close_lost(&mut peer).await;

    let mut peer = server.accept().await;
    assert_eq!(peer.welcome(3).await.cursor, Some(0));
    connected(&mut events, false).await;
    peer.push(1, 1).await;
    peer.push_item(2, 0, message("alice", "bob", 2)).await;
    peer.push(3, 3).await;
    for cseq in [1, 3] {
        assert!(matches!(next(&mut events).await, Event::Message(message) if message.cseq == cseq));
    }
}

/// The log has told of the second message before the first was answered. A server that knows nothing of either takes the
/// numbers one after the other.
#[tokio::test]
async fn a_number_between_unanswered_ones_is_filled_in_the_new_epoch() {
    let server = Server::start().await;
    let (client, mut events, mut peer) = server.connect(server.client(), 0).await;
    for number in 1..=3 {
        client.enqueue(&bob(), Content::text(&number.to_string())).await.unwrap();
    }
    sends(&mut peer, &[(1, "1"), (2, "2"), (3, "3")]).await;
    peer.push_item(1, 2, message("alice", "bob", 1)).await;
    assert!(matches!(next(&mut events).await, Event::Sent(sent) if sent.send_no == 2));
    close_lost(&mut peer).await;

    let mut peer = server.accept().await;
    let hello = peer.welcome(1).await;
    assert_eq!((hello.last_send_no, hello.answered_send_no), (3, 0));
    connected(&mut events, false).await;
    sends(&mut peer, &[(1, "1")]).await;
    assert_eq!(peer.send().await, wire::Send { send_no: 2, ..Default::default() });
    sends(&mut peer, &[(3, "3")]).await;
    peer.answer(1, 2, 2).await;
    let nack = wire::SendNack { send_no: 2, code: wire::NackCode::NackInvalid as i32, ..Default::default() };
    peer.connection.refused(nack);
    peer.answer(3, 3, 3).await;
    for number in [1, 3] {
        assert!(matches!(next(&mut events).await, Event::Sent(sent) if sent.send_no == number));
    }
}

#[tokio::test]
async fn a_second_loss_in_a_row_is_the_end() {
    let server = Server::start().await;
    let (client, mut events, mut peer) = server.connect(server.client(), 0).await;
    client.enqueue(&bob(), Content::text("1")).await.unwrap();
    sends(&mut peer, &[(1, "1")]).await;
    drop(peer);
    let mut peer = server.accept().await;
    peer.resume().await;
    reject_lost(&mut peer).await;
    let mut peer = server.accept().await;
    peer.welcome(0).await;
    sends(&mut peer, &[(1, "1")]).await;
    peer.answer(1, 1, 1).await;
    assert!(matches!(client.wait(1).await, Ok(sent) if sent.cseq == 1));

    // The answer has proved that epoch, so it may be lost in its turn.
    close_lost(&mut peer).await;
    let mut peer = server.accept().await;
    peer.hello().await;
    reject_lost(&mut peer).await;
    peer.left().await;
    let stopped = loop {
        if let Event::Stopped(error) = next(&mut events).await {
            break error;
        }
    };
    assert_eq!(*stopped.kind(), ErrorKind::LoginRefused { code: CloseCode::STATE_LOST });
    assert!(!server.is_called().await);
}

#[tokio::test]
async fn a_device_that_finds_its_own_loss_begins_anew() {
    let server = Server::start().await;
    let (client, mut events, peer) = server.connect(server.client(), 0).await;
    assert_eq!(client.enqueue(&bob(), Content::text("1")).await.unwrap(), 1);
    drop(peer);
    let mut peer = server.accept().await;
    peer.resumed(b"first", b"second", 0, 9).await;
    let code = loop {
        if let Asked::Closed { code, .. } = peer.event().await {
            break code;
        }
    };
    assert_eq!(code, CloseCode::STATE_LOST);
    let mut peer = server.accept().await;
    peer.welcome(0).await;
    connected(&mut events, false).await;
    sends(&mut peer, &[(1, "1")]).await;
    peer.answer(1, 1, 1).await;
    assert!(matches!(next(&mut events).await, Event::Sent(sent) if sent.send_no == 1));
}

#[tokio::test]
async fn a_loss_on_the_way_to_another_connection_leaves_the_old_one() {
    let server = Server::start().await;
    let (_client, mut events, mut old) = server.connect(server.client(), 0).await;
    old.connection.go_away(Duration::from_secs(60), Duration::ZERO, &[]);
    old.flush().await;
    let mut new = server.accept().await;
    new.resume().await;
    reject_lost(&mut new).await;
    old.left().await;
    let mut again = server.accept().await;
    again.welcome(0).await;
    connected(&mut events, false).await;
}

#[tokio::test]
async fn without_a_credential_a_loss_needs_a_login() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("phone.db");
    let (client, events, peer) = server.connect(with_store(&server, &path), 0).await;
    client.close().await;
    drop((client, events, peer));
    let connecting = tokio::spawn(with_store(&server, &path).credential(Credential::None).connect());
    let mut peer = server.accept().await;
    peer.resume().await;
    reject_lost(&mut peer).await;
    let error = within("refusal", connecting).await.unwrap().err().unwrap();
    assert_eq!(*error.kind(), ErrorKind::LoginRequired);

    let again = tokio::spawn(with_store(&server, &path).connect());
    let hello: wire::Hello = server.accept().await.hello().await;
    assert_eq!(hello.last_send_no, 0);
    again.abort();
}
