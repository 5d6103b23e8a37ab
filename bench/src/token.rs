//! The users of a run and their tokens: JSON Web Tokens (HS256) under a secret that the server's `auth.keys` names too.

use std::{fs, path::Path};

use anyhow::{Context, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::json;

/// Shorter secrets are refused by the server.
const MIN_SECRET_LEN: usize = 32;
/// How long a token lives, in seconds.
const LIFETIME_S: u64 = 24 * 3600;

/// Mints tokens. It has no `Debug`: it holds a secret.
pub struct Mint {
    key: hmac::Key,
    header: String,
    issuer: String,
    audience: String,
}

impl Mint {
    /// Tokens of the key `kid`, whose secret is a file without the white space at its end, as the server reads it.
    pub fn from_file(secret: &Path, kid: &str, issuer: &str, audience: &str) -> anyhow::Result<Self> {
        let bytes = fs::read(secret).with_context(|| format!("cannot read the secret {}", secret.display()))?;
        let bytes = bytes.trim_ascii_end();
        let len = bytes.len();
        ensure!(
            len >= MIN_SECRET_LEN,
            "the secret {} has {len} bytes, it needs {MIN_SECRET_LEN}: make one with openssl rand -hex 32",
            secret.display()
        );
        let header = URL_SAFE_NO_PAD.encode(json!({ "alg": "HS256", "kid": kid }).to_string());
        let key = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        Ok(Self { key, header, issuer: issuer.to_owned(), audience: audience.to_owned() })
    }

    /// A token for `uid`, issued at `now_s` (seconds since 1970).
    pub fn mint(&self, uid: &str, now_s: u64) -> String {
        let claims = json!({
            "iss": self.issuer, "aud": self.audience, "sub": uid, "iat": now_s, "exp": now_s + LIFETIME_S,
        });
        let signed = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = hmac::sign(&self.key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Seeds that are drawn are below this, so that the user ids stay as short as people's are.
pub const DRAWN_SEEDS: u64 = 36 * 36 * 36 * 36;

/// The user ids of a run: the seed in base 36, a dash, the number of the user. They depend on the seed, so that runs over
/// one store do not meet each other's messages.
pub fn user_ids(seed: u64, count: u32) -> Vec<String> {
    let mut digits = Vec::new();
    let mut rest = seed;
    while digits.is_empty() || rest > 0 {
        digits.push(char::from_digit((rest % 36) as u32, 36).expect("a remainder below the base is a digit"));
        rest /= 36;
    }
    let prefix: String = digits.into_iter().rev().collect();
    (0..count).map(|number| format!("{prefix}-{number}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_three_parts_and_the_last_signs_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        fs::write(&file, format!("{}\n", "s".repeat(32))).unwrap();
        let token = Mint::from_file(&file, "bench", "hongyan", "im").unwrap().mint("alice", 1000);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[b's'; 32]);
        hmac::verify(&key, signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let json = |part: &str| serde_json::from_slice::<serde_json::Value>(&URL_SAFE_NO_PAD.decode(part).unwrap());
        assert_eq!(json(header).unwrap(), json!({ "alg": "HS256", "kid": "bench" }));
        let claims = json(claims).unwrap();
        assert_eq!(claims["sub"], "alice");
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!("hongyan"), &json!("im")));
        assert_eq!(claims["exp"], 1000 + LIFETIME_S);
    }

    #[test]
    fn a_short_secret_is_refused_with_advice() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        fs::write(&file, "short").unwrap();
        let error = Mint::from_file(&file, "bench", "a", "b").err().unwrap().to_string();
        assert!(error.contains("has 5 bytes") && error.contains("openssl rand"), "{error}");
    }

    #[test]
    fn user_ids_are_the_seed_and_a_number() {
        assert_eq!(user_ids(0, 2), ["0-0", "0-1"]);
        assert_eq!(user_ids(DRAWN_SEEDS - 1, 1), ["zzzz-0"]);
    }
}
