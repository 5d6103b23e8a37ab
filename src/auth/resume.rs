//! Resume tokens: how a device comes back without its access token or password.
//!
//! A token is single-use and rotates: each login or resume offers the next one. The server keeps two slots per device,
//! because it cannot know whether the offer arrived:
//!
//! ```text
//!                 offer(h)                       accept(offered) or confirm()       
//!  {confirmed, -} ────────▶ {confirmed, offered} ──────────────────────────────────▶ {offered, -}
//!                             ▲            │
//!                             └────────────┘ accept(confirmed), then offer(h'): replaces the offer that got lost
//! ```
//!
//! Two rules keep every crash harmless: the server stores an offer before it sends it, and the client stores the token
//! before it acts as resumed. Storing and sending are the caller's work; nothing here does I/O.

use hongyan_proto::canary;
use ring::digest;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroize;

const SECRET_LEN: usize = 32;
const HASH_LEN: usize = 32;

/// The longest token on the wire in bytes: two varints of 10 and the secret.
pub const MAX_RESUME_TOKEN_LEN: usize = 2 * 10 + SECRET_LEN;

/// A resume token in the clear, for one device of one user. Opaque to the client. It has no `Debug`: it is a secret.
///
/// On the wire: `varint user_no ‖ varint device_no ‖ 32 random bytes`, with varints as in protobuf.
pub struct ResumeToken {
    user_no: u64,
    device_no: u64,
    secret: [u8; SECRET_LEN],
}

impl Drop for ResumeToken {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl ResumeToken {
    /// A new token; `secret` must come from a cryptographic source of randomness and be used only here.
    pub fn new(user_no: u64, device_no: u64, secret: [u8; SECRET_LEN]) -> Self {
        Self { user_no, device_no, secret }
    }

    /// The user's internal number. It says whose slots to look at, and proves nothing.
    pub fn user_no(&self) -> u64 {
        self.user_no
    }

    /// The device's internal number. It says whose slots to look at, and proves nothing.
    pub fn device_no(&self) -> u64 {
        self.device_no
    }

    /// The random part, for a token that stays the same.
    pub fn secret(&self) -> [u8; SECRET_LEN] {
        self.secret
    }

    /// What the server keeps instead of the token.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.secret)
    }

    /// The bytes for the client.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MAX_RESUME_TOKEN_LEN);
        put_varint(&mut bytes, self.user_no);
        put_varint(&mut bytes, self.device_no);
        bytes.extend_from_slice(&self.secret);
        bytes
    }

    /// Reads what a client presents. None if it is not exactly what [`Self::encode`] makes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (user_no, rest) = take_varint(bytes)?;
        let (device_no, rest) = take_varint(rest)?;
        Some(Self { user_no, device_no, secret: rest.try_into().ok()? })
    }
}

/// The SHA-256 of a resume token's random part. The part has 256 bits, so it needs no salt and no slow hash.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; HASH_LEN]);

impl TokenHash {
    /// Of a token with this random part, whosever it is.
    pub fn of(secret: &[u8; SECRET_LEN]) -> Self {
        let hash = digest::digest(&digest::SHA256, secret);
        Self(hash.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    pub fn from_bytes(bytes: [u8; HASH_LEN]) -> Self {
        Self(bytes)
    }

    pub fn to_bytes(self) -> [u8; HASH_LEN] {
        self.0
    }

    fn is(&self, slot: Option<&TokenHash>) -> Choice {
        slot.map_or(Choice::from(0), |hash| hash.0.ct_eq(&self.0))
    }
}

/// Which slot a presented token was in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The last one known to have arrived. The offer after it got lost, or its answer did.
    Confirmed,
    /// The newest. It is confirmed now, and the one before it is dropped.
    Offered,
}

/// The resume tokens of one device that are valid now: none, one or two.
#[derive(Clone, Copy, Default)]
pub struct Slots {
    confirmed: Option<TokenHash>,
    offered: Option<TokenHash>,
}

impl Slots {
    /// Puts a new token on offer, in place of an older offer. Store the slots before the token is sent.
    pub fn offer(&mut self, new: TokenHash) {
        self.offered = Some(new);
    }

    /// Takes a presented token. None means that it is not valid (any more): the login falls through to a fresh one.
    pub fn accept(&mut self, presented: &TokenHash) -> Option<Which> {
        let (confirmed, offered) = (presented.is(self.confirmed.as_ref()), presented.is(self.offered.as_ref()));
        if bool::from(offered) {
            if !canary::is("token-accepted-twice") {
                self.confirmed = self.offered.take();
            }
            return Some(Which::Offered);
        }
        bool::from(confirmed).then_some(Which::Confirmed)
    }

    /// The client has proved that it stored the token on offer, by acting on the connection that brought it: the older
    /// one is dropped. Only for the device's newest connection, for an older one was offered another. False: nothing
    /// was on offer any more.
    pub fn confirm(&mut self) -> bool {
        let offered = self.offered.take();
        self.confirmed = offered.or(self.confirmed);
        offered.is_some()
    }

    /// For the store: one byte that says which slots are filled (bit 0 confirmed, bit 1 offered), then their hashes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.confirmed.is_some()) | u8::from(self.offered.is_some()) << 1];
        for hash in [self.confirmed, self.offered].iter().flatten() {
            bytes.extend_from_slice(&hash.0);
        }
        bytes
    }

    /// Reads what [`Self::encode`] made; None if it is anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&filled, rest) = bytes.split_first()?;
        let (confirmed, rest) = take_slot(filled & 1 != 0, rest)?;
        let (offered, rest) = take_slot(filled & 2 != 0, rest)?;
        (filled <= 3 && rest.is_empty()).then_some(Self { confirmed, offered })
    }
}

fn take_slot(is_filled: bool, bytes: &[u8]) -> Option<(Option<TokenHash>, &[u8])> {
    if !is_filled {
        return Some((None, bytes));
    }
    let (hash, rest) = bytes.split_first_chunk::<HASH_LEN>()?;
    Some((Some(TokenHash(*hash)), rest))
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// The shortest form only, so that one token has one spelling.
fn take_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if index == 9 && bits > 1 {
            return None;
        }
        value |= bits << (7 * index);
        if byte & 0x80 == 0 {
            let is_shortest = index == 0 || bits != 0;
            return is_shortest.then_some((value, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests;
