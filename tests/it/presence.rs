//! Who is online, and who is writing: what passes without being kept.

use hongyan_proto::{
    frame::Frame,
    wire::{self, FailureCode, act::What, contact_act, request::Op, response},
};

use crate::{requests::ask, server::TestServer, wire::WireClient};

/// Who of `uids` is online; from now on they are followed.
fn follow(client: &mut WireClient, uids: &[&str]) -> Vec<(String, bool)> {
    let uids = uids.iter().map(|uid| (*uid).into()).collect();
    match ask(client, Op::Presence(wire::PresenceRequest { uids, replace: false })) {
        response::Result::Presence(list) => list.presence.into_iter().map(|one| (one.uid, one.online)).collect(),
        other => panic!("{other:?}"),
    }
}

/// The next change that is told.
fn change(client: &mut WireClient) -> wire::Presence {
    match client.skip(|frame| !matches!(frame, Frame::Signal(_))) {
        Frame::Signal(wire::Signal { mut presence, .. }) if presence.len() == 1 => presence.remove(0),
        other => panic!("expected one presence, got {other:?}"),
    }
}

fn audience(presence: wire::Audience) -> What {
    What::Privacy(wire::Privacy { presence: presence.into(), ..Default::default() })
}

fn contact(what: contact_act::What) -> What {
    What::Contact(wire::ContactAct { what: what.into() })
}

/// Nothing is on its way to a client whose PING comes back first.
fn assert_no_signal(client: &mut WireClient) {
    client.send(Frame::Ping(wire::Ping::default()));
    match client.skip(|frame| matches!(frame, Frame::Push(_))) {
        Frame::Pong(_) => {}
        other => panic!("expected PONG, got {other:?}"),
    }
}

#[test]
fn followers_are_told_who_comes_and_who_goes() {
    let server = TestServer::start();
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    server.token("bob");
    alice.post(1, "bob", b"are you there?");
    assert_eq!(follow(&mut alice, &["bob", "nobody"]), [("bob".into(), false), ("nobody".into(), false)]);
    let (mut phone, _) = WireClient::login_as(&server, "bob", "phone");
    let told = change(&mut alice);
    assert!(told.uid == "bob" && told.online && told.last_seen_ms == 0, "{told:?}");
    // The second device, and the first one's leaving, change nothing; a reconnect is not seen.
    let (mut tablet, _) = WireClient::login_as(&server, "bob", "tablet");
    for leaving in [&mut phone, &mut tablet] {
        leaving.finish();
        leaving.skip_to_end();
    }
    let (mut phone, _) = WireClient::login_as(&server, "bob", "phone");
    phone.finish();
    phone.skip_to_end();
    let told = change(&mut alice);
    assert!(told.uid == "bob" && !told.online && told.last_seen_ms > 0, "{told:?}");
}

#[test]
fn presence_is_shown_to_whom_one_wants_to_show_it() {
    let server = TestServer::start();
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    let online = |alice: &mut WireClient| follow(alice, &["bob"])[0].1;
    assert!(!online(&mut alice), "they have nothing to do with each other");
    alice.post(1, "bob", b"hello");
    assert!(online(&mut alice));

    // Bob hides: alice is told that, at once and no more.
    bob.act(1, "", audience(wire::Audience::Contacts)).unwrap();
    let told = change(&mut alice);
    assert!(told.uid == "bob" && !told.online && told.last_seen_ms == 0, "{told:?}");
    assert!(!online(&mut alice));
    bob.act(2, "alice", contact(contact_act::What::Ask)).unwrap();
    assert!(!online(&mut alice), "only one of them has asked");
    alice.act(2, "bob", contact(contact_act::What::Ask)).unwrap();
    assert!(online(&mut alice));
    alice.act(3, "bob", contact(contact_act::What::Block)).unwrap();
    let told = change(&mut alice);
    assert!(!told.online && !online(&mut alice), "whom one has blocked one does not follow either");
    alice.act(4, "bob", contact(contact_act::What::Unblock)).unwrap();
    assert!(online(&mut alice));
    bob.act(3, "", audience(wire::Audience::Nobody)).unwrap();
    assert!(!change(&mut alice).online);
    assert!(!online(&mut alice));
}

