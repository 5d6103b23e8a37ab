//! What follows from a commit, in the order of the commit: answers, pushes, bindings. Nothing of it happens before the
//! commit is durable, and none of it if the commit fails.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use hongyan_proto::{CloseCode, canary, code::is_temporary, wire};

use super::{
    answer::{AccountError, Answer, LoginError, Reply},
    id::{ChannelId, OpId},
};
use crate::base::number::{ConversationNo, DeviceNo, UserNo};

/// Where the committer lets effects go, one after the other, in the order of the commits.
pub type Outlet = Box<dyn FnMut(Effect) + Send>;

/// How long a client should wait before it sends again what the store could not take.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// An entry for every live device of a user.
    Offer {
        user: UserNo,
        useq: u64,
        item: Bytes,
    },
    /// An entry that every live device of a user reads from the log.
    Refer {
        user: UserNo,
        useq: u64,
    },
    /// Something in a large group, for its online members.
    Broadcast {
        no: ConversationNo,
        except: Option<UserNo>,
        item: Bytes,
    },
    /// The online members of a large group are told how far it has come, and fetch what is new.
    Hint {
        no: ConversationNo,
    },
    /// A user is in a large group from now on.
    Attend {
        user: UserNo,
        no: ConversationNo,
    },
    /// A user is out of it.
    Depart {
        user: UserNo,
        no: ConversationNo,
    },
    /// What a user shows of themselves to others has changed, or to one of them.
    Veil {
        user: UserNo,
        watcher: Option<UserNo>,
    },
    /// A message is durable: its sender's device is answered, the sender's other devices get the entry. Who waits for the
    /// answer apart from the channel gets the entry there too.
    Taken {
        from: ChannelId,
        op: Option<OpId>,
        ack: wire::SendAck,
        item: Bytes,
    },
    /// Another answer to a SEND.
    Reply {
        to: ChannelId,
        op: Option<OpId>,
        reply: Reply,
    },
    Answer {
        op: OpId,
        answer: Answer,
    },
    /// A connection is the one of its device from now on; an older one is closed. Its user attends these large groups.
    Bind {
        channel: ChannelId,
        head: u64,
        attends: Vec<ConversationNo>,
    },
    /// A connection has ended.
    Unbind(ChannelId),
    /// The connections of a user end, or that of one device.
    Close {
        user: UserNo,
        device: Option<DeviceNo>,
        code: CloseCode,
        reason: Cow<'static, str>,
    },
}

impl Effect {
    /// What happens instead when the commit has failed, in `error`'s words: whoever waits is told so. None: nothing.
    pub fn failed(self, error: &str) -> Option<Self> {
        Some(match self {
            Effect::Taken { from: to, op, ack, .. } => Effect::Reply { to, op, reply: Err(unavailable(ack.send_no)) },
            // What is repeated may have been numbered in the commit that failed.
            Effect::Reply { to, op, reply: Ok(ack) } => Effect::Reply { to, op, reply: Err(unavailable(ack.send_no)) },
            Effect::Reply { to, op, reply: Err(nack) } if !is_temporary(nack.code) => {
                Effect::Reply { to, op, reply: Err(unavailable(nack.send_no)) }
            }
            Effect::Answer { op, answer: Answer::LoggedIn(Ok(_)) } => {
                Effect::Answer { op, answer: Answer::LoggedIn(Err(LoginError::Unavailable(error.into()))) }
            }
            Effect::Answer { op, answer: Answer::Changed(Ok(())) } => {
                Effect::Answer { op, answer: Answer::Changed(Err(AccountError::Unavailable(error.into()))) }
            }
            bind @ Effect::Bind { .. } if canary::is("binding-of-a-failed-commit") => bind,
            Effect::Unbind(_) if canary::is("unbinding-of-a-failed-commit") => return None,
            // A connection that has ended has ended, and what does not depend on the commit is said all the same.
            as_it_is @ (Effect::Reply { .. } | Effect::Answer { .. } | Effect::Unbind(_)) => as_it_is,
            Effect::Offer { .. }
            | Effect::Refer { .. }
            | Effect::Broadcast { .. }
            | Effect::Hint { .. }
            | Effect::Attend { .. }
            | Effect::Depart { .. }
            | Effect::Veil { .. }
            | Effect::Bind { .. }
            | Effect::Close { .. } => return None,
        })
    }
}

/// A SEND that the store could not take now.
pub fn unavailable(send_no: u64) -> wire::SendNack {
    wire::SendNack {
        send_no,
        code: match canary::is("refused-for-good-while-full") {
            false => wire::NackCode::NackUnavailable as i32,
            true => wire::NackCode::NackInvalid as i32,
        },
        reason: "the store takes no writes now".into(),
        retry_after_ms: RETRY_AFTER.as_millis() as u32,
        expected: 0,
    }
}
