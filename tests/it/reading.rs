//! What somebody may read of a conversation, a group, and what became of their messages.

use hongyan_proto::{
    frame::Frame,
    wire::{
        self, FailureCode, Role,
        act::What,
        entry::Item,
        request::Op,
        response::{self, Result as Answer},
        status_request::Which,
    },
};

use prost::Message;

use crate::{
    requests::{ask, history},
    server::{TestServer, eventually},
    wire::WireClient,
};

fn code(answer: Answer) -> Option<FailureCode> {
    match answer {
        response::Result::Failure(failure) => Some(failure.code()),
        _ => None,
    }
}

fn of(conversation: &str) -> wire::HistoryRequest {
    wire::HistoryRequest { conversation: conversation.into(), ..Default::default() }
}

fn cseqs(page: &wire::HistoryPage) -> Vec<u64> {
    messages(page).map(|message| message.cseq).collect()
}

fn messages(page: &wire::HistoryPage) -> impl Iterator<Item = &wire::Message> {
    page.entries.iter().map(|entry| match &entry.item {
        Some(Item::Message(message)) => message,
        other => panic!("{other:?}"),
    })
}

fn contents(page: &wire::HistoryPage) -> Vec<String> {
    let plain = messages(page).filter(|message| message.act.is_none());
    plain.map(|message| String::from_utf8(message.content.to_vec()).unwrap()).collect()
}

fn status(client: &mut WireClient, which: Which) -> Result<wire::Status, FailureCode> {
    match ask(client, Op::Status(wire::StatusRequest { which: Some(which) })) {
        response::Result::Status(status) => Ok(status),
        other => Err(code(other).unwrap()),
    }
}

fn by_id(conversation: &str, cseq: u64) -> Which {
    Which::Message(wire::MessageId { conversation: conversation.into(), cseq })
}

/// A group of `members` and its maker, who has used send_no 1.
fn group(owner: &mut WireClient, members: &[&str], history_for_new: bool) -> String {
    let settings = Some(wire::GroupSettings { title: "G".into(), history_for_new, ..Default::default() });
    let members = members.iter().map(|uid| (*uid).into()).collect();
    let create = What::GroupCreate(wire::GroupCreate { settings, members });
    format!("#{}", owner.act(1, "", create).unwrap().group)
}

fn invite(uid: &str) -> What {
    What::GroupInvite(wire::GroupInvite { uids: vec![uid.into()] })
}

fn remove(uid: &str) -> What {
    What::GroupRemove(wire::GroupRemove { uid: uid.into(), ban: false })
}

#[test]
fn a_page_around_a_message_has_it_in_the_middle() {
    let server = TestServer::with("[limits]\nmax_frame = \"16KiB\"\nmax_content = \"8KiB\"\n");
    server.token("bob");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    for send_no in 1..=30 {
        alice.post(send_no, "bob", &[0; 1500]);
    }
    for (around, limit, expected, more) in [
        (15, 6, vec![12, 13, 14, 15, 16, 17], true),
        (2, 6, vec![1, 2, 3, 4], true),
        (30, 6, vec![27, 28, 29, 30], false),
        (31, 4, vec![29, 30], false),
    ] {
        let page = history(&mut alice, wire::HistoryRequest { around, limit, ..of("bob") });
        assert_eq!((cseqs(&page), page.more, page.head_cseq), (expected, more, 30), "around {around}");
    }
    let page = history(&mut alice, wire::HistoryRequest { around: 15, limit: 30, ..of("bob") });
    let seen = cseqs(&page);
    assert!(seen.contains(&15) && seen.len() < 12, "what fits: {seen:?}");
    let (before, behind) = (15 - seen[0], seen[seen.len() - 1] - 15);
    assert!(before.abs_diff(behind) <= 1, "both sides give way alike: {seen:?}");
}