#[test]
fn a_connection_follows_so_many_and_no_more() {
    let server = TestServer::start();
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let uids = (0..101).map(|number| number.to_string()).collect();
    let answer = ask(&mut alice, Op::Presence(wire::PresenceRequest { uids, replace: false }));
    let response::Result::Failure(failure) = answer else { panic!("{answer:?}") };
    assert_eq!(failure.code(), FailureCode::FailureInvalid);
}

#[test]
fn typing_passes_unless_it_is_not_wanted() {
    let server = TestServer::start();
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    let typing = |to: &str| Frame::Signal(wire::Signal { to: to.into(), typing: true, ..Default::default() });
    alice.send(typing("bob"));
    let expected = wire::Signal { from: "alice".into(), typing: true, ..Default::default() };
    assert_eq!(bob.expect(), Frame::Signal(expected));
    bob.act(1, "alice", contact(contact_act::What::Block)).unwrap();
    alice.send(typing("bob"));
    alice.ping();
    assert_no_signal(&mut bob);
}

#[test]
fn typing_in_a_group_reaches_its_members_who_are_online() {
    let server = TestServer::start();
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    let (mut carol, _) = WireClient::login_as(&server, "carol", "phone");
    let create = wire::GroupCreate { members: vec!["bob".into()], ..Default::default() };
    let group = format!("#{}", alice.act(1, "", What::GroupCreate(create)).unwrap().group);
    let typing = || Frame::Signal(wire::Signal { to: group.clone(), typing: true, ..Default::default() });
    alice.send(typing());
    let expected = wire::Signal { to: group.clone(), from: "alice".into(), typing: true, ..Default::default() };
    assert_eq!(bob.skip(|frame| matches!(frame, Frame::Push(_))), Frame::Signal(expected));
    carol.send(typing());
    carol.ping();
    for client in [&mut alice, &mut bob, &mut carol] {
        assert_no_signal(client);
    }
}

#[test]
fn a_flood_of_signals_is_thinned_out() {
    let server = TestServer::start();
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    let typing = || Frame::Signal(wire::Signal { to: "bob".into(), typing: true, ..Default::default() });
    let mut seen = 0;
    for _ in 0..200 {
        alice.send(typing());
        alice.ping();
        bob.send(Frame::Ping(wire::Ping::default()));
        while matches!(bob.expect(), Frame::Signal(_)) {
            seen += 1;
        }
    }
    assert!((20..200).contains(&seen), "{seen} of 200 came through");
}

#[test]
fn a_stranger_who_was_refused_sees_and_leaves_nothing() {
    let server = TestServer::with("[contacts]\nrequired = true\n");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    alice.send_message(1, "bob", b"buy this");
    alice.expect_nack(1, wire::NackCode::NackForbidden);
    alice.send(Frame::Signal(wire::Signal {
        to: "bob".into(),
        body: b"buy this".to_vec().into(),
        ..Default::default()
    }));
    assert_eq!(follow(&mut alice, &["bob"]), [("bob".into(), false)]);
    assert_no_signal(&mut bob);
    for client in [&mut alice, &mut bob] {
        let list = ask(client, Op::Conversations(wire::ConversationsRequest::default()));
        assert_eq!(list, response::Result::Conversations(wire::ConversationsPage::default()));
    }
    let response::Result::Privacy(privacy) = ask(&mut bob, Op::Privacy(wire::PrivacyRequest {})) else { panic!() };
    assert_eq!((privacy.write(), privacy.presence()), (wire::Audience::Contacts, wire::Audience::Everybody));
}
