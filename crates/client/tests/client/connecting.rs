//! Logins, resumes, and what ends a client.

use std::time::Duration;

use hongyan_client::{Client, CloseCode, Content, Credential, ErrorKind, Event, StartAt};
use hongyan_proto::{server::Event as Asked, wire};

use crate::fake::{Server, bob, connected, message, next, received, within};

#[tokio::test]
async fn a_bad_token_ends_it_and_is_not_tried_again() {
    let server = Server::start().await;
    let connecting = tokio::spawn(server.client().connect());
    let mut peer = server.accept().await;
    peer.hello().await;
    peer.connection.reject(CloseCode::BAD_CREDENTIALS, "no", Duration::ZERO);
    peer.flush().await;
    let error = within("refusal", connecting).await.unwrap().err().unwrap();
    assert_eq!(*error.kind(), ErrorKind::LoginRefused { code: CloseCode::BAD_CREDENTIALS });
    peer.left().await;
    assert!(!server.is_called().await);
}

#[tokio::test]
async fn a_revoked_session_ends_a_live_client() {
    let server = Server::start().await;
    let (client, mut events, mut peer) = server.connect(server.client(), 0).await;
    peer.connection.close(CloseCode::REVOKED, "disabled");
    peer.flush().await;
    match next(&mut events).await {
        Event::Stopped(error) => assert_eq!(*error.kind(), ErrorKind::Ended { code: CloseCode::REVOKED }),
        other => panic!("{other:?}"),
    }
    assert!(events.next().await.is_none());
    assert_eq!(*client.ping().await.unwrap_err().kind(), ErrorKind::Ended { code: CloseCode::REVOKED });
    assert!(!server.is_called().await);
}

#[tokio::test]
async fn a_temporary_refusal_is_tried_again() {
    let server = Server::start().await;
    let connecting = tokio::spawn(server.client().connect());
    let mut peer = server.accept().await;
    peer.hello().await;
    peer.connection.reject(CloseCode::OVERLOADED, "", Duration::from_millis(10));
    peer.flush().await;
    let mut peer = server.accept().await;
    peer.welcome(0).await;
    assert!(within("login", connecting).await.unwrap().is_ok());
}

#[tokio::test]
async fn a_refused_resume_logs_in_on_the_same_connection() {
    let server = Server::start().await;
    let (client, mut events, peer) = server.connect(server.client(), 0).await;
    drop(peer);
    let mut peer = server.accept().await;
    peer.resume().await;
    peer.connection.reject(CloseCode::RESUME_REFUSED, "used", Duration::ZERO);
    let hello = peer.welcome(0).await;
    assert_eq!((&*hello.uid, &*hello.device, hello.cursor), ("alice", "phone", Some(0)));
    connected(&mut events, false).await;
    assert_eq!(client.uid().as_str(), "alice");
}

#[tokio::test]
async fn an_unanswered_resume_brings_a_fallback_next_time() {
    let server = Server::start().await;
    let (_client, mut events, peer) = server.connect(server.client(), 0).await;
    drop(peer);
    let mut peer = server.accept().await;
    assert!(peer.resume().await.fallback.is_none(), "a fresh token is trusted");
    drop(peer);
    let mut peer = server.accept().await;
    let fallback = peer.resume().await.fallback.expect("the token may be used up");
    assert_eq!(fallback.credential, Some(wire::hello::Credential::Token("secret".into())));
    peer.accept_hello(&fallback, 0).await;
    connected(&mut events, false).await;
}

#[tokio::test]
async fn without_a_credential_a_refused_resume_is_the_end() {
    let nothing = Client::builder("127.0.0.1:1").device("phone").connect().await.err().unwrap();
    assert_eq!(*nothing.kind(), ErrorKind::LoginRequired);

    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("phone.db");
    let store = || Box::new(hongyan_client::SqliteStore::open(&path).unwrap());
    let (client, events, peer) = server.connect(server.client().store(store()), 0).await;
    client.close().await;
    drop((client, events, peer));
    let builder = server.client().credential(Credential::None).store(store());
    let connecting = tokio::spawn(builder.connect());
    let mut peer = server.accept().await;
    peer.resume().await;
    peer.connection.reject(CloseCode::RESUME_REFUSED, "", Duration::ZERO);
    peer.flush().await;
    let error = within("refusal", connecting).await.unwrap().err().unwrap();
    assert_eq!(*error.kind(), ErrorKind::LoginRequired);
}

#[tokio::test]
async fn goaway_makes_the_new_connection_before_it_leaves_the_old() {
    let server = Server::start().await;
    let (client, mut events, mut old) = server.connect(server.client(), 1).await;
    old.push(1, 1).await;
    assert_eq!(received(&mut events).await.cseq, 1);
    assert_eq!(client.enqueue(&bob(), Content::text("moved")).await.unwrap(), 1);
    let unanswered = old.send().await;
    old.connection.go_away(Duration::from_secs(60), Duration::ZERO, &[]);
    old.flush().await;

    let mut new = server.accept().await;
    let resume = new.resume().await;
    assert!(!old.is_left().await, "the old connection is kept until the new one is logged in");
    // What the old one brings from now on comes again on the new one.
    old.push(2, 2).await;
    old.connection.close(CloseCode::REPLACED, "");
    old.flush().await;
    let resumed = wire::Resumed { resume_token: (&b"second"[..]).into(), head: 2, ..Default::default() };
    new.connection.resumed(resumed, resume.cursor, resume.limits_id, std::time::Instant::now());
    new.push(resume.cursor + 1, resume.cursor + 1).await;
    connected(&mut events, true).await;
    for cseq in resume.cursor + 1..=2 {
        if cseq > resume.cursor + 1 {
            new.push(cseq, cseq).await;
        }
        if cseq > 1 {
            assert_eq!(received(&mut events).await.cseq, cseq);
        }
    }
    assert_eq!(new.send().await, unanswered);
    new.answer(1, 1, 3).await;
    assert!(matches!(next(&mut events).await, Event::Sent(sent) if sent.send_no == 1), "nothing in between, no stop");
    old.left().await;
}

