//! What the committer answers to those who wait.

use std::borrow::Cow;

use hongyan_proto::{CloseCode, Uid, wire};

use super::id::ChannelId;

/// What becomes of a SEND.
pub type Reply = Result<wire::SendAck, wire::SendNack>;

/// The answer to an operation that has an id: one for each, also if its device is gone.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Sent(Reply),
    LoggedIn(Result<Box<Bound>, LoginError>),
    Changed(Result<(), AccountError>),
    /// The device has connected again since: whoever asked speaks for it no more.
    Replaced,
    /// Nothing is committed any more, and whether this was, nobody can say.
    Stopped,
}

/// A device is bound: its channel gets everything after `cursor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    pub uid: Uid,
    pub channel: ChannelId,
    pub head: u64,
    pub cursor: u64,
    pub last_send_no: u64,
    /// The cursor could not be continued.
    pub reset: Option<wire::SyncReset>,
}

/// Why a device was not bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginError {
    Refused {
        code: CloseCode,
        reason: Cow<'static, str>,
    },
    /// The store failed, in its own words.
    Unavailable(String),
}

/// Why an account was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    #[error("user {0} exists already")]
    Exists(Uid),
    #[error("there is no user {0}: add it with `hongyan user add {0}`")]
    Unknown(Uid),
    #[error("there are {0} users, as many as limits.accounts allows: raise it for more")]
    Full(u64),
    #[error("the server is stopping")]
    Stopping,
    /// The store failed, in its own words.
    #[error("{0}")]
    Unavailable(String),
}
