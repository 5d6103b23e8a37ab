//! A logged-in user against the others: every operation, and every field of it that can name somebody or something.
//!
//! The table below names every field of every frame that a client may write. The test reads the protocol's definition,
//! so that a field which is added to it has to be judged here.

use std::collections::BTreeSet;

use hongyan_proto::{
    frame::Frame,
    wire::{self, FailureCode, act::What, request::Op, response},
};

use crate::{
    fixture::{OPEN, send_many},
    server::TestServer,
    wire::{WireClient, encoded, hello, message, resume},
};

/// What a field of a client's frame can reach.
#[derive(Clone, Copy, PartialEq)]
enum Reach {
    /// Nobody else: a number, a time, a text about the sender, or something within the sender's own account.
    Own,
    /// Names others. The test of this name shows that it reaches no further than it may.
    Others(&'static str),
}
use Reach::{Others, Own};

const FIELDS: &[(&str, &[(&str, Reach)])] = &[
    (
        "Hello",
        &[
            ("uid", Others("a_token_opens_its_own_account_only")),
            ("device", Own),
            ("device_epoch", Own),
            ("token", Others("a_token_opens_its_own_account_only")),
            ("password", Own),
            ("cursor", Own),
            ("log_epoch", Own),
            ("last_send_no", Own),
            ("features", Own),
            ("agent", Own),
            ("from_head", Own),
            ("ephemeral", Own),
            ("answered_send_no", Own),
        ],
    ),
    (
        "Resume",
        &[
            ("resume_token", Others("a_resume_token_opens_its_own_device_only")),
            ("cursor", Own),
            ("limits_id", Own),
            ("fallback", Others("a_resume_token_opens_its_own_device_only")),
        ],
    ),
    ("Ping", &[("next_ms", Own), ("ack", Others("acks_move_the_own_cursor_only"))]),
    ("Pong", &[("head", Own)]),
    ("Ack", &[("useq", Others("acks_move_the_own_cursor_only"))]),
    ("Close", &[("code", Own), ("reason", Own), ("retry_after_ms", Own)]),
    (
        "Send",
        &[
            ("send_no", Own),
            ("to", Others("the_sender_is_who_logged_in")),
            ("content", Own),
            ("extras", Own),
            ("act", Others("acts_reach_the_own_conversations_only")),
        ],
    ),
    (
        "Signal",
        &[
            ("to", Others("the_sender_is_who_logged_in")),
            ("from", Others("the_sender_is_who_logged_in")),
            ("body", Own),
            ("typing", Own),
            ("presence", Own),
        ],
    ),
    ("SyncReq", &[("after", Own)]),
    (
        "Request",
        &[
            ("id", Own),
            ("history", Others("questions_are_answered_about_the_own_account_only")),
            ("conversations", Others("questions_are_answered_about_the_own_account_only")),
            ("account", Others("questions_are_answered_about_the_own_account_only")),
            ("group", Others("questions_are_answered_about_the_own_account_only")),
            ("members", Others("questions_are_answered_about_the_own_account_only")),
            ("status", Others("questions_are_answered_about_the_own_account_only")),
            ("presence", Others("questions_are_answered_about_the_own_account_only")),
            ("contacts", Others("questions_are_answered_about_the_own_account_only")),
            ("privacy", Others("questions_are_answered_about_the_own_account_only")),
            ("messages", Others("questions_are_answered_about_the_own_account_only")),
        ],
    ),
];

/// The fields of a message, out of the definition that is compiled into the program.
fn fields(definition: &str, message: &str) -> BTreeSet<String> {
    let head = format!("\nmessage {message} {{");
    let start = definition.find(&head).unwrap_or_else(|| panic!("no message {message}")) + head.len();
    let body = &definition[start..start + definition[start..].find("\n}").unwrap()];
    let code = body.lines().map(|line| line.split("//").next().unwrap().trim());
    let declared = code.filter_map(|line| line.split_once(" = ")).map(|(left, _)| left);
    declared.map(|left| left.rsplit(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn every_field_that_a_client_may_write_is_judged() {
    let definition = include_str!("../../proto/hongyan/v1/wire.proto");
    for (message, judged) in FIELDS {
        let names: BTreeSet<String> = judged.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(fields(definition, message), names, "judge the fields of {message}: whom can each reach?");
    }
    let source = include_str!("others.rs");
    for (_, judged) in FIELDS {
        for (field, reach) in *judged {
            if let Others(test) = reach {
                assert!(source.contains(&format!("fn {test}()")), "{field} is judged by {test}, which is missing");
            }
        }
    }
}

fn ask(client: &mut WireClient, op: Op) -> response::Result {
    client.send(Frame::Request(wire::Request { id: 7, op: Some(op) }));
    match client.skip(|frame| matches!(frame, Frame::Push(_))) {
        Frame::Response(wire::Response { id: 7, result: Some(result) }) => result,
        other => panic!("{other:?}"),
    }
}

/// Alice and Bob have talked; Mallory is a user like any other.
fn talk() -> (TestServer, WireClient, WireClient, WireClient) {
    let server = TestServer::with(OPEN);
    let mut mallory = WireClient::login_as(&server, "mallory", "phone").0;
    let bob = WireClient::login_as(&server, "bob", "phone").0;
    let mut alice = WireClient::login_as(&server, "alice", "phone").0;
    send_many(&mut alice, 1, 3, "bob", b"between us");
    mallory.ping();
    (server, alice, bob, mallory)
}

#[test]
fn questions_are_answered_about_the_own_account_only() {
    let (_server, _alice, _bob, mut mallory) = talk();
    for name in ["alice", "bob", "nobody"] {
        for forward in [false, true] {
            let conversation = name.to_owned();
            let history =
                wire::HistoryRequest { conversation, after: 0, before: u64::MAX, limit: 200, forward, around: 0 };
            match ask(&mut mallory, Op::History(history)) {
                response::Result::History(page) => assert_eq!(page, wire::HistoryPage::default(), "{name}"),
                other => panic!("{other:?}"),
            }
        }
    }
    for after in [0, 1, 2, u64::MAX - 1, u64::MAX] {
        match ask(
            &mut mallory,
            Op::Conversations(wire::ConversationsRequest { after, limit: 200, ..Default::default() }),
        ) {
            response::Result::Conversations(page) => assert_eq!(page, wire::ConversationsPage::default(), "{after}"),
            other => panic!("{other:?}"),
        }
    }
    match ask(&mut mallory, Op::Account(wire::AccountRequest::default())) {
        response::Result::Account(account) => {
            assert_eq!((account.uid.as_str(), account.devices.len()), ("mallory", 1));
        }
        other => panic!("{other:?}"),
    }
    let id = |conversation: &str| wire::MessageId { conversation: conversation.into(), cseq: 1 };
    for name in ["alice", "bob", "nobody"] {
        let by_number = wire::MessagesRequest { conversation: name.into(), cseqs: vec![1, 2, 3] };
        let seen = ask(&mut mallory, Op::Messages(by_number));
        assert_eq!(seen, response::Result::Messages(wire::HistoryPage::default()), "{name}");
        let which = Some(wire::status_request::Which::Message(id(name)));
        let status = ask(&mut mallory, Op::Status(wire::StatusRequest { which }));
        assert!(
            matches!(&status, response::Result::Failure(failure) if failure.code() == FailureCode::FailureNotFound)
        );
        let uids = vec![name.into()];
        let presence = ask(&mut mallory, Op::Presence(wire::PresenceRequest { uids, replace: false }));
        let hidden = vec![wire::Presence { uid: name.into(), ..Default::default() }];
        assert_eq!(presence, response::Result::Presence(wire::PresenceList { presence: hidden }), "{name}");
    }
    // The conversation of alice and bob has number 1, and is no group.
    for name in ["#1", "#2"] {
        for op in [
            Op::Group(wire::GroupRequest { group: name.into() }),
            Op::Members(wire::MembersRequest { group: name.into(), ..Default::default() }),
            Op::Messages(wire::MessagesRequest { conversation: name.into(), cseqs: vec![1] }),
            Op::History(wire::HistoryRequest { conversation: name.into(), ..Default::default() }),
        ] {
            let answer = ask(&mut mallory, op);
            assert!(
                matches!(&answer, response::Result::Failure(failure) if failure.code() == FailureCode::FailureNotFound),
                "{answer:?}"
            );
        }
    }
    let contacts = ask(&mut mallory, Op::Contacts(wire::ContactsRequest::default()));
    assert_eq!(contacts, response::Result::Contacts(wire::ContactsPage::default()));
}

/// No act names a message of others in a way that finds it.
#[test]
fn acts_reach_the_own_conversations_only() {
    let (_server, mut alice, _bob, mut mallory) = talk();
    let forward = |conversation: &str| What::Forward(wire::Forward { conversation: conversation.into(), cseq: 1 });
    let acts = [
        ("bob", What::Edit(wire::Edit { cseq: 1, content: b"forged".as_slice().into(), ..Default::default() })),
        ("bob", What::Recall(wire::Recall { cseq: 1, ..Default::default() })),
        ("alice", What::React(wire::React { cseq: 1, reaction: "+".into(), ..Default::default() })),
        ("alice", What::Pin(wire::Pin { cseq: 1, unpin: false })),
        ("#1", What::Recall(wire::Recall { cseq: 1, ..Default::default() })),
        ("mallory", forward("alice")),
        ("mallory", forward("bob")),
        ("mallory", forward("#1")),
    ];
    for (send_no, (to, what)) in (1..).zip(acts) {
        let refused = mallory.act(send_no, to, what.clone()).unwrap_err();
        assert_eq!(refused.code(), wire::NackCode::NackNotFound, "{to}: {what:?}");
    }
    let history = wire::HistoryRequest { conversation: "bob".into(), ..Default::default() };
    let response::Result::History(page) = ask(&mut alice, Op::History(history)) else { panic!() };
    assert_eq!(page.entries.len(), 3, "and nothing has become of what alice and bob wrote");
}

/// Neither the frame nor fields that the protocol does not have say who sends.
#[test]
fn the_sender_is_who_logged_in() {
    let (_server, mut alice, mut bob, mut mallory) = talk();
    (1..=3).for_each(|useq| assert_eq!(bob.expect_message(useq).from, "alice"));
    bob.ack(3);
    let mut forged = encoded(&[message(1, "bob", b"pay mallory")]);
    // Field 1 of Message and fields that no version has, all saying that it is Alice.
    for tag in [6, 7, 8, 15] {
        forged.extend_from_slice(&[tag << 3 | 2, 5]);
        forged.extend_from_slice(b"alice");
    }
    forged[2] = (forged.len() - 3) as u8;
    mallory.send_bytes(&forged);
    mallory.expect_send_ack(1);
    assert_eq!(bob.expect_message(4).from, "mallory");
    let signal = wire::Signal {
        to: "bob".into(),
        from: "alice".into(),
        body: b"typing".as_slice().into(),
        ..Default::default()
    };
    mallory.send(Frame::Signal(signal));
    match bob.expect() {
        Frame::Signal(signal) => assert_eq!((signal.from.as_str(), signal.to.as_str()), ("mallory", "")),
        other => panic!("{other:?}"),
    }
    // Nothing of it reached whom it named.
    alice.send(Frame::Ping(wire::Ping::default()));
    let own = |frame: &Frame| matches!(frame, Frame::Push(entry) if entry.useq <= 4) || matches!(frame, Frame::Ping(_));
    assert!(matches!(alice.skip(own), Frame::Pong(_)));
}

#[test]
fn acks_move_the_own_cursor_only() {
    let (server, _alice, mut bob, mut mallory) = talk();
    // Bob has three unacked entries, Mallory none.
    mallory.send(Frame::Ping(wire::Ping { next_ms: 0, ack: 0 }));
    mallory.expect();
    mallory.ack(3);
    mallory.expect_close(hongyan_proto::CloseCode::BAD_ACK);
    (1..=3).for_each(|useq| drop(bob.expect_message(useq)));
    drop(bob);
    let (mut bob, welcome) = WireClient::login_as(&server, "bob", "phone");
    assert_eq!(welcome.cursor, 0, "nobody acked for Bob");
    bob.expect_message(1);
}

#[test]
fn a_token_opens_its_own_account_only() {
    let (server, ..) = talk();
    let token = server.token("mallory");
    for uid in ["alice", "bob", "Mallory", "nobody"] {
        let mut client = WireClient::open(server.address());
        client.send(Frame::Hello(hello(uid, "phone", &token)));
        client.expect_reject(hongyan_proto::CloseCode::BAD_CREDENTIALS);
    }
}

/// The token names a user and a device by number, which proves nothing.
#[test]
fn a_resume_token_opens_its_own_device_only() {
    let server = TestServer::with(OPEN);
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    let (mallory, welcome) = WireClient::login_as(&server, "mallory", "phone");
    drop(mallory);
    let own = welcome.resume_token.to_vec();
    assert_eq!(own.len(), 34, "user, device, 32 bytes");
    for (user, device) in [(1, 1), (0, 1), (2, 2), (2, 0), (3, 1), (127, 127)] {
        let mut client = WireClient::open(server.address());
        client.send(resume(&[&[user, device], &own[2..]].concat(), 0));
        client.expect_reject(hongyan_proto::CloseCode::RESUME_REFUSED);
    }
    // A fallback is a login like any other.
    let fallback = Some(hello("bob", "phone", &server.token("mallory")));
    let mut client = WireClient::open(server.address());
    client.send(Frame::Resume(wire::Resume { resume_token: vec![0; 34].into(), fallback, ..Default::default() }));
    client.expect_reject(hongyan_proto::CloseCode::BAD_CREDENTIALS);
    bob.ping();
    let mut client = WireClient::open(server.address());
    client.send(resume(&own, 0));
    client.expect_resumed();
}
