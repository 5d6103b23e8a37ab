//! Who gets in, as which device, from where in the log; and who does not, with which code.

use std::{net::TcpStream, time::Duration};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use hongyan::session::operator::{Request, Response};
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

/// A HELLO that is refused with this code.
pub fn refused(server: &TestServer, hello: wire::Hello, code: CloseCode) -> wire::Reject {
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
