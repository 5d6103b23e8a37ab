//! From a REQUEST to what answers it, and from its result to a RESPONSE.

use hongyan_proto::wire::{self, FailureCode, request::Op, response};

use super::{
    asker::{Answer, Asker, Problem},
    conversations::conversations,
    groups::{group, members},
    history::{history, messages},
    people::{account, contacts, presence, privacy},
    status::status,
};

/// The answer to a request.
pub async fn answer(asker: &Asker<'_>, request: wire::Request) -> wire::Response {
    let id = request.id;
    let result = result(asker, request.op).await.unwrap_or_else(|problem| {
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

async fn result(asker: &Asker<'_>, op: Option<Op>) -> Answer {
    match op {
        Some(Op::History(request)) => history(asker, request).await,
        Some(Op::Messages(request)) => messages(asker, request).await,
        Some(Op::Conversations(request)) => conversations(asker, request).await,
        Some(Op::Group(request)) => group(asker, request).await,
        Some(Op::Members(request)) => members(asker, request).await,
        Some(Op::Status(request)) => status(asker, request).await,
        Some(Op::Presence(request)) => presence(asker, request).await,
        Some(Op::Contacts(request)) => contacts(asker, request).await,
        Some(Op::Privacy(_)) => privacy(asker).await,
        Some(Op::Account(_)) => account(asker).await,
        None => Err(Problem::Refused(FailureCode::FailureUnknown, "this server does not know the operation")),
    }
}