#[test]
fn messages_are_read_by_their_numbers_with_reactions_and_edits() {
    let server = TestServer::start();
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    alice.post(1, "bob", b"one");
    alice.post(2, "bob", b"two");
    let edit =
        |content: &[u8]| What::Edit(wire::Edit { cseq: 1, content: content.to_vec().into(), ..Default::default() });
    alice.act(3, "bob", edit(b"uno")).unwrap();
    alice.act(4, "bob", edit(b"eins")).unwrap();
    let react = |reaction: &str| What::React(wire::React { cseq: 2, reaction: reaction.into(), ..Default::default() });
    bob.act(1, "alice", react("+")).unwrap();
    alice.act(5, "bob", react("+")).unwrap();
    bob.act(2, "alice", react("!")).unwrap();
    let request = wire::MessagesRequest { conversation: "alice".into(), cseqs: vec![3, 99, 2, 1, 2] };
    let response::Result::Messages(page) = ask(&mut bob, Op::Messages(request)) else { panic!() };
    assert_eq!(cseqs(&page), [1, 2, 3]);
    assert_eq!(contents(&page), ["eins", "two"]);
    match messages(&page).last().unwrap().act.as_ref().unwrap().what.as_ref().unwrap() {
        What::Edit(edit) => assert_eq!(&edit.content[..], b"eins", "an older edit reads as the message is now"),
        other => panic!("{other:?}"),
    }
    let [reactions] = page.reactions.as_slice() else { panic!("{page:?}") };
    let counts: Vec<_> = reactions.counts.iter().map(|count| (count.reaction.as_str(), count.count)).collect();
    assert_eq!((reactions.cseq, counts, reactions.mine.as_str()), (2, vec![("!", 1), ("+", 1)], "!"));
    assert_eq!(reactions.as_of_cseq, page.head_cseq);
    let too_many = wire::MessagesRequest { conversation: "alice".into(), cseqs: (1..=101).collect() };
    assert_eq!(code(ask(&mut bob, Op::Messages(too_many))), Some(FailureCode::FailureInvalid));
}

#[test]
fn the_list_shows_the_newest_thing_and_what_is_unread() {
    let server = TestServer::start();
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    alice.post(1, "bob", b"one");
    alice.post(2, "bob", b"two");
    bob.act(1, "alice", What::Read(wire::Read { cseq: 1 })).unwrap();
    bob.post(2, "alice", b"mine");
    let list = |client: &mut WireClient, conversation: &str| {
        let request = wire::ConversationsRequest { conversation: conversation.into(), ..Default::default() };
        match ask(client, Op::Conversations(request)) {
            response::Result::Conversations(page) => page.conversations,
            other => panic!("{other:?}"),
        }
    };
    for asked in ["", "alice"] {
        let rows = list(&mut bob, asked);
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((row.conversation.as_str(), row.head_cseq, row.read_cseq, row.unread), ("alice", 3, 1, 1));
        assert_eq!(&row.last.as_ref().unwrap().content[..], b"mine");
    }
    assert!(list(&mut bob, "nobody").is_empty() && list(&mut alice, "alice").is_empty());
    let strange = wire::ConversationsRequest { conversation: "#1".into(), ..Default::default() };
    assert_eq!(code(ask(&mut bob, Op::Conversations(strange))), Some(FailureCode::FailureNotFound));
}

