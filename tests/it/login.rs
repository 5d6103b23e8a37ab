//! Who gets in, as which device, from where in the log; and who does not, with which code.

use std::{net::TcpStream, time::Duration};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use hongyan::admin::{Request, Response};
use hongyan_proto::{
    CloseCode,
    codec::PREFACE,
    frame::Frame,
    wire::{self, hello::Credential},
};
use ring::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair},
};

use crate::{
    server::{TestServer, eventually},
    wire::{WireClient, encoded, hello, hello_with_password, message, resume},
};

fn refused(server: &TestServer, hello: wire::Hello, code: CloseCode) -> wire::Reject {
    let mut client = WireClient::open(server.address());
    client.send(Frame::Hello(hello));
    client.expect_reject(code)
}

// ---------------------------------------------------------------- passwords

#[test]
fn a_wrong_password_and_an_unknown_user_look_alike() {
    let server = TestServer::start();
    server.add_user("alice", "correct horse");
    server.token("tokens-only");
    WireClient::login(&server, hello_with_password("alice", "phone", "correct horse"));
    let wrong = refused(&server, hello_with_password("alice", "phone", "wrong"), CloseCode::BAD_CREDENTIALS);
    for (uid, password) in [("nobody", "wrong"), ("tokens-only", ""), ("alice", ""), ("nobody", "")] {
        let other = refused(&server, hello_with_password(uid, "phone", password), CloseCode::BAD_CREDENTIALS);
        assert_eq!(encoded(&[Frame::Reject(other)]), encoded(&[Frame::Reject(wrong.clone())]), "{uid} {password:?}");
    }
    assert_eq!(wrong.retry_after_ms, 0);
}

#[test]
fn failures_slow_down_and_lock_nobody_out() {
    let server = TestServer::start();
    server.add_user("alice", "correct horse");
    let guess = || hello_with_password("alice", "phone", "wrong");
    for _ in 0..3 {
        refused(&server, guess(), CloseCode::BAD_CREDENTIALS);
    }
    let reject = refused(&server, guess(), CloseCode::TOO_MANY_ATTEMPTS);
    assert!((1..=1000).contains(&reject.retry_after_ms), "{reject:?}");
    // Asking too early costs nothing, and the right password gets in as soon as the wait is over.
    let (mut alice, _) = eventually("alice gets in", || {
        let mut client = WireClient::open(server.address());
        client.send(Frame::Hello(hello_with_password("alice", "phone", "correct horse")));
        match client.expect() {
            Frame::Welcome(welcome) => Some((client, welcome)),
            Frame::Reject(reject) => {
                assert_eq!(CloseCode(reject.code), CloseCode::TOO_MANY_ATTEMPTS);
                None
            }
            other => panic!("{other:?}"),
        }
    });
    alice.ping();
    // Another user at the same address was never touched.
    WireClient::login_as(&server, "bob", "phone");
}

// ---------------------------------------------------------------- tokens

#[test]
fn tokens_are_for_one_user_one_device_one_audience_and_a_time() {
    let server = TestServer::with("[auth]\nclock_leeway = \"0ms\"\n");
    let token = server.token("alice");
    WireClient::login(&server, hello("", "phone", &token));
    refused(&server, hello("bob", "phone", &token), CloseCode::BAD_CREDENTIALS);
    let bound = server.token_for("alice", Some("desk"), 3600);
    WireClient::login(&server, hello("alice", "desk", &bound));
    refused(&server, hello("alice", "phone", &bound), CloseCode::BAD_CREDENTIALS);
    let elsewhere = TestServer::with("server_name = \"other\"\n");
    refused(&server, hello("alice", "phone", &elsewhere.token("alice")), CloseCode::BAD_CREDENTIALS);
    for (uid, nonsense) in [("dave", ""), ("erin", "a.b.c"), ("frank", &"x".repeat(3000))] {
        refused(&server, hello(uid, "phone", nonsense), CloseCode::BAD_CREDENTIALS);
    }
    let none = wire::Hello { credential: None, ..hello("grace", "phone", "") };
    refused(&server, none, CloseCode::BAD_CREDENTIALS);
    let short = server.token_for("carol", None, 1);
    let expired = eventually("the token has expired", || {
        let mut client = WireClient::open(server.address());
        client.send(Frame::Hello(hello("carol", "phone", &short)));
        match client.expect() {
            Frame::Reject(reject) => Some(CloseCode(reject.code)),
            _ => None,
        }
    });
    assert_eq!(expired, CloseCode::TOKEN_EXPIRED);
}

