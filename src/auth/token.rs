//! Access tokens: JSON Web Tokens minted here, or by the app's own backend with a key that the configuration names.
//!
//! A token proves who someone is at the moment of the login. Whether that user exists, is enabled, and has not been
//! revoked since ([`Claims::epoch`]) is the caller's question to the store. The clock is the caller's too.

use std::time::Duration;

use hongyan_proto::id::MAX_ID_LEN;
use hongyan_proto::{DeviceName, Uid};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};

use super::keys::KeyRing;

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_LEN: usize = 4096;

/// Why a token was refused. No message contains the token or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token has {len} bytes, at most {MAX_TOKEN_LEN} are taken")]
    TooLong { len: usize },
    #[error(
        "not a JSON Web Token signed with HS256 or EdDSA, or a claim has the wrong type (exp and nbf are whole seconds)"
    )]
    Malformed,
    #[error("no configured key fits the token's algorithm and key id")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    BadSignature,
    #[error("the token has no exp claim: tokens must expire")]
    NoExpiry,
    #[error("the token expired {seconds} s ago")]
    Expired { seconds: u64 },
    #[error("the token is valid only in {seconds} s: compare the clocks of this server and of the token's issuer")]
    NotYetValid { seconds: u64 },
    #[error("the token's iss claim is missing or is not {expected:?}")]
    WrongIssuer { expected: String },
    #[error("the token's aud claim is missing or does not have {expected:?}")]
    WrongAudience { expected: String },
    #[error("the token's sub claim is missing or no user id: 1 to {MAX_ID_LEN} characters out of A-Z a-z 0-9 . _ @ -")]
    BadSubject,
    #[error("the token's device claim is no device id: 1 to {MAX_ID_LEN} characters out of A-Z a-z 0-9 . _ @ -")]
    BadDevice,
}

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The user (claim `sub`).
    pub uid: String,
    /// The only device that may use the token (claim `device`); none means any.
    pub device: Option<String>,
    /// The user's revocation epoch when the token was minted (claim `ep`); a backend's tokens need not have one.
    pub epoch: Option<u64>,
    /// When it was issued, in Unix seconds (claim `iat`); a backend's tokens need not say so.
    pub issued_at: Option<u64>,
    /// When it expires, in Unix seconds, without the leeway (claim `exp`).
    pub expires_at: u64,
}

/// What every token must name, and how far clocks may disagree.
pub struct TokenPolicy {
    /// The `iss` claim, exactly.
    pub issuer: String,
    /// The `aud` claim, or one of its values.
    pub audience: String,
    /// Whole seconds of it are added after `exp` and before `nbf`; 30 s is plenty.
    pub leeway: Duration,
}

/// Mints and verifies tokens.
pub struct Tokens {
    keys: KeyRing,
    policy: TokenPolicy,
}

#[derive(Serialize)]
struct MintedClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    ep: u64,
}

#[derive(Deserialize)]
struct RawClaims {
    iss: Option<String>,
    aud: Option<Audience>,
    sub: Option<String>,
    exp: Option<u64>,
    nbf: Option<u64>,
    iat: Option<u64>,
    device: Option<String>,
    ep: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn has(&self, wanted: &str) -> bool {
        match self {
            Self::One(one) => one == wanted,
            Self::Many(many) => many.iter().any(|one| one == wanted),
        }
    }
}

impl Tokens {
    pub fn new(keys: KeyRing, policy: TokenPolicy) -> Self {
        Self { keys, policy }
    }

    /// Signs a token for `uid` with the own key, valid for `ttl` from `now` (Unix seconds), for one device or for any.
    ///
    /// # Errors
    /// [`TokenError::BadSubject`] and [`TokenError::BadDevice`], for what [`Self::verify`] would refuse.
    pub fn mint(
        &self,
        uid: &str,
        ttl: Duration,
        device: Option<&str>,
        revocation_epoch: u64,
        now: u64,
    ) -> Result<String, TokenError> {
        check_ids(uid, device)?;
        let claims = MintedClaims {
            iss: &self.policy.issuer,
            aud: &self.policy.audience,
            sub: uid,
            iat: now,
            exp: now.saturating_add(ttl.as_secs()),
            device,
            ep: revocation_epoch,
        };
        let own = self.keys.own();
        let header = Header { kid: Some(own.kid().to_owned()), ..Header::new(Algorithm::EdDSA) };
        Ok(encode(&header, &claims, own.private())
            .expect("a loaded Ed25519 key signs, and these claims are plain JSON"))
    }

    /// Checks a token as it came from a peer, at `now` in Unix seconds.
    pub fn verify(&self, token: &[u8], now: u64) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN_LEN {
            return Err(TokenError::TooLong { len: token.len() });
        }
        let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
        // An extension that the header calls critical must be understood (RFC 7515 section 4.1.11). None is.
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let raw = self.signed_claims(token, &header)?;
        self.check(raw, now)
    }

    fn signed_claims(&self, token: &[u8], header: &Header) -> Result<RawClaims, TokenError> {
        let validation = signature_only(header.alg);
        let mut result = Err(TokenError::UnknownKey);
        for key in self.keys.candidates(header.alg, header.kid.as_deref()) {
            match decode::<RawClaims>(token, key.key(), &validation) {
                Ok(data) => return Ok(data.claims),
                Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => {
                    result = Err(TokenError::BadSignature);
                }
                Err(_) => return Err(TokenError::Malformed),
            }
        }
        result
    }

    fn check(&self, raw: RawClaims, now: u64) -> Result<Claims, TokenError> {
        if raw.iss.as_deref() != Some(self.policy.issuer.as_str()) {
            return Err(TokenError::WrongIssuer { expected: self.policy.issuer.clone() });
        }
        if !raw.aud.is_some_and(|audience| audience.has(&self.policy.audience)) {
            return Err(TokenError::WrongAudience { expected: self.policy.audience.clone() });
        }
        let leeway = self.policy.leeway.as_secs();
        let expires_at = raw.exp.ok_or(TokenError::NoExpiry)?;
        if now >= expires_at.saturating_add(leeway) {
            return Err(TokenError::Expired { seconds: now - expires_at });
        }
        if let Some(not_before) = raw.nbf.filter(|not_before| *not_before > now.saturating_add(leeway)) {
            return Err(TokenError::NotYetValid { seconds: not_before - now });
        }
        let uid = raw.sub.ok_or(TokenError::BadSubject)?;
        check_ids(&uid, raw.device.as_deref())?;
        Ok(Claims { uid, device: raw.device, epoch: raw.ep, issued_at: raw.iat, expires_at })
    }
}

/// The library checks only the signature: its own checks of the claims read the system's clock and take a fractional
/// `exp`.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn check_ids(uid: &str, device: Option<&str>) -> Result<(), TokenError> {
    if !Uid::is_valid(uid) {
        return Err(TokenError::BadSubject);
    }
    if device.is_some_and(|device| !DeviceName::is_valid(device)) {
        return Err(TokenError::BadDevice);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
