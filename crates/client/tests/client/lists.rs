//! The conversation list that a device keeps: loaded once, folded since, right after a restart. And acts.

use hongyan_client::{
    Act, Client, Content, Conversation, Entry, Event, Events, NewMessage, SendStatus, SqliteStore, What,
};
use hongyan_proto::wire::{self, act::What as Wire, entry::Item, request::Op, response::Result as Response};

use crate::fake::{Peer, Server, act, bob, message, next, received, within};

fn row(head_cseq: u64, read_cseq: u64, unread: u32) -> wire::Conversation {
    wire::Conversation { conversation: "bob".into(), head_cseq, read_cseq, unread, ..Default::default() }
}

/// The line of bob.
async fn line(client: &Client) -> Conversation {
    let list = within("list", client.conversations()).await.unwrap();
    assert_eq!(list.len(), 1, "{list:?}");
    list.into_iter().next().unwrap()
}

fn numbers(line: &Conversation) -> (u64, u64, u32) {
    (line.head_cseq, line.read_cseq, line.unread)
}

/// The next event that is not of the connection.
async fn told(events: &mut Events) -> Event {
    loop {
        match next(events).await {
            Event::Connected { .. } | Event::Disconnected { .. } => {}
            event => return event,
        }
    }
}

#[tokio::test]
async fn the_list_is_loaded_once_and_folded_since() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("phone.db");
    let store = || Box::new(SqliteStore::open(&path).unwrap());
    let again = tokio::spawn(server.client().store(store()).connect());
    let mut peer = server.accept().await;
    peer.list = Some(vec![row(3, 1, 2)]);
    peer.welcome(0).await;
    let (client, mut events) = within("login", again).await.unwrap().unwrap();
    peer_until_listed(&mut peer, &client).await;
    assert_eq!(numbers(&line(&client).await), (3, 1, 2));

    peer.push(1, 4).await;
    assert_eq!(received(&mut events).await.cseq, 4);
    let recall = Wire::Recall(wire::Recall { cseq: 2, author: "bob".into() });
    peer.push_item(2, 0, act("bob", "alice", 5, recall)).await;
    assert!(
        matches!(told(&mut events).await, Event::Changed(changed) if matches!(changed.what, What::Recalled { .. }))
    );
    client.enqueue(&bob(), Content::text("mine")).await.unwrap();
    peer.send().await;
    peer.answer(1, 6, 3).await;
    assert!(matches!(told(&mut events).await, Event::Sent(_)));
    let folded = line(&client).await;
    assert_eq!(numbers(&folded), (6, 1, 2));
    assert!(matches!(&folded.last, Some(Entry::Message(last)) if last.own && last.cseq == 6));
    peer.acked(2).await;
    events.handled();
    client.close().await;
    drop((client, events, peer));

    let again = tokio::spawn(server.client().store(store()).connect());
    let mut peer = server.accept().await;
    // Whoever asked for a list now would get an empty one.
    peer.resumed(b"first", b"second", 3, 1).await;
    let (client, mut events) = within("login", again).await.unwrap().unwrap();
    assert_eq!(line(&client).await, folded, "the store has kept it");
    let read = wire::Receipt { conversation: "bob".into(), read_cseq: 6, time_ms: 9, ..Default::default() };
    peer.push_item(4, 0, Item::Receipt(read)).await;
    assert!(
        matches!(told(&mut events).await, Event::Receipt(receipt) if receipt.read_cseq == 6 && receipt.by == bob())
    );
    assert!(matches!(client.status(1).await, SendStatus::Read(_)));
    assert_eq!(line(&client).await.peer_delivered_cseq, 6);
}

/// Serves the client until its list is loaded.
async fn peer_until_listed(peer: &mut Peer, client: &Client) {
    tokio::select! {
        event = peer.event() => panic!("{event:?}"),
        list = client.conversations() => drop(list),
    }
}

#[tokio::test]
async fn an_answer_older_than_what_was_pushed_is_asked_for_again() {
    let server = Server::start().await;
    let (client, mut events, mut peer) = server.connect(server.client(), 0).await;
    peer.list = None;
    let request = peer.request().await;
    // Pushed after the server has read the list, and before its answer.
    peer.push(1, 4).await;
    assert_eq!(received(&mut events).await.cseq, 4);
    respond(&mut peer, request.id, row(3, 1, 2)).await;
    let again = loop {
        let request = peer.request().await;
        if let Some(Op::Conversations(asked)) = &request.op {
            assert_eq!(asked.conversation, "bob");
            break request.id;
        }
    };
    respond(&mut peer, again, row(4, 1, 3)).await;
    peer.push(2, 5).await;
    assert_eq!(received(&mut events).await.cseq, 5);
    assert_eq!(numbers(&line(&client).await), (5, 1, 4));
}