#[test]
fn an_apps_own_backend_mints_tokens() {
    let keys = tempfile::tempdir().unwrap();
    let secret = [7_u8; 32];
    std::fs::write(keys.path().join("app.secret"), secret).unwrap();
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    // SubjectPublicKeyInfo of an Ed25519 key: a fixed head and the 32 bytes (RFC 8410 section 4).
    let head = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00];
    let spki = [&head[..], pair.public_key().as_ref()].concat();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64_STANDARD.encode(&spki));
    std::fs::write(keys.path().join("app.pem"), pem).unwrap();
    let server = TestServer::with(&format!(
        "[[auth.keys]]\nkid = \"hmac\"\nalg = \"HS256\"\nsecret_file = \"{0}/app.secret\"\n\
         [[auth.keys]]\nkid = \"ed\"\nalg = \"EdDSA\"\npublic_key_file = \"{0}/app.pem\"\n",
        keys.path().display()
    ));
    let claims = |aud: &str| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        serde_json::json!({ "iss": "hongyan", "aud": aud, "sub": "alice", "exp": now + 60 })
    };
    let by_hmac = |secret: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
    let hs256 = |kid: &str, aud: &str, secret: &[u8]| {
        jwt("HS256", kid, &claims(aud), |text| by_hmac(secret, text).as_ref().to_vec())
    };
    let eddsa = |aud: &str| jwt("EdDSA", "ed", &claims(aud), |text| pair.sign(text.as_bytes()).as_ref().to_vec());
    for (device, good, foreign) in [
        ("one", hs256("hmac", "hongyan", &secret), hs256("hmac", "elsewhere", &secret)),
        ("two", eddsa("hongyan"), eddsa("elsewhere")),
    ] {
        let (mut alice, welcome) = WireClient::login(&server, hello("", device, &good));
        assert_eq!(welcome.uid, "alice");
        alice.ping();
        refused(&server, hello("", device, &foreign), CloseCode::BAD_CREDENTIALS);
    }
    // The public key as an HMAC secret: the algorithm belongs to the key, not to the token.
    let confused = hs256("ed", "hongyan", pair.public_key().as_ref());
    refused(&server, hello("bob", "phone", &confused), CloseCode::BAD_CREDENTIALS);
    let unsigned = jwt("none", "ed", &claims("hongyan"), |_| Vec::new());
    refused(&server, hello("carol", "phone", &unsigned), CloseCode::BAD_CREDENTIALS);
}

