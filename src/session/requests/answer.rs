//! Answering REQUESTs. Each looks only at what belongs to the asking user; what is not theirs looks as if it were not
//! there.

use std::sync::Arc;

use hongyan_proto::{
    Uid,
    wire::{self, FailureCode, request::Op, response},
};

use super::asker::{Answer, Asker, Problem};
use crate::{live::channel::Channel, session::service::Core};

/// The answer to `request` of the user on `channel`.
pub async fn answer(core: &Core, channel: &Arc<Channel>, uid: &Uid, request: wire::Request) -> wire::Response {
    let id = request.id;
    let result = Asker { core, channel, uid }.answer(request.op).await.unwrap_or_else(|problem| {
        let (code, reason) = match problem {
            Problem::Refused(code, reason) => (code, reason),
            Problem::Store(error) => {
                tracing::error!(%error, "a request could not be answered");
                (FailureCode::FailureUnavailable, "the log cannot be read now")
            }
        };
        response::Result::Failure(wire::Failure { code: code.into(), reason: reason.into() })
    });
    wire::Response { id, result: Some(result) }
}

impl Asker<'_> {
    async fn answer(&self, op: Option<Op>) -> Answer {
        match op {
            Some(Op::History(request)) => self.history(request).await,
            Some(Op::Messages(request)) => self.messages(request).await,
            Some(Op::Conversations(request)) => self.conversations(request).await,
            Some(Op::Group(request)) => self.group(request).await,
            Some(Op::Members(request)) => self.members(request).await,
            Some(Op::Status(request)) => self.status(request).await,
            Some(Op::Presence(request)) => self.presence(request).await,
            Some(Op::Contacts(request)) => self.contacts(request).await,
            Some(Op::Privacy(_)) => self.privacy().await,
            Some(Op::Account(_)) => self.account().await,
            None => Err(Problem::Refused(FailureCode::FailureUnknown, "this server does not know the operation")),
        }
    }
}
