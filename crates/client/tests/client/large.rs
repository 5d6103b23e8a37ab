//! Large groups: a place by cseq, gaps that are fetched, nothing lost or shown twice.

use hongyan_client::{Client, Content, ConversationId, Event, Events, SqliteStore};
use hongyan_proto::wire::{self, act::What, entry::Item, request::Op};

use crate::fake::{Peer, Server, act, message, next, within};

const GROUP: &str = "#7";

fn row(head_cseq: u64, large: bool) -> wire::Conversation {
    let group = wire::Group { group: GROUP.into(), members: 600, large, ..Default::default() };
    wire::Conversation { conversation: GROUP.into(), head_cseq, group: Some(group), ..Default::default() }
}

fn post(cseq: u64) -> Item {
    message("bob", GROUP, cseq)
}

/// The numbers of the next entries of the group; own ones as they are told.
async fn shown(events: &mut Events, number: usize) -> Vec<u64> {
    let mut shown = Vec::new();
    while shown.len() < number {
        match next(events).await {
            Event::Message(message) => shown.push(message.cseq),
            Event::Changed(changed) => shown.push(changed.cseq),
            Event::Connected { .. } | Event::Disconnected { .. } | Event::Conversation(_) => {}
            other => panic!("{other:?} behind {shown:?}"),
        }
    }
    shown
}

async fn listed(peer: &mut Peer, client: &Client) {
    tokio::select! {
        event = peer.event() => panic!("{event:?}"),
        list = client.conversations() => drop(list),
    }
}

#[tokio::test]
async fn a_group_that_grows_loses_and_doubles_nothing_nor_does_a_restart() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("phone.db");
    let store = || Box::new(SqliteStore::open(&path).unwrap());
    let (client, mut events, mut peer) = server.connect(server.client().store(store()), 0).await;
    peer.list = Some(vec![row(0, false)]);
    listed(&mut peer, &client).await;
    peer.push_item(1, 0, post(1)).await;
    peer.push_item(2, 0, act("bob", GROUP, 2, What::GroupGrown(wire::GroupGrown {}))).await;
    peer.pass(post(3)).await;
    peer.pass(post(3)).await;
    // 4 was dropped on the way.
    peer.pass(post(5)).await;
    peer.answer_history(3, vec![post(4), post(5)], 5).await;
    peer.pass(post(5)).await;
    peer.pass(post(6)).await;
    assert_eq!(shown(&mut events, 6).await, [1, 2, 3, 4, 5, 6]);
    let list = client.conversations().await.unwrap();
    assert_eq!((list[0].head_cseq, list[0].unread), (6, 5));
    events.handled();
    client.close().await;
    drop((client, events, peer));

    let again = tokio::spawn(server.client().store(store()).connect());
    let mut peer = server.accept().await;
    peer.resumed(b"first", b"second", 2, 0).await;
    let (_client, mut events) = within("login", again).await.unwrap().unwrap();
    peer.pass(Item::Hint(wire::Hint { conversation: GROUP.into(), head_cseq: 8 })).await;
    peer.answer_history(6, vec![post(7), post(8)], 8).await;
    peer.pass(post(9)).await;
    assert_eq!(shown(&mut events, 3).await, [7, 8, 9]);
}

