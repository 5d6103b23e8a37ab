//! Tokens that nobody issued, tokens for others, tokens again.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hongyan_proto::{CloseCode, frame::Frame, wire};
use ring::hmac;
use serde_json::{Value, json};

use crate::{
    fixture::{OPEN, open_from},
    server::TestServer,
    wire::{WireClient, hello, message, resume},
};

const SECRET: [u8; 32] = [7; 32];

fn encode(part: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(part.to_string())
}

fn sign(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let text = format!("{}.{}", encode(header), encode(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
    format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag))
}

fn unix_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// The claims of a good token, with one of them another, or none.
fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = json!({ "iss": "hongyan", "aud": "hongyan", "sub": "alice", "exp": unix_s() + 600 });
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

/// What is wrong with a token, and the token.
type Forged = (&'static str, String);

fn good_header() -> Value {
    json!({ "alg": "HS256", "kid": "app" })
}

fn good_claims() -> Value {
    claims_with("sub", json!("alice"))
}

fn signed_with(name: &str, value: Value) -> String {
    sign(&good_header(), &claims_with(name, value), &SECRET)
}

/// Under other headers than the key is for, and by other keys. `own_kid` is a key of the server's own.
fn not_by_the_key(own_kid: &Value) -> Vec<Forged> {
    let claims = good_claims();
    let by = |header: Value| sign(&header, &claims, &SECRET);
    let unsigned = |alg: &str| format!("{}.{}.", encode(&json!({ "alg": alg })), encode(&claims));
    vec![
        ("no algorithm", unsigned("none")),
        ("no algorithm, otherwise spelt", unsigned("NoNe")),
        ("no algorithm, with a signature", by(json!({ "alg": "none", "kid": "app" }))),
        ("an algorithm that the key is not for", by(json!({ "alg": "EdDSA", "kid": "app" }))),
        ("a weaker relative", by(json!({ "alg": "HS1", "kid": "app" }))),
        ("a stronger relative", by(json!({ "alg": "HS512", "kid": "app" }))),
        ("the server's key id, by HMAC", by(json!({ "alg": "HS256", "kid": own_kid }))),
        ("an unknown key id", by(json!({ "alg": "HS256", "kid": "../../dev/null" }))),
        ("a key in the header", by(json!({ "alg": "HS256", "jwk": { "kty": "oct", "k": "BwcH" }, "kid": "x" }))),
        ("a key by address", by(json!({ "alg": "HS256", "jku": "http://127.0.0.1/", "kid": "x" }))),
        ("an extension that must be known", by(json!({ "alg": "HS256", "kid": "app", "crit": ["b64"], "b64": false }))),
        ("another secret", sign(&good_header(), &claims, &[8; 32])),
        ("an empty secret", sign(&good_header(), &claims, b"")),
    ]
}

/// Signed as it should be, with claims that are not for here.
fn not_for_us() -> Vec<Forged> {
    vec![
        ("another issuer", signed_with("iss", json!("elsewhere"))),
        ("no issuer", signed_with("iss", Value::Null)),
        ("another audience", signed_with("aud", json!("elsewhere"))),
        ("other audiences", signed_with("aud", json!(["elsewhere", "hongyan2"]))),
        ("no audience", signed_with("aud", Value::Null)),
        ("no end", signed_with("exp", Value::Null)),
        ("an end that is a text", signed_with("exp", json!("9999999999"))),
        ("a fractional end", signed_with("exp", json!(unix_s() as f64 + 600.5))),
        ("a negative end", signed_with("exp", json!(-1))),
        ("no subject", signed_with("sub", Value::Null)),
        ("a subject that is no uid", signed_with("sub", json!("alice\nbob"))),
        ("a subject that is a list", signed_with("sub", json!(["alice", "bob"]))),
        ("another device", signed_with("device", json!("tablet"))),
        ("deep", sign(&good_header(), &nested(400), &SECRET)),
    ]
}

/// A token that the server has minted, put together otherwise.
fn not_whole(minted: &str) -> Vec<Forged> {
    let [header, claims, signature] = minted.split('.').collect::<Vec<_>>()[..] else { panic!("{minted}") };
    vec![
        ("claims exchanged", format!("{header}.{}.{signature}", encode(&good_claims()))),
        ("header exchanged", format!("{}.{claims}.{signature}", encode(&good_header()))),
        ("no signature", format!("{header}.{claims}.")),
        ("two parts", format!("{header}.{claims}")),
        ("four parts", format!("{minted}.{signature}")),
        ("padded", format!("{minted}=")),
        ("a space behind", format!("{minted} ")),
        ("empty", String::new()),
        ("points", "...".into()),
        ("long", "A".repeat(3900)),
    ]
}

#[test]
fn nothing_forged_is_believed() {
    let keys = tempfile::tempdir().unwrap();
    std::fs::write(keys.path().join("app.secret"), SECRET).unwrap();
    let server = TestServer::with(&format!(
        "{OPEN}[[auth.keys]]\nkid = \"app\"\nalg = \"HS256\"\nsecret_file = \"{}/app.secret\"\n",
        keys.path().display()
    ));
    let minted = server.token("alice");
    let header = BASE64_URL_SAFE_NO_PAD.decode(minted.split('.').next().unwrap()).unwrap();
    let own_kid = &serde_json::from_slice::<Value>(&header).unwrap()["kid"];
    let over = ("over", signed_with("exp", json!(unix_s() - 60)));
    let not_begun = ("not begun", signed_with("nbf", json!(unix_s() + 600)));
    let forged = [not_by_the_key(own_kid), not_for_us(), not_whole(&minted)].concat();
    let refused = forged.into_iter().map(|token| (token, CloseCode::BAD_CREDENTIALS));
    let expired = [over, not_begun].map(|token| (token, CloseCode::TOKEN_EXPIRED));
    for (number, ((what, token), code)) in refused.chain(expired).enumerate() {
        let mut client = open_from(&server, number as u32);
        client.send(Frame::Hello(hello("alice", "phone", &token)));
        match client.expect() {
            Frame::Reject(reject) => assert_eq!(CloseCode(reject.code), code, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
    }
    // What is varied here is good in itself.
    let good = sign(&good_header(), &good_claims(), &SECRET);
    for token in [minted, good, signed_with("aud", json!(["elsewhere", "hongyan"]))] {
        WireClient::login(&server, hello("alice", "phone", &token)).0.ping();
    }
    server.assert_healthy();
}

/// Lists in lists, in claims that are otherwise good.
fn nested(depth: usize) -> Value {
    let mut value = json!([]);
    (0..depth).for_each(|_| value = json!([value]));
    claims_with("aud", value)
}

/// Once a device has shown that it has the next token, the one before is worth nothing; and of two who come with the
/// same token at most one stays.
#[test]
fn resume_tokens_are_used_once() {
    let server = TestServer::with(OPEN);
    let (mut alice, welcome) = WireClient::login_as(&server, "alice", "phone");
    alice.send_message(1, "alice", b"the token has arrived");
    alice.expect_send_ack(1);
    let resumed = |token: &[u8]| {
        let mut client = WireClient::open(server.address());
        client.send(resume(token, 1));
        match client.expect() {
            Frame::Resumed(resumed) => Ok((client, resumed.resume_token.to_vec())),
            Frame::Reject(reject) => Err(CloseCode(reject.code)),
            other => panic!("{other:?}"),
        }
    };
    let first = welcome.resume_token.to_vec();
    let (mut owner, second) = resumed(&first).unwrap();
    owner.send_message(2, "alice", b"the next one too");
    owner.expect_send_ack(2);
    assert_eq!(resumed(&first).err(), Some(CloseCode::RESUME_REFUSED), "replayed");
    // A thief was quicker: the owner comes with the same token, and one connection is left.
    let (thief, third) = resumed(&second).unwrap();
    assert!(resumed(&second).is_ok(), "the thief has not shown to have stored the next one");
    let mut left = [owner, thief].into_iter().map(|mut client| {
        match client.skip(|frame| matches!(frame, Frame::Push(_) | Frame::Credit(_))) {
            Frame::Close(close) => CloseCode(close.code),
            other => panic!("{other:?}"),
        }
    });
    assert!(left.all(|code| code == CloseCode::REPLACED));
    for altered in 0..third.len() {
        let mut token = third.clone();
        token[altered] ^= 1;
        assert!(resumed(&token).is_err(), "byte {altered}");
    }
    server.assert_healthy();
}

/// What is told about a failed login is told by its code alone; what was sent with it is not done.
#[test]
fn nothing_of_a_refused_login_takes_effect() {
    let server = TestServer::with(OPEN);
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    for number in 0..20 {
        let mut client = open_from(&server, number);
        let mut out = hongyan_proto::BytesMut::new();
        Frame::Hello(hello("alice", "phone", "no.such.token")).encode(&mut out);
        message(1, "bob", b"without a login").encode(&mut out);
        Frame::Signal(wire::Signal { to: "bob".into(), ..Default::default() }).encode(&mut out);
        client.send_bytes(&out);
        client.expect_reject(CloseCode::BAD_CREDENTIALS);
    }
    assert_eq!(bob.ping().head, 0);
    assert_eq!(server.metric("hongyan_messages_received_total"), 0);
}
