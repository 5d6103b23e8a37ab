//! The keys of the tables: big-endian numbers, so that byte order is number order.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    base::number::{ConversationNo, DeviceNo, UserNo},
    store::StoreError,
};

/// Above every key that begins with a number.
pub const END: Bytes = Bytes::from_static(&[0xFF; 17]);

/// No useq, cseq or conversation number is above.
const MAX_DENSE: u64 = 1 << 62;

/// Rows of the table Meta.
pub mod meta {
    /// The layout of the store.
    pub const FORMAT: &str = "format";
    /// Drawn when the store was made or restored: useqs of another epoch mean nothing here.
    pub const LOG_EPOCH: &str = "log_epoch";
    /// The newest user number.
    pub const LAST_USER: &str = "last_user";
    /// The newest conversation number.
    pub const LAST_CONVERSATION: &str = "last_conversation";
    /// For how many hours the server has run, over all starts.
    pub const HOURS: &str = "hours";
    /// Since when the store's files may hold bodies that no row has any more, in ms since 1970; 0: they hold none.
    pub const OLD_BODIES: &str = "old_bodies";
}

pub fn user(user: UserNo) -> Bytes {
    Bytes::copy_from_slice(&user.0.to_be_bytes())
}

/// Above every key that begins with this user.
pub fn after_user(user: UserNo) -> Bytes {
    match user.0.checked_add(1) {
        Some(next) => Bytes::copy_from_slice(&next.to_be_bytes()),
        None => END,
    }
}

pub fn device(user: UserNo, device: DeviceNo) -> Bytes {
    let mut key = BytesMut::with_capacity(8);
    key.put_u32(user.0);
    key.put_u32(device.0);
    key.freeze()
}

pub fn conversation(no: ConversationNo) -> Bytes {
    Bytes::copy_from_slice(&no.0.to_be_bytes())
}

pub fn membership(user: UserNo, no: ConversationNo) -> Bytes {
    user_and(user, no.0)
}

/// The pair of users in either order.
pub fn pair(a: UserNo, b: UserNo) -> Bytes {
    let mut key = BytesMut::with_capacity(8);
    key.put_u32(a.0.min(b.0));
    key.put_u32(a.0.max(b.0));
    key.freeze()
}

/// The run of entries that begins with `useq`.
pub fn run(user: UserNo, useq: u64) -> Bytes {
    user_and(user, useq)
}

pub fn message(no: ConversationNo, cseq: u64) -> Bytes {
    let mut key = BytesMut::with_capacity(16);
    key.put_u64(no.0);
    key.put_u64(cseq);
    key.freeze()
}

pub fn member(no: ConversationNo, user: UserNo) -> Bytes {
    let mut key = BytesMut::with_capacity(12);
    key.put_u64(no.0);
    key.put_u32(user.0);
    key.freeze()
}

/// The contact that `other` is to `user`.
pub fn contact(user: UserNo, other: UserNo) -> Bytes {
    device(user, DeviceNo(other.0))
}

pub fn expiry(time_ms: u64, no: ConversationNo, cseq: u64) -> Bytes {
    let mut key = BytesMut::with_capacity(24);
    key.put_u64(time_ms);
    key.put_u64(no.0);
    key.put_u64(cseq);
    key.freeze()
}

pub fn number(value: u64) -> Bytes {
    Bytes::copy_from_slice(&value.to_be_bytes())
}

fn user_and(user: UserNo, second: u64) -> Bytes {
    let mut key = BytesMut::with_capacity(12);
    key.put_u32(user.0);
    key.put_u64(second);
    key.freeze()
}

pub fn parse_u32(bytes: &[u8]) -> Result<u32, StoreError> {
    bytes.try_into().map(u32::from_be_bytes).map_err(|_| malformed(bytes))
}

pub fn parse_u64(bytes: &[u8]) -> Result<u64, StoreError> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| malformed(bytes))
}

pub fn parse_device(key: &[u8]) -> Result<(UserNo, DeviceNo), StoreError> {
    let (user, device) = key.split_at_checked(4).ok_or_else(|| malformed(key))?;
    Ok((UserNo(parse_u32(user)?), DeviceNo(parse_u32(device)?)))
}

/// The number behind a conversation number.
pub fn parse_second(key: &[u8]) -> Result<u64, StoreError> {
    parse_dense(key, 8)
}

/// The number behind a user number.
pub fn parse_second_of_user(key: &[u8]) -> Result<u64, StoreError> {
    parse_dense(key, 4)
}

/// Dense numbers begin at 1, and no log lives to see the last ones; so whoever counts on from one need not look out.
fn parse_dense(key: &[u8], at: usize) -> Result<u64, StoreError> {
    let number = parse_u64(key.get(at..).ok_or_else(|| malformed(key))?)?;
    if (1..=MAX_DENSE).contains(&number) { Ok(number) } else { Err(malformed(key)) }
}

pub fn parse_member(key: &[u8]) -> Result<UserNo, StoreError> {
    parse_u32(key.get(8..).ok_or_else(|| malformed(key))?).map(UserNo)
}

pub fn parse_expiry(key: &[u8]) -> Result<(u64, ConversationNo, u64), StoreError> {
    let part = |range| parse_u64(key.get(range).ok_or_else(|| malformed(key))?);
    Ok((part(0..8)?, ConversationNo(part(8..16)?), part(16..24)?))
}

fn malformed(bytes: &[u8]) -> StoreError {
    StoreError::Corrupt(format!("{bytes:02x?} is no number or key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_no_log_reaches_are_damage() {
        for (number, is_good) in [(0, false), (1, true), (MAX_DENSE, true), (MAX_DENSE + 1, false), (u64::MAX, false)] {
            assert_eq!(parse_second_of_user(&run(UserNo(1), number)).is_ok(), is_good, "{number}");
            assert_eq!(parse_second(&message(ConversationNo(1), number)).is_ok(), is_good, "{number}");
        }
    }
}
