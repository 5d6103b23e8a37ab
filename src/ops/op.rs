//! What the committer is asked to do.

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use hongyan_proto::{
    ConversationId, DeviceName, Uid,
    wire::{self, act::What},
};
use prost::Message as _;

use super::id::{AcceptNo, ChannelId, OpId, SendNumber};
use crate::base::number::{DeviceNo, UserNo};

/// One change to the log. Changes are made in the order in which they are handed over.
#[derive(Clone, PartialEq)]
pub enum Op {
    Submit(Submit),
    /// A device has stored everything up to `useq`.
    Acked {
        by: ChannelId,
        useq: u64,
    },
    Login(Box<Login>),
    /// A connection has ended.
    Left(ChannelId),
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

/// A SEND.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub struct Submit {
    pub from: ChannelId,
    /// Who waits for the answer. None: it goes through the channel, so that answers keep their order.
    pub op: Option<OpId>,
    pub number: SendNumber,
    /// Err: refused for good before it came here; the number is used up all the same.
    pub body: Result<Addressed, Refusal>,
}

/// A SEND that has the right form.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub struct Addressed {
    /// Which conversation; whether there is one, the committer finds out.
    pub to: Option<ConversationId>,
    pub asked: Asked,
}

#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub enum Asked {
    Message { content: Bytes, extras: Option<Box<wire::Extras>> },
    Act(Box<What>),
}

/// A permanent refusal of a SEND.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: wire::NackCode,
    pub reason: Cow<'static, str>,
}

/// A login whose credential has been verified, or a resume whose token is still to be looked at.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub struct Login {
    pub op: OpId,
    pub who: Who,
    /// The hash of the token for the next resume, which itself stays where it was drawn.
    pub next_hash: [u8; 32],
    pub accepted: AcceptNo,
}

#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub enum Who {
    Credential(Credential),
    /// By the hash of a resume token. Without a cursor: goes on from the server's record of the device.
    Resume {
        user: UserNo,
        device: DeviceNo,
        hash: [u8; 32],
        cursor: Option<u64>,
    },
}

/// What a HELLO says, after its credential was found good.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
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

/// What an operator, or the user, does to an account.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub struct AccountChange {
    pub op: OpId,
    pub uid: Uid,
    pub action: AccountAction,
}

#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
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
