//! What the committer is asked to do, and what it answers.

use std::{fmt, sync::Arc, time::Instant};

use bytes::Bytes;
use hongyan_proto::{
    CloseCode, ConversationId, DeviceName, Uid,
    wire::{self, act::What},
};
use prost::Message as _;
use tokio::sync::oneshot;

use crate::{
    auth::resume::ResumeToken,
    base::number::{ConversationNo, DeviceNo, UserNo},
    live::channel::Channel,
    store::StoreError,
};

/// One change to the log. Changes are made in the order in which they are handed over.
pub enum Op {
    Submit(Submit),
    /// A device has stored everything up to `useq`.
    Acked {
        channel: Arc<Channel>,
        useq: u64,
    },
    Login(Box<Login>),
    /// A connection has ended.
    Left(Arc<Channel>),
    Account(Box<AccountChange>),
    /// A device that has been silent for too long, unless it came back after `last_seen_hour`.
    Forget {
        user: UserNo,
        device: DeviceNo,
        last_seen_hour: u64,
    },
    /// The server has run for another hour.
    Hour,
    /// Bodies that went before this time, in ms since 1970, have left the store's files.
    Purged {
        began_ms: u64,
    },
}

impl Op {
    /// Somebody waits until it is done.
    pub fn is_urgent(&self) -> bool {
        !matches!(self, Op::Acked { .. } | Op::Left(_) | Op::Hour)
    }

    /// Roughly the memory it holds while it waits.
    pub fn weight(&self) -> usize {
        let content = match self {
            Op::Submit(Submit { body: Ok(Addressed { asked: Asked::Message { content, extras }, .. }), .. }) => {
                content.len() + extras.as_ref().map_or(0, |extras| extras.encoded_len())
            }
            Op::Submit(Submit { body: Ok(Addressed { asked: Asked::Act(what), .. }), .. }) => what.encoded_len(),
            _ => 0,
        };
        content + 256
    }
}

/// A SEND. It is answered through the channel it came from, also if it is refused, so that answers keep their order.
pub struct Submit {
    pub channel: Arc<Channel>,
    pub number: SendNumber,
    /// Err: refused for good before it came here; the number is used up all the same.
    pub body: Result<Addressed, Refusal>,
}

/// How a SEND tells itself from the device's other ones.
#[derive(Clone, Copy, Debug)]
pub enum SendNumber {
    /// By the number that the device gave it.
    Given(u64),
    /// By a hashed key, not 0: one that a kept answer has gets that answer again, another the next number.
    Keyed(u64),
    /// Not at all: it gets the next number each time it comes.
    Next,
}

/// A SEND that has the right form.
pub struct Addressed {
    /// Which conversation; whether there is one, the committer finds out.
    pub to: Option<ConversationId>,
    pub asked: Asked,
}

pub enum Asked {
    Message { content: Bytes, extras: Option<Box<wire::Extras>> },
    Act(Box<What>),
}

/// A permanent refusal of a SEND.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: wire::NackCode,
    pub reason: &'static str,
}

/// A login whose credential has been verified, or a resume whose token is still to be looked at.
pub struct Login {
    pub who: Who,
    /// The token for the next resume, as 32 random bytes.
    pub next_secret: [u8; 32],
    /// When the connection was accepted.
    pub accepted_at: Instant,
    pub reply: oneshot::Sender<Result<LoggedIn, LoginError>>,
}

pub enum Who {
    Credential(Credential),
    /// Without a cursor: goes on from the server's record of the device.
    Resume {
        token: ResumeToken,
        cursor: Option<u64>,
    },
}

/// What a HELLO says, after its credential was found good.
pub struct Credential {
    pub uid: Uid,
    /// A token proves that the user exists: the account is made if this is the first time.
    pub by_token: bool,
    /// The revocation epoch in the token, if it has one.
    pub token_epoch: Option<u64>,
    /// When the token was issued, in seconds since 1970, if it says so.
    pub issued_at_s: Option<u64>,
    pub device: DeviceName,
    pub device_epoch: u32,
    pub cursor: Option<u64>,
    pub log_epoch: u64,
    pub last_send_no: u64,
    pub answered_send_no: u64,
    pub from_head: bool,
    pub ephemeral: bool,
}

/// A device is bound: its channel gets everything after `cursor`.
pub struct LoggedIn {
    pub uid: Uid,
    pub channel: Arc<Channel>,
    pub resume_token: Bytes,
    pub head: u64,
    pub cursor: u64,
    pub last_send_no: u64,
    /// The cursor could not be continued.
    pub reset: Option<wire::SyncReset>,
    pub large_groups: Vec<ConversationNo>,
}

#[derive(Debug)]
pub enum LoginError {
    Refused { code: CloseCode, reason: &'static str },
    Store(StoreError),
}

impl From<StoreError> for LoginError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What an operator, or the user, does to an account.
pub struct AccountChange {
    pub uid: Uid,
    pub action: AccountAction,
    pub reply: oneshot::Sender<Result<(), AccountError>>,
}

#[derive(Clone)]
pub enum AccountAction {
    /// With the PHC string of a password, or without: then only tokens log in.
    Add {
        password_hash: Option<String>,
    },
    /// Make the account if there is none.
    Ensure,
    SetPassword {
        password_hash: String,
    },
    Disable,
    Enable,
    /// End all sessions, refuse all tokens minted so far.
    Revoke,
    /// The device's resume tokens are void from now on.
    LogOut(DeviceNo),
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum AccountError {
    #[error("user {0} exists already")]
    Exists(Uid),
    #[error("there is no user {0}: add it with `hongyan user add {0}`")]
    Unknown(Uid),
    #[error("there are {0} users, as many as limits.accounts allows: raise it for more")]
    Full(u64),
    #[error("the server is stopping")]
    Stopping,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl fmt::Debug for Op {
    /// Kind only: contents are nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Op::Submit(_) => "Submit",
            Op::Acked { .. } => "Acked",
            Op::Login(_) => "Login",
            Op::Left(_) => "Left",
            Op::Account(_) => "Account",
            Op::Forget { .. } => "Forget",
            Op::Hour => "Hour",
            Op::Purged { .. } => "Purged",
        })
    }
}
