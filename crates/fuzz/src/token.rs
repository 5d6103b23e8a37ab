//! What a stranger may present: access tokens and resume tokens.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hongyan::auth::{
    keys::{KeyRing, SigningKey, VerifyKey},
    resume::{ResumeToken, Slots},
    token::{TokenPolicy, Tokens},
};
use hongyan_proto::{DeviceName, Uid};
use ring::{hmac, rand::SystemRandom};

use crate::{grammar, net::Rng};

const SECRET: &[u8] = b"a secret that every outsider has, for the fuzzer only";
/// Seconds since 1970.
pub const NOW: u64 = 1_800_000_000;

pub fn run(data: &[u8]) {
    let Some((&how, input)) = data.split_first() else { return };
    match how % 4 {
        0 => drop(tokens().verify(input, NOW)),
        1 => signed(input),
        2 => altered(input),
        _ => resume(input),
    }
}

/// Knows one HS256 key that the input is signed with, and an Ed25519 key of its own.
pub fn tokens() -> &'static Arc<Tokens> {
    static TOKENS: OnceLock<Arc<Tokens>> = OnceLock::new();
    TOKENS.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let own = SigningKey::load_or_create(&folder.path().join("key"), &SystemRandom::new()).unwrap();
        let shared = VerifyKey::hs256(Some("app".into()), SECRET).unwrap();
        let keys = KeyRing::new(own, vec![shared]).unwrap();
        let leeway = Duration::from_secs(30);
        let policy = TokenPolicy { issuer: "hongyan".into(), audience: "hongyan".into(), leeway };
        Arc::new(Tokens::new(keys, policy))
    })
}

/// A header and claims of any content, up to a line end and behind it, with a good signature.
fn signed(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let (header, claims) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if let Ok(claims) = tokens().verify(&sign(header, claims), NOW) {
        assert!(Uid::is_valid(&claims.uid) && claims.device.is_none_or(|device| DeviceName::is_valid(&device)));
        assert!(claims.expires_at.saturating_add(30) > NOW, "expired");
    }
}

fn sign(header: &[u8], claims: &[u8]) -> Vec<u8> {
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag)).into_bytes()
}

/// A good token with some bytes exchanged: each input byte pair is a place and what is added there.
fn altered(input: &[u8]) {
    static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
    let good = GOOD.get_or_init(|| tokens().mint("alice", Duration::from_secs(3600), None, 7, NOW).unwrap().into());
    let mut token = good.clone();
    for change in input.chunks_exact(2) {
        let at = usize::from(change[0]) % token.len();
        token[at] = token[at].wrapping_add(change[1]);
    }
    assert_eq!(tokens().verify(&token, NOW).is_ok(), token == *good, "an altered token is believed");
}

/// What is read is written the same: one token, one spelling.
fn resume(input: &[u8]) {
    if let Some(token) = ResumeToken::decode(input) {
        assert_eq!(token.encode(), input);
    }
    if let Some(mut slots) = Slots::decode(input) {
        assert_eq!(slots.encode(), input);
        if let Some(token) = ResumeToken::decode(input) {
            slots.offer(token.hash());
            assert!(slots.accept(&token.hash()).is_some());
        }
    }
}

pub fn generate(rng: &mut Rng) -> Vec<u8> {
    let how = rng.below(4) as u8;
    let mut input = match how {
        0 => sign(br#"{"alg":"HS256","kid":"app"}"#, br#"{"sub":"alice"}"#),
        1 => {
            let alg = ["HS256", "EdDSA", "none", "HS512"][rng.below(4) as usize];
            let exp = NOW.wrapping_add(rng.below(200)).wrapping_sub(100);
            format!(
                "{{\"alg\":\"{alg}\",\"kid\":\"app\"}}\n{{\"iss\":\"hongyan\",\"aud\":[\"hongyan\"],\"sub\":\"alice\",\
                 \"exp\":{exp},\"device\":\"phone\",\"nbf\":{}}}",
                rng.below(2 * NOW)
            )
            .into_bytes()
        }
        2 => grammar::noise(rng),
        _ => ResumeToken::new(rng.next() >> rng.below(64), rng.below(300), [rng.next() as u8; 32]).encode(),
    };
    (0..rng.below(3)).for_each(|_| grammar::mutate(&mut input, rng));
    [&[how], &input[..]].concat()
}
