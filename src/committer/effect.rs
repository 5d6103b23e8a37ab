//! What follows from a commit, in the order of the commit: answers, pushes, bindings. Nothing of it happens before the
//! commit is durable, and none of it if the commit fails.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hongyan_proto::{CloseCode, canary, code::is_temporary, wire};
use tokio::sync::oneshot;

use super::op::{AccountError, LoggedIn, LoginError};
use crate::{
    base::number::{ConversationNo, UserNo},
    live::{
        channel::{Channel, Outbound},
        sessions::Sessions,
    },
    store::StoreError,
};

/// How long a client should wait before it sends again what the store could not take.
const RETRY_AFTER: Duration = Duration::from_secs(1);

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
    /// A message is durable: its sender's device is answered, the sender's other devices get the entry.
    Taken {
        origin: Arc<Channel>,
        ack: wire::SendAck,
        item: Bytes,
    },
    /// An answer that does not depend on the commit, but must not overtake those that do.
    Answer {
        origin: Arc<Channel>,
        answer: Outbound,
    },
    /// As Answer, for a refusal that uses a number up.
    Refused {
        origin: Arc<Channel>,
        nack: wire::SendNack,
    },
    LoggedIn {
        login: Box<LoggedIn>,
        reply: oneshot::Sender<Result<LoggedIn, LoginError>>,
    },
    /// An account was changed; if `close` is set, its sessions end.
    Account {
        user: UserNo,
        close: Option<CloseCode>,
        reply: oneshot::Sender<Result<(), AccountError>>,
    },
}

impl Effect {
    pub fn apply(self, sessions: &Sessions) {
        match self {
            Effect::Offer { user, useq, item } => sessions.for_each_of(user, |channel| channel.offer(useq, &item)),
            Effect::Refer { user, useq } => sessions.for_each_of(user, |channel| channel.refer(useq)),
            Effect::Broadcast { no, except, item } => {
                sessions.for_each_attending(no, except, |channel| channel.pass(&item));
            }
            Effect::Hint { no } => sessions.for_each_attending(no, None, |channel| channel.owe_hints()),
            Effect::Attend { user, no } => sessions.attend(no, user),
            Effect::Depart { user, no } => sessions.depart(no, user),
            Effect::Veil { user, watcher } => sessions.veil(user, watcher),
            Effect::Taken { origin, ack, item } => {
                sessions.for_each_of(origin.user, |channel| {
                    if !Arc::ptr_eq(channel, &origin) && !canary::is("own-devices-not-told") {
                        channel.offer(ack.useq, &item);
                    }
                });
                origin.answer(Outbound::Acked(ack));
            }
            Effect::Answer { origin, answer } => origin.answer(answer),
            Effect::Refused { origin, nack } => origin.answer(Outbound::Refused(nack)),
            Effect::LoggedIn { login, reply } => {
                sessions.bind(&login.channel);
                for no in login.large_groups.iter().filter(|_| !canary::is("login-attends-nothing")) {
                    sessions.attend(*no, login.channel.user);
                }
                if let Err(Ok(unclaimed)) = reply.send(Ok(*login)) {
                    // The connection went away while its login was being committed.
                    sessions.unbind(&unclaimed.channel);
                }
            }
            Effect::Account { user, close, reply } => {
                if let Some(code) = close {
                    sessions.for_each_of(user, |channel| {
                        channel.close(code, "an operator ended all sessions of this user")
                    });
                }
                // Whether the operator still listens changes nothing.
                let _ = reply.send(Ok(()));
            }
        }
    }

    /// The commit failed: says so to whoever waits. What they asked for has not happened.
    pub fn fail(self, error: &StoreError) {
        match self {
            Effect::Taken { origin, ack, .. } => origin.answer(Outbound::Refused(unavailable(ack.send_no))),
            Effect::Refused { origin, nack } => origin.answer(Outbound::Refused(unavailable(nack.send_no))),
            // What is repeated may have been numbered in the batch that failed.
            Effect::Answer { origin, answer: Outbound::Acked(ack) } => {
                origin.answer(Outbound::Refused(unavailable(ack.send_no)));
            }
            Effect::Answer { origin, answer: Outbound::Refused(nack) } if !is_temporary(nack.code) => {
                origin.answer(Outbound::Refused(unavailable(nack.send_no)));
            }
            Effect::Answer { origin, answer } => origin.answer(answer),
            Effect::LoggedIn { reply, .. } => drop(reply.send(Err(LoginError::Store(error.clone())))),
            Effect::Account { reply, .. } => drop(reply.send(Err(AccountError::Store(error.clone())))),
            Effect::Offer { .. }
            | Effect::Refer { .. }
            | Effect::Broadcast { .. }
            | Effect::Hint { .. }
            | Effect::Attend { .. }
            | Effect::Depart { .. }
            | Effect::Veil { .. } => {}
        }
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
