//! Answering REQUESTs: history, conversations, the account. Each looks only at what belongs to the asking user.

use hongyan_proto::{
    Uid,
    wire::{self, FailureCode, request::Op, response},
};
use prost::Message;

use crate::{channel::Channel, core::Core, log::HistoryRange, store::StoreError};

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 200;
/// What surrounds the rows of a page in its frame, at the most.
const FRAME_RESERVE: usize = 512;

/// The answer to `request` of the user on `channel`.
pub async fn answer(core: &Core, channel: &Channel, uid: &Uid, request: wire::Request) -> wire::Response {
    let id = request.id;
    let result = match request.op {
        Some(Op::History(history)) => self::history(core, channel, history).await,
        Some(Op::Conversations(conversations)) => self::conversations(core, channel, conversations).await,
        Some(Op::Account(_)) => account(core, channel, uid).await,
        _ => Ok(failure(FailureCode::FailureUnknown, "this server does not know the operation")),
    };
    let result = result.unwrap_or_else(|error: StoreError| {
        tracing::error!(%error, "a request could not be answered");
        failure(FailureCode::FailureUnavailable, "the log cannot be read now")
    });
    wire::Response { id, result: Some(result) }
}

async fn history(
    core: &Core,
    channel: &Channel,
    request: wire::HistoryRequest,
) -> Result<response::Result, StoreError> {
    let Ok(peer) = Uid::new(&request.conversation) else {
        return Ok(failure(FailureCode::FailureInvalid, "conversation: not a valid uid"));
    };
    let Some(limit) = page_limit(request.limit) else { return Ok(bad_limit()) };
    let conversation = match core.log.user_no(peer.as_str()).await? {
        Some(peer) => core.log.conversation_between(channel.user, peer).await?,
        None => None,
    };
    // Who has never been written to and who does not exist look alike.
    let Some(conversation) = conversation else {
        return Ok(response::Result::History(wire::HistoryPage::default()));
    };
    let wire::HistoryRequest { after, before, forward, .. } = request;
    let head_cseq = core.log.conversation_head(conversation).await?;
    let range = HistoryRange { after, before, limit: limit + 1, forward };
    let mut rows = core.log.history(conversation, range).await?;
    let mut more = rows.len() > limit;
    if more {
        rows.remove(if forward { rows.len() - 1 } else { 0 });
    }
    let room = core.limits().max_frame as usize - FRAME_RESERVE;
    while rows.len() > 1 && rows.iter().map(|(_, row)| row.len() + 4).sum::<usize>() > room {
        rows.remove(if forward { rows.len() - 1 } else { 0 });
        more = true;
    }
    let decode = |(_, row)| wire::Entry::decode(row);
    let entries: Result<_, _> = rows.into_iter().map(decode).collect();
    let entries = entries.map_err(|error| StoreError::Corrupt(format!("a message does not decode: {error}")))?;
    Ok(response::Result::History(wire::HistoryPage { entries, head_cseq, more, reactions: Vec::new() }))
}

async fn conversations(
    core: &Core,
    channel: &Channel,
    request: wire::ConversationsRequest,
) -> Result<response::Result, StoreError> {
    let Some(limit) = page_limit(request.limit) else { return Ok(bad_limit()) };
    let found = core.log.conversations(channel.user, request.after, limit).await?;
    let mut next = if found.len() == limit { found.last().map_or(0, |(no, _)| no.0) } else { 0 };
    let mut conversations = Vec::with_capacity(found.len());
    let mut room = core.limits().max_frame as usize - FRAME_RESERVE;
    let mut last = 0;
    for (no, record) in found {
        let conversation = core.log.peer(channel.user, &record).await?;
        let head_cseq = core.log.conversation_head(no).await?;
        let conversation = wire::Conversation { conversation, head_cseq, ..Default::default() };
        let size = conversation.encoded_len() + 2;
        if size > room {
            next = last;
            break;
        }
        room -= size;
        last = no.0;
        conversations.push(conversation);
    }
    Ok(response::Result::Conversations(wire::ConversationsPage { conversations, next }))
}

async fn account(core: &Core, channel: &Channel, uid: &Uid) -> Result<response::Result, StoreError> {
    let devices = core.log.devices(channel.user).await?;
    let devices = devices.into_iter().map(|(no, record)| wire::Device {
        device: record.name,
        cursor: record.cursor,
        online: core.sessions.is_live(channel.user, no),
        ephemeral: record.ephemeral,
    });
    let account = wire::Account { uid: uid.as_str().into(), head: channel.head(), devices: devices.collect() };
    Ok(response::Result::Account(account))
}

fn page_limit(asked: u32) -> Option<usize> {
    let limit = if asked == 0 { DEFAULT_LIMIT } else { asked };
    (limit <= MAX_LIMIT).then_some(limit as usize)
}

fn bad_limit() -> response::Result {
    failure(FailureCode::FailureInvalid, "limit: 1 to 200")
}

fn failure(code: FailureCode, reason: &str) -> response::Result {
    response::Result::Failure(wire::Failure { code: code.into(), reason: reason.into() })
}