#[test]
fn who_was_removed_reads_what_was_until_then_and_nothing_after() {
    let server = TestServer::start();
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    let (mut carol, _) = WireClient::login_as(&server, "carol", "phone");
    let group = group(&mut alice, &["bob"], false);
    let first = alice.post(2, &group, b"before");
    alice.act(3, &group, remove("bob")).unwrap();
    let removal = history(&mut bob, of(&group)).head_cseq;
    alice.post(4, &group, b"after");
    let edit = wire::Edit { cseq: first, content: b"changed".to_vec().into(), ..Default::default() };
    alice.act(5, &group, What::Edit(edit)).unwrap();
    let react = wire::React { cseq: first, reaction: "+".into(), ..Default::default() };
    alice.act(6, &group, What::React(react)).unwrap();
    alice.act(7, &group, invite("carol")).unwrap();
    alice.post(8, &group, b"to carol");

    let page = history(&mut bob, of(&group));
    assert_eq!((page.head_cseq, cseqs(&page).last().copied()), (removal, Some(removal)));
    assert_eq!(contents(&page), [""], "an edit after the removal hides what it replaced");
    assert!(page.reactions.is_empty());
    let later = wire::MessagesRequest { conversation: group.clone(), cseqs: (removal + 1..removal + 5).collect() };
    let response::Result::Messages(later) = ask(&mut bob, Op::Messages(later)) else { panic!() };
    assert!(later.entries.is_empty());
    assert_eq!(contents(&history(&mut carol, of(&group))), ["to carol"], "the group hides its past from new members");
    assert_eq!(contents(&history(&mut alice, of(&group))), ["changed", "after", "to carol"]);

    // Coming back, bob sees what comes then.
    alice.act(9, &group, invite("bob")).unwrap();
    alice.post(10, &group, b"again");
    assert_eq!(contents(&history(&mut bob, of(&group))), ["again"]);
}

#[test]
fn the_log_of_who_was_removed_hides_what_was_edited_later() {
    let server = TestServer::start();
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    server.token("bob");
    let group = group(&mut alice, &["bob"], true);
    let first = alice.post(2, &group, b"as it was");
    let edit =
        |content: &[u8]| What::Edit(wire::Edit { cseq: first, content: content.to_vec().into(), ..Default::default() });
    alice.act(3, &group, edit(b"while bob was there")).unwrap();
    alice.act(4, &group, remove("bob")).unwrap();
    alice.act(5, &group, edit(b"behind the back of bob")).unwrap();
    let (mut bob, welcome) = WireClient::login_as(&server, "bob", "phone");
    let mut seen = Vec::new();
    for _ in 0..welcome.head {
        match bob.expect_push().item {
            Some(Item::Message(message)) => seen.push(message),
            Some(Item::Conversation(row)) => assert!(row.former && row.group.is_none() && row.head_cseq < first + 3),
            other => panic!("{other:?}"),
        }
    }
    let acts = seen.iter().filter_map(|message| message.act.as_ref()?.what.as_ref());
    assert!(acts.clone().any(|act| matches!(act, What::Edit(edit) if edit.content.is_empty())), "{seen:?}");
    assert!(acts.clone().any(|act| matches!(act, What::GroupRemove(_))), "{seen:?}");
    assert!(seen.iter().all(|message| message.content.is_empty()), "{seen:?}");
    assert_eq!(contents(&history(&mut alice, of(&group))), ["behind the back of bob"]);
}

#[test]
fn in_a_large_group_nobody_is_told_what_was_delivered() {
    let server = TestServer::with("[groups]\nfan_out_threshold = 2\n");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    let (mut carol, _) = WireClient::login_as(&server, "carol", "phone");
    let group = group(&mut alice, &["bob", "carol"], false);
    let cseq = alice.post(2, &group, b"to all");
    let status = status(&mut alice, Which::SendNo(2)).unwrap();
    assert_eq!((status.recipients, status.to.len(), status.message.unwrap().cseq), (0, 0, cseq));
    assert_eq!(contents(&history(&mut bob, of(&group))), ["to all"]);
    alice.act(3, &group, remove("carol")).unwrap();
    alice.post(4, &group, b"to bob");
    assert_eq!(contents(&history(&mut carol, of(&group))), ["to all"]);
    assert_eq!(contents(&history(&mut bob, of(&group))), ["to all", "to bob"]);
    let typing = Frame::Signal(wire::Signal { to: group.clone(), typing: true, ..Default::default() });
    alice.send(typing);
    alice.ping();
    bob.send(Frame::Ping(wire::Ping::default()));
    assert!(matches!(bob.skip(|frame| matches!(frame, Frame::Push(_))), Frame::Pong(_)), "no signal in a large group");
}

