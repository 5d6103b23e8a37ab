//! Good tokens, and the table of attacks.

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use rand::{Rng, SeedableRng};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use ring::{hmac, signature};
use serde_json::{Value, json};

use super::*;
use crate::auth::keys::{SigningKey, VerifyKey};

const NOW: u64 = 1_800_000_000;
const HOUR: Duration = Duration::from_secs(3600);
const HS_SECRET: &[u8] = b"a secret of more than 32 bytes, for tests";

/// A server with its own key, a backend's Ed25519 key and a backend's HS256 secret, both with key ids.
struct Rig {
    tokens: Tokens,
    own_public: Vec<u8>,
    backend: Ed25519KeyPair,
}

fn rig() -> Rig {
    let random = SystemRandom::new();
    let dir = tempfile::tempdir().unwrap();
    let own = SigningKey::load_or_create(&dir.path().join("key"), &random).unwrap();
    let own_public = own_public_key(&dir.path().join("key"));
    let backend = Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref()).unwrap();
    let public = URL_SAFE.encode(backend.public_key().as_ref());
    let keys = vec![
        VerifyKey::ed25519(Some("ed".to_owned()), public.as_bytes()).unwrap(),
        VerifyKey::hs256(Some("hs".to_owned()), HS_SECRET).unwrap(),
    ];
    let policy = TokenPolicy { issuer: "hongyan".into(), audience: "chat".into(), leeway: Duration::from_secs(30) };
    Rig { tokens: Tokens::new(KeyRing::new(own, keys).unwrap(), policy), own_public, backend }
}

fn own_public_key(path: &std::path::Path) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;
    let der = rustls::pki_types::PrivatePkcs8KeyDer::from_pem_file(path).unwrap();
    let pair = signature::Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    pair.public_key().as_ref().to_vec()
}