#[tokio::test]
async fn a_failed_move_goes_back_to_the_old_connection() {
    let server = Server::start().await;
    let (_client, mut events, mut old) = server.connect(server.client(), 0).await;
    old.connection.go_away(Duration::from_secs(60), Duration::ZERO, &[server.address()]);
    old.flush().await;
    let mut new = server.accept().await;
    new.resume().await;
    new.connection.reject(CloseCode::UNAVAILABLE, "", Duration::from_secs(60));
    new.flush().await;
    new.left().await;
    old.push(1, 1).await;
    assert_eq!(received(&mut events).await.cseq, 1);
}

#[tokio::test]
async fn being_replaced_by_its_own_lost_login_is_not_the_end() {
    let server = Server::start().await;
    let (_client, mut events, mut old) = server.connect(server.client(), 1).await;
    old.connection.go_away(Duration::from_secs(60), Duration::ZERO, &[]);
    old.flush().await;
    let mut new = server.accept().await;
    new.resume().await;
    // The server has taken the login, but the answer is lost; the old connection learns it first.
    old.connection.close(CloseCode::REPLACED, "");
    old.flush().await;
    drop(new);
    let mut again = server.accept().await;
    assert!(again.resume().await.fallback.is_some());
    let resumed = wire::Resumed { resume_token: (&b"second"[..]).into(), head: 1, ..Default::default() };
    again.connection.resumed(resumed, 0, 0, std::time::Instant::now());
    again.push(1, 1).await;
    assert_eq!(received(&mut events).await.cseq, 1);
}

#[tokio::test]
async fn being_replaced_is_the_end() {
    let server = Server::start().await;
    let (_client, mut events, mut peer) = server.connect(server.client(), 0).await;
    peer.connection.close(CloseCode::REPLACED, "");
    peer.flush().await;
    assert!(matches!(next(&mut events).await, Event::Stopped(error) if *error.kind() == ErrorKind::Replaced));
}

#[tokio::test]
async fn garbage_is_a_protocol_violation() {
    let server = Server::start().await;
    let (_client, mut events, mut peer) = server.connect(server.client(), 0).await;
    peer.connection.signal(&wire::Signal::default());
    let mut item = bytes::BytesMut::new();
    hongyan_proto::codec::put_typed(&mut item, 0xB0, 3, |out| out.extend_from_slice(b"abc"));
    peer.write(&item).await;
    let closed = loop {
        if let Asked::Closed { code, .. } = peer.event().await {
            break code;
        }
    };
    assert_eq!(closed, CloseCode::UNKNOWN_CRITICAL);
    let Event::Stopped(error) = next(&mut events).await else { panic!("it goes on") };
    assert_eq!(*error.kind(), ErrorKind::ProtocolViolation { code: CloseCode::UNKNOWN_CRITICAL });
}

#[tokio::test]
async fn an_unreachable_server_ends_the_wait_in_time() {
    let server = Server::start().await;
    let address = server.address();
    drop(server);
    let builder = Client::builder(&address).device("phone").credential(Credential::Token("x".into()));
    let error = within("end", builder.connect_timeout(Duration::from_millis(50)).connect()).await.err().unwrap();
    assert_eq!(*error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn requests_and_pings_survive_a_cut() {
    let server = Server::start().await;
    let (client, mut events, mut peer) = server.connect(server.client().start(StartAt::Head), 0).await;
    let asking = tokio::spawn({
        let client = client.clone();
        async move { client.history(&bob(), hongyan_client::HistoryQuery { limit: 7, ..Default::default() }).await }
    });
    let request = peer.request().await;
    drop(peer);
    let mut peer = server.accept().await;
    peer.resumed(b"first", b"second", 0, 0).await;
    connected(&mut events, true).await;
    let again = peer.request().await;
    assert_eq!(again, request);
    let entries = vec![wire::Entry { useq: 0, own_send_no: 0, item: Some(message("alice", "bob", 3)) }];
    let page = wire::HistoryPage { entries, head_cseq: 3, more: true, ..Default::default() };
    peer.respond(again.id, wire::response::Result::History(page)).await;
    let page = within("page", asking).await.unwrap().unwrap();
    let message = page.entries[0].clone().into_message().unwrap();
    assert_eq!((message.cseq, message.own, page.more), (3, true, true));
    tokio::select! {
        rtt = client.ping() => assert!(rtt.is_ok()),
        other = peer.event() => panic!("{other:?} besides a PING"),
    }
}

#[tokio::test]
async fn so_many_requests_are_under_way_and_the_next_ones_wait() {
    let server = Server::start().await;
    let (client, _events, mut peer) = server.connect(server.client().start(StartAt::Head), 0).await;
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.history(&bob(), hongyan_client::HistoryQuery::default()).await })
        })
        .collect();
    let mut asked = std::collections::VecDeque::new();
    for _ in 0..16 {
        asked.push_back(peer.request().await.id);
    }
    client.enqueue(&bob(), Content::text("what comes after them")).await.unwrap();
    peer.send().await;
    for answered in 0..20 {
        let id = asked.pop_front().unwrap();
        peer.respond(id, wire::response::Result::History(wire::HistoryPage::default())).await;
        if answered < 4 {
            asked.push_back(peer.request().await.id);
        }
    }
    for page in asking {
        assert!(within("page", page).await.unwrap().is_ok());
    }
}
