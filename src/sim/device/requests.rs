//! What a device asks for of conversations. Requests have ids of two kinds, by which their answers are told apart.

use hongyan_proto::wire::{self, request::Op};

/// Messages of one page of history.
const PAGE: u32 = 20;
/// The id of requests for what is missing of a large group.
pub const GAP: u64 = 2;
/// The first id of requests for what was missed before a reset.
pub const RELOAD: u64 = 3;

/// Asks for what stands in a conversation behind a place.
pub fn history(id: u64, conversation: String, after: u64) -> wire::Request {
    let history = wire::HistoryRequest { conversation, after, limit: PAGE, forward: true, ..Default::default() };
    wire::Request { id, op: Some(Op::History(history)) }
}

/// Asks for some of the list of conversations.
pub fn conversations(id: u64, after: u64) -> wire::Request {
    let list = wire::ConversationsRequest { after, limit: 2, ..Default::default() };
    wire::Request { id, op: Some(Op::Conversations(list)) }
}