fn claims() -> Value {
    json!({"iss": "hongyan", "aud": "chat", "sub": "alice", "exp": NOW + 3600})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn signing_input(header: &str, claims: &str) -> String {
    format!("{}.{}", b64(header), b64(claims))
}

fn hs(header: &str, claims: &str, secret: &[u8]) -> String {
    let input = signing_input(header, claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
    format!("{input}.{}", b64(tag))
}

impl Rig {
    fn ed(&self, header: &str, claims: &str) -> String {
        let input = signing_input(header, claims);
        format!("{input}.{}", b64(self.backend.sign(input.as_bytes())))
    }

    fn good(&self, claims: &Value) -> String {
        self.ed(r#"{"alg":"EdDSA","kid":"ed"}"#, &claims.to_string())
    }

    fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        self.tokens.verify(token.as_bytes(), NOW)
    }

    #[track_caller]
    fn refuses(&self, token: &str, expected: TokenError) {
        let error = self.verify(token).expect_err("must be refused");
        assert_eq!(error, expected);
        for part in token.split('.').filter(|part| part.len() > 8) {
            assert!(!error.to_string().contains(part), "the token is in the message: {error}");
        }
    }
}

#[test]
fn a_minted_token_says_what_was_put_in() {
    let rig = rig();
    let token = rig.tokens.mint("alice@example.com", HOUR, Some("phone-1"), 7, NOW).unwrap();
    let expected = Claims {
        uid: "alice@example.com".into(),
        device: Some("phone-1".into()),
        epoch: Some(7),
        issued_at: Some(NOW),
        expires_at: NOW + 3600,
    };
    assert_eq!(rig.verify(&token), Ok(expected));
    let any_device = rig.verify(&rig.tokens.mint("bob", HOUR, None, 0, NOW).unwrap()).unwrap();
    assert_eq!((any_device.device, any_device.epoch), (None, Some(0)));
}

#[test]
fn what_verify_would_refuse_is_not_minted() {
    let rig = rig();
    let long = "x".repeat(65);
    for uid in ["", "with space", "ünicode", "a/b", "a\n", "a\0", &long] {
        assert_eq!(rig.tokens.mint(uid, HOUR, None, 0, NOW), Err(TokenError::BadSubject), "{uid:?}");
        assert_eq!(rig.tokens.mint("alice", HOUR, Some(uid), 0, NOW), Err(TokenError::BadDevice), "{uid:?}");
    }
}

#[test]
fn backend_tokens_are_taken_with_and_without_a_key_id() {
    let rig = rig();
    let text = claims().to_string();
    let tokens = [
        rig.good(&claims()),
        rig.ed(r#"{"alg":"EdDSA"}"#, &text),
        rig.ed(r#"{"typ":"JWT","alg":"EdDSA","x":1}"#, &text),
        hs(r#"{"alg":"HS256","kid":"hs"}"#, &text, HS_SECRET),
        hs(r#"{"alg":"HS256"}"#, &text, HS_SECRET),
        rig.good(&with("aud", json!(["other", "chat"]))),
        rig.good(&with("nbf", json!(NOW))),
        rig.good(&with("unknown", json!({"deep": [1, 2]}))),
    ];
    for token in tokens {
        let claims = rig.verify(&token).unwrap_or_else(|error| panic!("{error}: {token}"));
        assert_eq!((claims.uid.as_str(), claims.epoch), ("alice", None));
    }
}

#[test]
fn time_is_checked_to_the_second() {
    let rig = rig();
    let token = rig.good(&with("nbf", json!(NOW)));
    let at = |now: u64| rig.tokens.verify(token.as_bytes(), now).map(|claims| claims.expires_at);
    let exp = NOW + 3600;
    assert_eq!(at(NOW - 31), Err(TokenError::NotYetValid { seconds: 31 }));
    assert_eq!(at(NOW - 30), Ok(exp));
    assert_eq!(at(exp + 29), Ok(exp));
    assert_eq!(at(exp + 30), Err(TokenError::Expired { seconds: 30 }));
    assert_eq!(at(0), Err(TokenError::NotYetValid { seconds: NOW }));
    assert!(matches!(at(u64::MAX), Err(TokenError::Expired { .. })));
    let forever = rig.good(&with("exp", json!(u64::MAX)));
    assert!(rig.tokens.verify(forever.as_bytes(), u64::MAX - 1).is_ok());
}

#[test]
fn wrong_claims_are_refused_each_with_its_reason() {
    let rig = rig();
    let issuer = TokenError::WrongIssuer { expected: "hongyan".into() };
    let audience = TokenError::WrongAudience { expected: "chat".into() };
    let table = [
        (with("iss", json!("other")), issuer.clone()),
        (with("iss", json!("hongyan ")), issuer.clone()),
        (without("iss"), issuer),
        (with("iss", json!(["hongyan"])), TokenError::Malformed),
        (with("aud", json!("other")), audience.clone()),
        (with("aud", json!([])), audience.clone()),
        (with("aud", json!(["Chat", "chat2"])), audience.clone()),
        (without("aud"), audience),
        (with("aud", json!({"chat": 1})), TokenError::Malformed),
        (without("exp"), TokenError::NoExpiry),
        (with("exp", json!(null)), TokenError::NoExpiry),
        (with("exp", json!(NOW - 30)), TokenError::Expired { seconds: 30 }),
        (with("exp", json!(0)), TokenError::Expired { seconds: NOW }),
        (with("exp", json!(NOW as f64 + 3600.5)), TokenError::Malformed),
        (with("exp", json!(1e300)), TokenError::Malformed),
        (with("exp", json!((NOW + 3600).to_string())), TokenError::Malformed),
        (with("exp", json!(-1)), TokenError::Malformed),
        (with("exp", json!(true)), TokenError::Malformed),
        (with("nbf", json!(NOW + 31)), TokenError::NotYetValid { seconds: 31 }),
        (with("nbf", json!(u64::MAX)), TokenError::NotYetValid { seconds: u64::MAX - NOW }),
        (with("nbf", json!("soon")), TokenError::Malformed),
        (without("sub"), TokenError::BadSubject),
        (with("sub", json!("")), TokenError::BadSubject),
        (with("sub", json!("a b")), TokenError::BadSubject),
        (with("sub", json!("x".repeat(65))), TokenError::BadSubject),
        (with("sub", json!(7)), TokenError::Malformed),
        (with("device", json!("")), TokenError::BadDevice),
        (with("ep", json!(-1)), TokenError::Malformed),
        (with("ep", json!("0")), TokenError::Malformed),
        (json!([]), TokenError::Malformed),
        (json!("alice"), TokenError::Malformed),
        (json!(null), TokenError::Malformed),
    ];
    for (claims, expected) in table {
        eprintln!("{claims}");
        rig.refuses(&rig.good(&claims), expected);
    }
}

#[test]
fn duplicate_claims_and_headers_are_refused() {
    let rig = rig();
    let text = claims().to_string();
    for duplicate in [r#""sub":"bob","#, r#""s\u0075b":"bob","#, r#""exp":9999999999,"#, r#""aud":"chat","#] {
        let claims = text.replacen('{', &format!("{{{duplicate}"), 1);
        rig.refuses(&rig.ed(r#"{"alg":"EdDSA"}"#, &claims), TokenError::Malformed);
    }
    rig.refuses(&rig.ed(r#"{"alg":"EdDSA","alg":"EdDSA"}"#, &text), TokenError::Malformed);
    rig.refuses(&rig.ed(r#"{"alg":"EdDSA","kid":"ed","kid":"hs"}"#, &text), TokenError::Malformed);
    rig.refuses(&rig.ed(r#"{"alg":"EdDSA","crit":["b64"],"b64":false}"#, &text), TokenError::Malformed);
}

#[test]
fn no_algorithm_but_the_keys_own_is_taken() {
    let rig = rig();
    let text = claims().to_string();
    for none in ["none", "None", "NONE", "nOnE", "", "HS1", "hs256", "eddsa"] {
        let header = format!(r#"{{"alg":"{none}"}}"#);
        let input = signing_input(&header, &text);
        rig.refuses(&format!("{input}."), TokenError::Malformed);
        rig.refuses(&rig.ed(&header, &text), TokenError::Malformed);
        rig.refuses(&hs(&header, &text, HS_SECRET), TokenError::Malformed);
    }
    for other in ["HS384", "HS512", "RS256", "PS256", "ES256", "ES384"] {
        rig.refuses(&hs(&format!(r#"{{"alg":"{other}"}}"#), &text, HS_SECRET), TokenError::UnknownKey);
    }
    // The key id of one key with the algorithm of the other.
    rig.refuses(&hs(r#"{"alg":"HS256","kid":"ed"}"#, &text, HS_SECRET), TokenError::UnknownKey);
    rig.refuses(&rig.ed(r#"{"alg":"EdDSA","kid":"hs"}"#, &text), TokenError::UnknownKey);
    rig.refuses(&rig.ed(r#"{"alg":"EdDSA","kid":"nobody"}"#, &text), TokenError::UnknownKey);
    rig.refuses(&rig.ed(r#"{}"#, &text), TokenError::Malformed);
}

#[test]
fn public_key_bytes_are_no_secret() {
    let rig = rig();
    let own_kid = rig.tokens.keys.own().kid().to_owned();
    for public in [rig.backend.public_key().as_ref(), &rig.own_public] {
        for kid in [None, Some("ed"), Some("hs"), Some(own_kid.as_str())] {
            let header = json!({"alg": "HS256", "kid": kid}).to_string();
            for secret in [public.to_vec(), b64(public).into_bytes(), URL_SAFE.encode(public).into_bytes()] {
                let error = rig.verify(&hs(&header, &claims().to_string(), &secret)).unwrap_err();
                assert!(matches!(error, TokenError::BadSignature | TokenError::UnknownKey), "{kid:?}: {error}");
            }
        }
    }
}

#[test]
fn a_key_in_the_token_itself_is_ignored() {
    let rig = rig();
    let thief = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
    let x = b64(thief.public_key());
    let header = json!({"alg": "EdDSA", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": x}}).to_string();
    let input = signing_input(&header, &claims().to_string());
    rig.refuses(&format!("{input}.{}", b64(thief.sign(input.as_bytes()))), TokenError::BadSignature);
}

#[test]
fn swapped_stripped_and_foreign_parts_are_refused() {
    let rig = rig();
    let alice = rig.good(&claims());
    let bob = rig.good(&with("sub", json!("bob")));
    let [a, b]: [Vec<&str>; 2] = [alice.split('.').collect(), bob.split('.').collect()];
    rig.refuses(&format!("{}.{}.{}", a[0], b[1], a[2]), TokenError::BadSignature);
    rig.refuses(&format!("{}.{}.", a[0], a[1]), TokenError::BadSignature);
    rig.refuses(&format!("{}.{}", a[0], a[1]), TokenError::Malformed);
    rig.refuses(&format!("{alice}."), TokenError::Malformed);
    rig.refuses(&format!(".{alice}"), TokenError::Malformed);
    rig.refuses(&format!("{alice}="), TokenError::Malformed);
    rig.refuses(&format!(" {alice}"), TokenError::Malformed);
    rig.refuses(&format!("Bearer {alice}"), TokenError::Malformed);
    // A good token of someone else says who it is for, and no more.
    assert_eq!(rig.verify(&bob).unwrap().uid, "bob");
    // The same claims under another server's key.
    rig.refuses(&self::rig().good(&claims()), TokenError::BadSignature);
    let foreign = self::rig().tokens.mint("alice", HOUR, None, 0, NOW).unwrap();
    rig.refuses(&foreign, TokenError::UnknownKey);
}

#[test]
fn no_byte_can_be_changed_or_cut() {
    let rig = rig();
    let token = rig.tokens.mint("alice", HOUR, Some("phone"), 1, NOW).unwrap().into_bytes();
    for at in 0..token.len() {
        assert!(rig.tokens.verify(&token[..at], NOW).is_err(), "cut at {at}");
        for replacement in [b'A', b'_', b'.', b'=', 0, 0xff, token[at] ^ 1] {
            let mut changed = token.clone();
            changed[at] = replacement;
            assert!(changed == token || rig.tokens.verify(&changed, NOW).is_err(), "{replacement} at {at}");
        }
    }
}

#[test]
fn garbage_of_every_length_is_refused() {
    let rig = rig();
    let mut random = rand::rngs::StdRng::seed_from_u64(1);
    let header = b64(r#"{"alg":"EdDSA"}"#);
    for len in 0..=300 {
        let mut bytes = vec![0; len];
        random.fill_bytes(&mut bytes);
        assert!(rig.tokens.verify(&bytes, NOW).is_err(), "raw, {len}");
        let dots: Vec<u8> = bytes.iter().map(|byte| if byte % 4 == 0 { b'.' } else { b'A' + byte % 26 }).collect();
        assert!(rig.tokens.verify(&dots, NOW).is_err(), "dots, {len}");
        let shaped = format!("{header}.{}.{}", b64(&bytes), b64(&bytes));
        assert!(rig.verify(&shaped).is_err(), "shaped, {len}");
        // Signed by a trusted key, so that the claims' parser is reached.
        let input = format!("{header}.{}", b64(&bytes));
        let signed = format!("{input}.{}", b64(rig.backend.sign(input.as_bytes())));
        assert_eq!(rig.verify(&signed), Err(TokenError::Malformed), "signed, {len}");
    }
}

#[test]
fn huge_and_deep_tokens_are_refused_early() {
    let rig = rig();
    for len in [4097, 65_536, 1_000_000] {
        rig.refuses(&"A".repeat(len), TokenError::TooLong { len });
    }
    rig.refuses(&"A".repeat(4096), TokenError::Malformed);
    let deep = format!("{}{}", "[".repeat(1400), "]".repeat(1400));
    rig.refuses(&rig.ed(&format!(r#"{{"alg":"EdDSA","x":{deep}}}"#), "{}"), TokenError::Malformed);
    rig.refuses(&rig.ed(r#"{"alg":"EdDSA"}"#, &format!(r#"{{"aud":{deep}}}"#)), TokenError::Malformed);
}

#[test]
fn invalid_utf8_is_refused() {
    let rig = rig();
    rig.tokens.verify(b"\xff\xfe.\xff.\xff", NOW).unwrap_err();
    let mut claims = claims().to_string().into_bytes();
    let at = claims.windows(5).position(|window| window == b"alice").unwrap();
    claims[at] = 0xff;
    let input = format!("{}.{}", b64(r#"{"alg":"EdDSA"}"#), b64(&claims));
    let token = format!("{input}.{}", b64(rig.backend.sign(input.as_bytes())));
    rig.refuses(&token, TokenError::Malformed);
}