async fn respond(peer: &mut Peer, id: u64, row: wire::Conversation) {
    let page = wire::ConversationsPage { conversations: vec![row], next: 0 };
    peer.respond(id, Response::Conversations(page)).await;
}

#[tokio::test]
async fn a_line_out_of_the_log_takes_the_place_of_the_older_one() {
    let server = Server::start().await;
    let (client, mut events, mut peer) = server.connect(server.client(), 0).await;
    peer_until_listed(&mut peer, &client).await;
    for useq in 1..=3 {
        peer.push(useq, useq).await;
        assert_eq!(received(&mut events).await.cseq, useq);
    }
    peer.list = Some(vec![row(3, 0, 3)]);
    // The state as it is when it is read: message 4 is counted in it, and read.
    peer.push_item(4, 0, Item::Conversation(wire::Conversation { pinned: true, ..row(4, 4, 0) }.into())).await;
    assert!(matches!(told(&mut events).await, Event::Conversation(line) if numbers(&line) == (4, 4, 0)));
    peer.push(5, 4).await;
    peer.push(6, 5).await;
    assert_eq!(received(&mut events).await.cseq, 4);
    assert_eq!(received(&mut events).await.cseq, 5);
    let line = line(&client).await;
    assert_eq!((numbers(&line), line.pinned), ((5, 4, 1), true));
}

#[tokio::test]
async fn an_answer_ahead_of_the_log_is_counted_in_its_turn() {
    let server = Server::start().await;
    let (client, mut events, mut peer) = server.connect(server.client(), 0).await;
    peer.list = Some(vec![row(0, 0, 0)]);
    peer_until_listed(&mut peer, &client).await;
    client.enqueue(&bob(), Content::text("mine")).await.unwrap();
    peer.send().await;
    // Catching up: the log has brought neither the message of bob nor this one.
    let ack = wire::SendAck { send_no: 1, cseq: 2, useq: 2, time_ms: 5, group: 0 };
    hongyan_proto::codec::put_frame(&mut peer.early, hongyan_proto::kind::Kind::SendAck, &ack);
    peer.flush().await;
    assert!(matches!(told(&mut events).await, Event::Sent(sent) if sent.cseq == 2));
    peer.push(1, 1).await;
    peer.push_item(2, 1, message("alice", "bob", 2)).await;
    assert_eq!(received(&mut events).await.cseq, 1);
    peer.acked(2).await;
    assert_eq!(numbers(&line(&client).await), (2, 0, 1));
    peer.push(3, 3).await;
    assert_eq!(received(&mut events).await.cseq, 3, "2 was told as Sent");
    assert_eq!(numbers(&line(&client).await), (3, 0, 2));
    peer.acked(3).await;
}

#[tokio::test]
async fn an_act_goes_through_the_outbox_and_comes_back_as_an_entry() {
    let server = Server::start().await;
    let (client, mut events, mut peer) = server.connect(server.client(), 0).await;
    client.queue(NewMessage::new(bob(), "x".into()).reply_to(7).mention_all()).await.unwrap();
    let sent = peer.send().await;
    let extras = sent.extras.unwrap();
    assert_eq!((extras.reply_to, extras.mention_all, sent.act), (7, true, None));
    client.queue(Act::edit(bob(), 7, Content::text("new"))).await.unwrap();
    let sent = peer.send().await;
    let Some(Wire::Edit(edit)) = sent.act.and_then(|act| act.what) else { panic!("no edit") };
    assert_eq!((sent.to.as_str(), edit.cseq), ("bob", 7));
    drop(peer);
    // Nothing was answered: both go out again, as they were.
    let mut peer = server.accept().await;
    peer.resumed(b"first", b"second", 0, 0).await;
    assert!(peer.send().await.extras.is_some());
    assert!(peer.send().await.act.is_some());
    peer.answer(1, 8, 1).await;
    peer.answer(2, 9, 0).await;
    peer.push_item(2, 0, act("alice", "bob", 9, Wire::Edit(edit))).await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        match told(&mut events).await {
            Event::Sent(sent) => seen.push((sent.send_no, sent.cseq, sent.useq)),
            Event::Changed(changed) => {
                assert!(changed.own && matches!(changed.what, What::Edited { cseq: 7, .. }));
                seen.push((0, changed.cseq, changed.useq));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, [(1, 8, 1), (2, 9, 0), (0, 9, 2)]);
}