#[test]
fn a_group_is_its_members_business() {
    let server = TestServer::start();
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    let (mut carol, _) = WireClient::login_as(&server, "carol", "phone");
    let (mut dave, _) = WireClient::login_as(&server, "dave", "phone");
    server.token("erin");
    let group = group(&mut alice, &["bob", "carol", "erin"], true);
    alice.act(2, &group, What::GroupLink(wire::GroupLink::default())).unwrap();
    alice.act(3, &group, remove("carol")).unwrap();
    alice.act(4, &group, What::GroupRemove(wire::GroupRemove { uid: "erin".into(), ban: true })).unwrap();

    let group_request = || Op::Group(wire::GroupRequest { group: group.clone() });
    let members = |role: Role| {
        Op::Members(wire::MembersRequest { group: group.clone(), role: role.into(), ..Default::default() })
    };
    let response::Result::Group(seen) = ask(&mut alice, group_request()) else { panic!() };
    assert!(!seen.link.is_empty() && seen.role() == Role::Owner && seen.owner == "alice" && seen.members == 2);
    let response::Result::Group(seen) = ask(&mut bob, group_request()) else { panic!() };
    assert!(seen.link.is_empty() && seen.role() == Role::Member, "who may not invite sees no link: {seen:?}");
    let uids = |answer: Answer| match answer {
        response::Result::Members(page) => page.members.into_iter().map(|member| member.uid).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(uids(ask(&mut bob, members(Role::None))), ["alice", "bob"]);
    assert_eq!(uids(ask(&mut alice, members(Role::Banned))), ["erin"]);
    assert_eq!(uids(ask(&mut bob, members(Role::Owner))), ["alice"]);
    assert_eq!(code(ask(&mut bob, members(Role::Banned))), Some(FailureCode::FailureForbidden));

    // Carol has been in it, dave has not, and sees no more of it than of a group that does not exist.
    for request in [group_request(), members(Role::None)] {
        assert_eq!(code(ask(&mut carol, request)), Some(FailureCode::FailureForbidden));
    }
    for name in [group.as_str(), "#999"] {
        let requests = [
            Op::Group(wire::GroupRequest { group: name.into() }),
            Op::Members(wire::MembersRequest { group: name.into(), ..Default::default() }),
            Op::History(of(name)),
            Op::Messages(wire::MessagesRequest { conversation: name.into(), cseqs: vec![1] }),
            Op::Conversations(wire::ConversationsRequest { conversation: name.into(), ..Default::default() }),
            Op::Status(wire::StatusRequest { which: Some(by_id(name, 1)) }),
        ];
        for request in requests {
            assert_eq!(code(ask(&mut dave, request)), Some(FailureCode::FailureNotFound), "{name}");
        }
    }
    let odd = Op::Group(wire::GroupRequest { group: "bob".into() });
    assert_eq!(code(ask(&mut alice, odd)), Some(FailureCode::FailureInvalid));
}

#[test]
fn members_come_in_pages_that_join() {
    const FRAME: usize = 16 << 10;
    let server = TestServer::with("[limits]\nmax_frame = \"16KiB\"\nmax_content = \"8KiB\"\n");
    let owner = "o".repeat(64);
    let (mut alice, _) = WireClient::login_as(&server, &owner, "phone");
    let group = group(&mut alice, &[], false);
    let uids: Vec<String> = (0..130).map(|number| format!("{number:064}")).collect();
    for (send_no, some) in (2..).zip(uids.chunks(65)) {
        some.iter().for_each(|uid| drop(server.token(uid)));
        alice.act(send_no, &group, What::GroupInvite(wire::GroupInvite { uids: some.to_vec() })).unwrap();
    }
    let (mut seen, mut after, mut limits) = (Vec::new(), 0, [20, 200].into_iter().cycle());
    loop {
        let limit = limits.next().unwrap();
        let request = wire::MembersRequest { group: group.clone(), after, limit, ..Default::default() };
        let response::Result::Members(page) = ask(&mut alice, Op::Members(request)) else { panic!() };
        assert!(page.encoded_len() <= FRAME && (1..=limit as usize).contains(&page.members.len()));
        seen.extend(page.members.into_iter().map(|member| (member.uid, member.invited_by)));
        after = page.next;
        if after == 0 {
            break;
        }
    }
    let invited = uids.into_iter().map(|uid| (uid, owner.clone()));
    assert_eq!(seen, [(owner.clone(), String::new())].into_iter().chain(invited).collect::<Vec<_>>());
}

#[test]
fn an_author_learns_what_became_of_a_message() {
    let server = TestServer::with("[delivery]\nreceipt_delay = \"0ms\"\n");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    bob.finish();
    assert_eq!(bob.next(), None);
    let cseq = alice.post(1, "bob", b"hello");
    let sent = status(&mut alice, Which::SendNo(1)).unwrap();
    assert_eq!(sent, status(&mut alice, by_id("bob", cseq)).unwrap());
    assert_eq!((sent.recipients, sent.delivered, sent.read, sent.to[0].uid.as_str()), (1, 0, 0, "bob"));
    assert_eq!(sent.to[0].offered_devices, 0);

    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    bob.expect_message(1);
    assert_eq!(
        status(&mut alice, Which::SendNo(1)).unwrap().to[0].offered_devices,
        1,
        "it is there, and has not acked"
    );
    bob.ack(1);
    let delivered = eventually("delivered", || {
        let status = status(&mut alice, Which::SendNo(1)).unwrap();
        (status.delivered == 1 && status.to[0].delivered_devices == 1 && status.to[0].delivered_ms > 0)
            .then_some(status)
    });
    assert!(delivered.read == 0 && delivered.to[0].delivered_ms >= delivered.time_ms);
    bob.act(1, "alice", What::Read(wire::Read { cseq })).unwrap();
    let read = status(&mut alice, by_id("bob", cseq)).unwrap();
    assert!(read.read == 1 && read.to[0].read && read.to[0].read_ms >= read.to[0].delivered_ms, "{read:?}");

    // Only the author may ask; and nobody is told of who tells nobody.
    assert_eq!(status(&mut bob, by_id("alice", cseq)), Err(FailureCode::FailureNotFound));
    assert_eq!(status(&mut alice, by_id("bob", 99)), Err(FailureCode::FailureNotFound));
    assert_eq!(status(&mut alice, Which::SendNo(7)), Err(FailureCode::FailureNotFound));
    bob.act(2, "", What::Privacy(wire::Privacy { no_receipts: Some(true), ..Default::default() })).unwrap();
    let silent = status(&mut alice, by_id("bob", cseq)).unwrap();
    assert_eq!((silent.recipients, silent.delivered, silent.read), (1, 0, 0));
    assert_eq!((silent.to[0].delivered_devices, silent.to[0].read_ms), (0, 0));

    // What was refused, and what is gone.
    alice.send_message(2, "nobody", b"x");
    alice.skip(|frame| !matches!(frame, Frame::SendNack(_)));
    assert_eq!(status(&mut alice, Which::SendNo(2)).unwrap().nack(), wire::NackCode::NackNotFound);
    alice.act(3, "bob", What::Recall(wire::Recall { cseq, ..Default::default() })).unwrap();
    assert_eq!(status(&mut alice, Which::SendNo(1)).unwrap().gone(), wire::Gone::Recalled);
}

#[test]
fn in_a_group_status_counts_those_who_were_in_it() {
    let server = TestServer::with("[delivery]\nreceipt_delay = \"0ms\"\n");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    for uid in ["carol", "dave"] {
        server.token(uid);
    }
    let group = group(&mut alice, &["bob", "carol"], true);
    let cseq = alice.post(2, &group, b"hello");
    alice.act(3, &group, invite("dave")).unwrap();
    bob.act(1, &group, What::Read(wire::Read { cseq })).unwrap();
    let status = status(&mut alice, Which::SendNo(2)).unwrap();
    let to: Vec<_> = status.to.iter().map(|one| (one.uid.as_str(), one.read)).collect();
    assert_eq!(to, [("bob", true), ("carol", false)], "dave came later, though he may read it");
    assert_eq!((status.recipients, status.read), (2, 1));
}