#[tokio::test]
async fn a_device_far_behind_leaves_the_older_ones_to_the_history() {
    let server = Server::start().await;
    let (client, mut events, mut peer) = server.connect(server.client(), 0).await;
    peer.list = Some(vec![row(10, true)]);
    listed(&mut peer, &client).await;
    peer.list = Some(vec![wire::Conversation { unread: 1000, ..row(5_000, true) }]);
    peer.pass(post(5_000)).await;
    peer.answer_history(4_800, (4_801..=5_000).map(post).collect(), 5_000).await;
    match next(&mut events).await {
        Event::Skipped { conversation, after_cseq, before_cseq } => {
            assert_eq!((conversation, after_cseq, before_cseq), (ConversationId::Group(7), 10, 4_801));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(shown(&mut events, 200).await, (4_801..=5_000).collect::<Vec<_>>());
    peer.pass(post(5_001)).await;
    assert_eq!(shown(&mut events, 1).await, [5_001]);
    // What was skipped counts all the same.
    peer.list = Some(vec![wire::Conversation { unread: 1000, ..row(5_001, true) }]);
    loop {
        let asked = async {
            tokio::select! {
                event = peer.event() => panic!("{event:?}"),
                list = client.conversations() => list.unwrap(),
            }
        };
        let list = within("list", asked).await;
        if list[0].unread == 1000 {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_this_device_has_sent_is_told_once_whichever_way_it_comes() {
    let server = Server::start().await;
    let (client, mut events, mut peer) = server.connect(server.client(), 0).await;
    peer.list = Some(vec![row(3, true)]);
    listed(&mut peer, &client).await;
    client.enqueue(ConversationId::Group(7), Content::text("mine")).await.unwrap();
    peer.send().await;
    // 4 was dropped; 5 is what this device sends, and 6 shows that there is something to fetch before it is answered.
    peer.pass(post(6)).await;
    peer.answer_history(3, vec![post(4), message("alice", GROUP, 5), post(6)], 6).await;
    assert_eq!(shown(&mut events, 1).await, [4]);
    peer.answer(1, 5, 1).await;
    assert!(matches!(next(&mut events).await, Event::Sent(sent) if sent.cseq == 5));
    peer.answer_history(5, vec![post(6)], 6).await;
    assert_eq!(shown(&mut events, 1).await, [6]);

    client.enqueue(ConversationId::Group(7), Content::text("mine")).await.unwrap();
    peer.send().await;
    // Now the answer comes first, ahead of 7, which was dropped.
    peer.answer(2, 8, 2).await;
    assert!(matches!(next(&mut events).await, Event::Sent(sent) if sent.cseq == 8));
    peer.answer_history(6, vec![post(7), message("alice", GROUP, 8)], 8).await;
    peer.pass(post(9)).await;
    assert_eq!(shown(&mut events, 2).await, [7, 9]);
}

#[tokio::test]
async fn a_new_member_begins_with_the_act_that_adds_them() {
    let server = Server::start().await;
    let (client, mut events, mut peer) = server.connect(server.client(), 0).await;
    listed(&mut peer, &client).await;
    let first = wire::Conversation { first_cseq: 41, read_cseq: 40, ..row(43, true) };
    peer.push_item(1, 0, Item::Conversation(first.into())).await;
    let invite = What::GroupInvite(wire::GroupInvite { uids: vec!["alice".into()] });
    peer.answer_history(40, vec![act("bob", GROUP, 41, invite), post(42), post(43)], 43).await;
    assert_eq!(shown(&mut events, 3).await, [41, 42, 43]);
    assert!(matches!(peer.connection.push_room(), 1..));
}

#[tokio::test]
async fn a_reset_to_another_log_shows_what_is_new_in_a_large_group() {
    let server = Server::start().await;
    let (client, mut events, mut peer) = server.connect(server.client(), 0).await;
    peer.list = Some(vec![row(3, true)]);
    listed(&mut peer, &client).await;
    peer.pass(post(4)).await;
    peer.pass(post(5)).await;
    assert_eq!(shown(&mut events, 2).await, [4, 5]);
    // The server went back to a backup that held 4, and has since taken another 5.
    peer.list = Some(vec![row(5, true)]);
    peer.connection.sync_reset(wire::SyncReset { log_epoch: 78, low: 0, head: 0 });
    peer.flush().await;
    assert!(matches!(next(&mut events).await, Event::Reset));
    let Item::Message(other) = post(5) else { unreachable!() };
    let newer = Item::Message(wire::Message { time_ms: 9_000, ..other });
    let request = peer.request().await;
    let Some(Op::History(asked)) = request.op else { panic!("{request:?}") };
    let entries = [post(2), post(3), post(4), newer].map(|item| wire::Entry { item: Some(item), ..Default::default() });
    assert_eq!(asked.after, 1);
    let page = wire::HistoryPage { entries: entries.into(), head_cseq: 5, ..Default::default() };
    peer.respond(request.id, wire::response::Result::History(page)).await;
    peer.pass(post(6)).await;
    assert_eq!(shown(&mut events, 2).await, [5, 6]);
}