/// A JSON Web Token (RFC 7519), signed by `sign`.
fn jwt(algorithm: &str, kid: &str, claims: &serde_json::Value, sign: impl Fn(&str) -> Vec<u8>) -> String {
    let header = serde_json::json!({ "alg": algorithm, "kid": kid });
    let [header, claims] = [&header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    let text = format!("{header}.{claims}");
    let signature = BASE64_URL_SAFE_NO_PAD.encode(sign(&text));
    format!("{text}.{signature}")
}

#[test]
fn revoking_and_disabling_cut_live_connections_and_all_old_tokens() {
    let server = TestServer::start();
    let old = server.token("alice");
    let (mut phone, welcome) = WireClient::login(&server, hello("alice", "phone", &old));
    let (mut desk, _) = WireClient::login(&server, hello("alice", "desk", &old));
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    assert!(matches!(server.admin(&Request::RevokeUser { uid: "alice".into() }), Response::Done));
    let second = Duration::from_secs(1);
    for client in [&mut phone, &mut desk] {
        match client.next_within(second) {
            Ok(Some(Frame::Close(close))) => assert_eq!(CloseCode(close.code), CloseCode::REVOKED),
            other => panic!("{other:?}"),
        }
    }
    refused(&server, hello("alice", "phone", &old), CloseCode::REVOKED);
    let mut client = WireClient::open(server.address());
    client.send(resume(&welcome.resume_token, 0));
    client.expect_reject(CloseCode::RESUME_REFUSED);
    let (mut phone, _) = WireClient::login(&server, hello("alice", "phone", &server.token("alice")));

    assert!(matches!(server.admin(&Request::DisableUser { uid: "alice".into() }), Response::Done));
    phone.expect_close(CloseCode::REVOKED);
    let new = server.token("alice");
    refused(&server, hello("alice", "phone", &new), CloseCode::REVOKED);
    assert!(matches!(server.admin(&Request::EnableUser { uid: "alice".into() }), Response::Done));
    WireClient::login(&server, hello("alice", "phone", &new));
    bob.ping();
}

#[test]
fn a_revoked_device_that_does_not_read_is_cut_too() {
    let server = TestServer::start();
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let mut deaf = WireClient::with_small_buffer(server.address());
    deaf.send_bytes(&PREFACE);
    deaf.send(Frame::Hello(hello("bob", "phone", &server.token("bob"))));
    let content = vec![b'x'; 30_000];
    for send_no in 1..=16 {
        alice.send_message(send_no, "bob", &content);
        alice.expect_send_ack(send_no);
    }
    assert_eq!(server.metric("hongyan_sessions"), 2);
    assert!(matches!(server.admin(&Request::RevokeUser { uid: "bob".into() }), Response::Done));
    let start = std::time::Instant::now();
    server.wait_for_metric("hongyan_connections", 1);
    assert!(start.elapsed() < Duration::from_secs(4), "cut after {:?}", start.elapsed());
}

// ---------------------------------------------------------------- resuming

#[test]
fn a_resume_token_works_once_it_rotates_and_a_hello_may_follow_a_refusal() {
    let server = TestServer::start();
    let (mut client, welcome) = WireClient::login_as(&server, "alice", "phone");
    client.ping();
    drop(client);
    let mut client = WireClient::open(server.address());
    let known = welcome.limits.unwrap().id;
    client.send(Frame::Resume(wire::Resume {
        resume_token: welcome.resume_token.clone(),
        limits_id: known,
        ..Default::default()
    }));
    let resumed = client.expect_resumed();
    assert_eq!(resumed.limits, None, "they are known");
    assert!(resumed.conn_epoch > welcome.conn_epoch);
    assert_eq!(resumed.max_send_no, 64);
    // Acting on the connection proves that the new token was stored; now the old one is spent.
    client.send_message(1, "alice", b"a note");
    client.expect_send_ack(1);
    let mut thief = WireClient::open(server.address());
    thief.send(resume(&welcome.resume_token, 0));
    thief.expect_reject(CloseCode::RESUME_REFUSED);
    client.ping();
    // The refusal did not end the connection.
    thief.send(Frame::Hello(wire::Hello { last_send_no: 1, ..hello("alice", "desk", &server.token("alice")) }));
    thief.expect_welcome();
    assert_eq!(&thief.expect_message(1).content[..], b"a note");
}

#[test]
fn a_lost_answer_to_a_resume_locks_nobody_out() {
    let server = TestServer::start();
    let (mut client, welcome) = WireClient::login_as(&server, "alice", "phone");
    // The device acts, so its token is confirmed and the only one.
    client.send_message(1, "alice", b"a note");
    client.expect_send_ack(1);
    drop(client);
    for _ in 0..3 {
        let mut lost = WireClient::open(server.address());
        let before = server.metric("hongyan_resumes_total");
        lost.send(resume(&welcome.resume_token, 0));
        server.wait_for_metric("hongyan_resumes_total", before + 1);
    }
    let mut client = WireClient::open(server.address());
    client.send(resume(&welcome.resume_token, 0));
    let resumed = client.expect_resumed();
    assert_eq!((resumed.last_send_no, resumed.head), (1, 1));
    assert_eq!(client.expect_push().own_send_no, 1);
    client.ack(1);
    client.ping();
    drop(client);
    let mut client = WireClient::open(server.address());
    client.send(resume(&resumed.resume_token, 1));
    client.expect_resumed();
}

#[test]
fn a_resume_with_a_fallback_logs_in_without_another_round_trip() {
    let server = TestServer::start();
    let (_, welcome) = WireClient::login_as(&server, "alice", "phone");
    let fallback = hello("alice", "desk", &server.token("alice"));
    for token in [b"nonsense".to_vec(), [&welcome.resume_token[..34], &[0; 4]].concat(), Vec::new()] {
        let mut client = WireClient::open(server.address());
        let fallback = Some(fallback.clone());
        client.send(Frame::Resume(wire::Resume { resume_token: token.into(), fallback, ..Default::default() }));
        assert_eq!(client.expect_welcome().uid, "alice");
    }
    let mut client = WireClient::open(server.address());
    let fallback = Some(hello("alice", "desk", "wrong"));
    client.send(Frame::Resume(wire::Resume { fallback, ..Default::default() }));
    client.expect_reject(CloseCode::BAD_CREDENTIALS);
}

#[test]
fn a_resume_survives_kill_9_of_the_server() {
    let mut server = TestServer::start();
    let (client, welcome) = WireClient::login_as(&server, "alice", "phone");
    server.kill();
    server.restart();
    drop(client);
    let mut client = WireClient::open(server.address());
    client.send(resume(&welcome.resume_token, 0));
    let resumed = client.expect_resumed();
    assert!(resumed.conn_epoch > welcome.conn_epoch);
    assert!(resumed.limits.is_some(), "the client said that it knows none");
    client.ping();
}

// ---------------------------------------------------------------- devices

#[test]
fn the_same_device_again_replaces_its_older_connection() {
    let server = TestServer::start();
    let (mut older, first) = WireClient::login_as(&server, "alice", "phone");
    let (mut newer, second) = WireClient::login_as(&server, "alice", "phone");
    assert!(second.conn_epoch > first.conn_epoch);
    older.expect_close(CloseCode::REPLACED);
    newer.send_message(1, "alice", b"still here");
    newer.expect_send_ack(1);
    server.wait_for_metric("hongyan_sessions", 1);
}

#[test]
fn the_late_login_of_a_connection_that_was_given_up_replaces_nothing() {
    let server = TestServer::start();
    let token = server.token("alice");
    let (first, welcome) = WireClient::login(&server, hello("alice", "phone", &token));
    drop(first);
    let mut late: Vec<_> = (0..2).map(|_| WireClient::open(server.address())).collect();
    server.wait_for_metric("hongyan_connections", 2);
    let mut newer = WireClient::open(server.address());
    newer.send(resume(&welcome.resume_token, 0));
    let resumed = newer.expect_resumed();
    late[0].send(resume(&welcome.resume_token, 0));
    late[1].send(Frame::Hello(hello("alice", "phone", &token)));
    for client in &mut late {
        client.expect_reject(CloseCode::REPLACED);
    }
    newer.ping();
    drop(newer);
    let mut newest = WireClient::open(server.address());
    newest.send(resume(&resumed.resume_token, 0));
    newest.expect_resumed();
}

#[test]
fn a_user_has_so_many_devices_and_no_more() {
    let server = TestServer::with("[limits]\ndevices_per_user = 3\nchannels_per_user = 2\n");
    let token = server.token("alice");
    let (one, _) = WireClient::login(&server, hello("alice", "one", &token));
    let ephemeral = wire::Hello { ephemeral: true, ..hello("alice", "two", &token) };
    let (two, _) = WireClient::login(&server, ephemeral);
    refused(&server, hello("alice", "three", &token), CloseCode::TOO_MANY_DEVICES);
    let (_one_again, _) = WireClient::login(&server, hello("alice", "one", &token));
    drop((one, two));
    server.wait_for_metric("hongyan_sessions", 1);
    let (three, _) = WireClient::login(&server, hello("alice", "three", &token));
    drop(three);
    server.wait_for_metric("hongyan_sessions", 1);
    // Full, but the device for one errand gives way.
    let (four, _) = WireClient::login(&server, hello("alice", "four", &token));
    drop(four);
    server.wait_for_metric("hongyan_sessions", 1);
    refused(&server, hello("alice", "five", &token), CloseCode::TOO_MANY_DEVICES);
}

#[test]
fn a_device_that_lost_its_state_is_told_and_a_new_epoch_starts_over() {
    let server = TestServer::start();
    let token = server.token("alice");
    let (mut client, _) = WireClient::login(&server, hello("alice", "phone", &token));
    client.send_message(1, "alice", b"one");
    client.expect_send_ack(1);
    client.ack(1);
    client.ping();
    refused(&server, hello("alice", "phone", &token), CloseCode::STATE_LOST);
    let fresh = wire::Hello { device_epoch: 2, ..hello("alice", "phone", &token) };
    let (mut new, welcome) = WireClient::login(&server, fresh);
    client.expect_close(CloseCode::REPLACED);
    assert_eq!((welcome.last_send_no, welcome.cursor, welcome.head), (0, 0, 1));
    assert_eq!(&new.expect_message(1).content[..], b"one");
    new.send_message(1, "alice", b"two");
    assert_eq!(new.expect_send_ack(1).useq, 2, "its numbers begin again");
    let zero = wire::Hello { device_epoch: 0, ..hello("alice", "phone", &token) };
    refused(&server, zero, CloseCode::BAD_FIELD);
}

// ---------------------------------------------------------------- place in the log

#[test]
fn a_device_begins_where_it_says_or_where_the_server_remembers() {
    let server = TestServer::start();
    let token = server.token("alice");
    let (mut phone, welcome) = WireClient::login(&server, hello("alice", "phone", &token));
    for send_no in 1..=4 {
        phone.send_message(send_no, "alice", &[b'0' + send_no as u8]);
        phone.expect_send_ack(send_no);
    }
    let epoch = welcome.log_epoch;
    let from_head = wire::Hello { from_head: true, ..hello("alice", "desk", &token) };
    let (mut desk, welcome) = WireClient::login(&server, from_head.clone());
    assert_eq!((welcome.cursor, welcome.head), (4, 4));
    phone.send_message(5, "alice", b"5");
    phone.expect_send_ack(5);
    desk.expect_message(5);
    desk.ack(5);
    desk.ping();
    // Absent: the server's own record. Present: what it says.
    let (_, welcome) = WireClient::login(&server, hello("alice", "desk", &token));
    assert_eq!(welcome.cursor, 5);
    let at_three = wire::Hello { cursor: Some(3), log_epoch: epoch, ..hello("alice", "desk", &token) };
    let (mut desk, welcome) = WireClient::login(&server, at_three);
    assert_eq!((welcome.cursor, welcome.head), (3, 5));
    desk.expect_message(4);
    desk.expect_message(5);
    let both = wire::Hello { cursor: Some(3), ..from_head };
    refused(&server, both, CloseCode::BAD_FIELD);
}

#[test]
fn a_cursor_that_cannot_be_continued_gets_a_reset() {
    let server = TestServer::start();
    let token = server.token("alice");
    let (mut phone, welcome) = WireClient::login(&server, hello("alice", "phone", &token));
    phone.send_message(1, "alice", b"one");
    phone.expect_send_ack(1);
    let foreign = wire::Hello { cursor: Some(1), log_epoch: 7, ..hello("alice", "desk", &token) };
    let beyond = wire::Hello { cursor: Some(9), log_epoch: welcome.log_epoch, ..hello("alice", "lap", &token) };
    for hello in [foreign, beyond] {
        let (mut client, _) = WireClient::login(&server, hello);
        let Frame::SyncReset(reset) = client.expect() else { panic!("no SYNC_RESET") };
        assert_eq!((reset.log_epoch, reset.head), (welcome.log_epoch, 1));
        assert_eq!(client.ping().head, 0, "it goes on from the head");
    }
}

// ---------------------------------------------------------------- strangers

#[test]
fn the_login_deadline_is_extended_by_nothing() {
    let server = TestServer::with("[limits]\nlogin_timeout = \"1s\"\n");
    let mut silent = WireClient::connect(server.address());
    let mut half = WireClient::open(server.address());
    half.send_bytes(&encoded(&[Frame::Hello(hello("alice", "phone", "x"))])[..9]);
    // Valid frames that mean nothing, as fast as they go.
    let mut flood = WireClient::open(server.address());
    let flooding = flood.flood([0, 0, 1, 0x2A].repeat(16 * 1024));
    match flood.expect() {
        Frame::Close(close) => assert_eq!(CloseCode(close.code), CloseCode::LOGIN_TIMEOUT),
        other => panic!("{other:?}"),
    }
    silent.expect_close(CloseCode::LOGIN_TIMEOUT);
    half.expect_close(CloseCode::LOGIN_TIMEOUT);
    flooding.join().unwrap();
}

#[test]
fn strangers_are_few_and_those_who_logged_in_do_not_count() {
    let server = TestServer::with("[limits]\nmax_unauthenticated = 4\nmax_unauthenticated_per_ip = 3\n");
    let token = server.token("alice");
    let (mut alice, _) = WireClient::login(&server, hello("alice", "phone", &token));
    let strangers: Vec<_> = (0..3).map(|_| WireClient::open(server.address())).collect();
    server.wait_for_metric("hongyan_connections", 4);
    let mut turned_away = WireClient::connect(server.address());
    assert_eq!(turned_away.next(), None);
    // From another address there is one place left in total.
    let elsewhere = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
        socket.connect(&server.address().into()).unwrap();
        WireClient::over(TcpStream::from(socket))
    };
    let fourth = elsewhere();
    server.wait_for_metric("hongyan_connections", 5);
    assert_eq!(elsewhere().next(), None);
    alice.ping();
    drop((strangers, fourth));
    server.wait_for_metric("hongyan_connections", 1);
    WireClient::login(&server, hello("alice", "desk", &token));
}

#[test]
fn names_and_agents_are_checked() {
    let server = TestServer::start();
    let token = server.token("alice");
    let good = hello("alice", "phone", &token);
    for bad in [
        wire::Hello { uid: "a b".into(), ..good.clone() },
        wire::Hello { uid: "x".repeat(65), ..good.clone() },
        wire::Hello { device: String::new(), ..good.clone() },
        wire::Hello { device: "a/b".into(), ..good.clone() },
        wire::Hello { agent: "x".repeat(65), ..good.clone() },
        wire::Hello { agent: "caf\u{e9}".into(), ..good.clone() },
        wire::Hello { uid: String::new(), credential: Some(Credential::Password("x".into())), ..good.clone() },
    ] {
        refused(&server, bad, CloseCode::BAD_FIELD);
    }
    let mut client = WireClient::open(server.address());
    client.send_bytes(&encoded(&[Frame::Hello(good), message(1, "alice", b"in the same flight")]));
    client.expect_welcome();
    client.expect_send_ack(1);
}
