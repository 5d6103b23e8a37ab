//! What a device asks for beside its log: history, conversations, the account; and whose it may see.

use hongyan_proto::{
    frame::Frame,
    wire::{self, FailureCode, act::What, request::Op, response},
};

use crate::{
    server::TestServer,
    wire::{WireClient, encoded},
};

/// The answer to one request; entries that are pushed meanwhile are left aside.
pub fn ask(client: &mut WireClient, op: Op) -> response::Result {
    client.send(Frame::Request(wire::Request { id: 9, op: Some(op) }));
    match client.skip(|frame| matches!(frame, Frame::Push(_) | Frame::Ping(_))) {
        Frame::Response(wire::Response { id: 9, result: Some(result) }) => result,
        other => panic!("{other:?}"),
    }
}

pub fn history(client: &mut WireClient, request: wire::HistoryRequest) -> wire::HistoryPage {
    match ask(client, Op::History(request)) {
        response::Result::History(page) => page,
        other => panic!("{other:?}"),
    }
}

#[test]
fn pages_of_history_join_without_hole_or_overlap_in_both_directions() {
    let server = TestServer::with("[limits]\nmax_frame = \"16KiB\"\nmax_content = \"8KiB\"\n");
    server.token("bob");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    for send_no in 1..=30 {
        alice.send_message(send_no, "bob", &[send_no as u8; 2600]);
        alice.expect_send_ack(send_no);
    }
    for forward in [true, false] {
        let (mut seen, mut request) = (Vec::new(), wire::HistoryRequest { forward, ..Default::default() });
        request.conversation = "bob".into();
        loop {
            let page = history(&mut alice, request.clone());
            assert_eq!(page.head_cseq, 30);
            let cseqs = page.entries.iter().map(|entry| match &entry.item {
                Some(wire::entry::Item::Message(message)) => {
                    assert_eq!(message.content[..], [message.cseq as u8; 2600]);
                    message.cseq
                }
                other => panic!("{other:?}"),
            });
            let cseqs: Vec<u64> = cseqs.collect();
            assert!((1..=6).contains(&cseqs.len()), "what fits a frame, and never nothing: {cseqs:?}");
            match forward {
                true => {
                    request.after = *cseqs.last().unwrap();
                    seen.extend(cseqs);
                }
                false => {
                    request.before = cseqs[0];
                    seen.splice(0..0, cseqs);
                }
            }
            if !page.more {
                break;
            }
        }
        assert_eq!(seen, (1..=30).collect::<Vec<_>>(), "forward: {forward}");
    }
}

#[test]
fn a_page_of_conversations_fits_a_frame() {
    const MAX_FRAME: usize = 16 << 10;
    let server = TestServer::with("[limits]\nmax_frame = \"16KiB\"\nmax_content = \"8KiB\"\n");
    let peers: Vec<String> = (0..50).map(|i| format!("{i:064}")).collect();
    let (mut alice, welcome) = WireClient::login_as(&server, "alice", "phone");
    assert_eq!(welcome.limits.unwrap().max_frame as usize, MAX_FRAME);
    for (send_no, peer) in (1..).zip(&peers) {
        server.token(peer);
        alice.send_message(send_no, peer, &[b'x'; 1500]);
        alice.expect_send_ack(send_no);
    }
    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let result =
            ask(&mut alice, Op::Conversations(wire::ConversationsRequest { after, limit: 200, ..Default::default() }));
        let frame = Frame::Response(wire::Response { id: 9, result: Some(result.clone()) });
        assert!(encoded(&[frame]).len() <= MAX_FRAME + 3, "longer than was agreed");
        let response::Result::Conversations(page) = result else { panic!("{result:?}") };
        seen.extend(page.conversations.into_iter().map(|conversation| conversation.conversation));
        after = page.next;
        if after == 0 {
            break;
        }
    }
    assert_eq!(seen, peers);
}

#[test]
fn nobody_sees_what_is_not_theirs() {
    let server = TestServer::start();
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    let (mut carol, _) = WireClient::login_as(&server, "carol", "phone");
    alice.send_message(1, "bob", b"between us");
    alice.expect_send_ack(1);
    for (client, peer, count) in [(&mut alice, "bob", 1), (&mut bob, "alice", 1), (&mut carol, "bob", 0)] {
        let page = history(client, wire::HistoryRequest { conversation: peer.into(), ..Default::default() });
        assert_eq!((page.entries.len(), page.head_cseq), (count, count as u64), "{peer}");
    }
    let existing = history(&mut carol, wire::HistoryRequest { conversation: "alice".into(), ..Default::default() });
    let missing = history(&mut carol, wire::HistoryRequest { conversation: "nobody".into(), ..Default::default() });
    assert_eq!(existing, missing, "who exists is not told");
    let account = ask(&mut carol, Op::Account(wire::AccountRequest {}));
    assert!(matches!(account, response::Result::Account(wire::Account { uid, head: 0, .. }) if uid == "carol"));
    let too_many = Op::Conversations(wire::ConversationsRequest { limit: 201, ..Default::default() });
    let failure = ask(&mut carol, too_many);
    let invalid = FailureCode::FailureInvalid as i32;
    assert!(matches!(failure, response::Result::Failure(wire::Failure { code, .. }) if code == invalid));
    carol.send(Frame::Request(wire::Request { id: 9, op: None }));
    let unknown = FailureCode::FailureUnknown as i32;
    match carol.expect() {
        Frame::Response(wire::Response { result: Some(response::Result::Failure(failure)), .. }) => {
            assert_eq!(failure.code, unknown);
        }
        other => panic!("{other:?}"),
    }
    // An ack of another's entry has no effect either: it was never pushed here.
    carol.send(Frame::SyncReq(wire::SyncReq { after: 0 }));
    assert_eq!(carol.ping().head, 0);
}

#[test]
fn privacy_and_contacts_are_one_s_own() {
    let server = TestServer::start();
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    for uid in ["bob", "carol"] {
        server.token(uid);
    }
    let response::Result::Privacy(privacy) = ask(&mut alice, Op::Privacy(wire::PrivacyRequest {})) else { panic!() };
    let everybody = wire::Audience::Everybody;
    assert_eq!([privacy.write(), privacy.add_to_groups(), privacy.presence()], [everybody; 3]);
    let contact = |what: wire::contact_act::What| What::Contact(wire::ContactAct { what: what.into() });
    alice.act(1, "bob", contact(wire::contact_act::What::Ask)).unwrap();
    alice.act(2, "carol", contact(wire::contact_act::What::Block)).unwrap();
    let mut page = |after| match ask(&mut alice, Op::Contacts(wire::ContactsRequest { after, limit: 1 })) {
        response::Result::Contacts(page) => page,
        other => panic!("{other:?}"),
    };
    let first = page(0);
    let second = page(first.next);
    let [bob, carol] = [&first.contacts[0], &second.contacts[0]];
    assert!(bob.uid == "bob" && bob.asked_by_me && !bob.mutual, "{bob:?}");
    assert!(carol.uid == "carol" && carol.blocked && !carol.asked_by_me, "{carol:?}");
    assert!(page(second.next).contacts.is_empty());
}
