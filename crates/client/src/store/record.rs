//! The records of the store. They are protobuf messages, so that a later version can add fields to an old store.

use bytes::Bytes;
use hongyan_proto::wire;

/// The device's own state; one row.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Meta {
    /// Drawn when the store is made, and again when one end has lost this device's numbers.
    #[prost(uint32, tag = "1")]
    pub device_epoch: u32,
    /// The log that the cursor belongs to; 0: none yet.
    #[prost(uint64, tag = "2")]
    pub log_epoch: u64,
    /// Every entry up to here is stored; none before the first login.
    #[prost(uint64, optional, tag = "3")]
    pub cursor: Option<u64>,
    #[prost(string, tag = "4")]
    pub uid: String,
    #[prost(string, tag = "5")]
    pub device: String,
    /// Empty: none.
    #[prost(bytes = "bytes", tag = "6")]
    pub resume_token: Bytes,
    /// By this device's clock, in milliseconds since 1970. It only decides how much is sent along with a RESUME.
    #[prost(uint64, tag = "7")]
    pub resume_from_ms: u64,
    #[prost(uint32, tag = "8")]
    pub resume_ttl_s: u32,
    #[prost(message, optional, tag = "9")]
    pub limits: Option<wire::Limits>,
    /// The number of the newest item of the outbox.
    #[prost(uint64, tag = "10")]
    pub last_send_no: u64,
    /// The log was reset, and what was missed has not been wholly loaded.
    #[prost(bool, tag = "11")]
    pub reloading: bool,
    /// The reset was to another log: numbers of conversations may have been given out anew.
    #[prost(bool, tag = "12")]
    pub new_log: bool,
    /// The conversation list was wholly loaded; entries are folded into it since.
    #[prost(bool, tag = "13")]
    pub listed: bool,
}

/// An unanswered message or act.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OutboxItem {
    #[prost(uint64, tag = "1")]
    pub send_no: u64,
    #[prost(string, tag = "2")]
    pub to: String,
    #[prost(bytes = "bytes", tag = "3")]
    pub content: Bytes,
    #[prost(message, optional, boxed, tag = "4")]
    pub extras: Option<Box<wire::Extras>>,
    #[prost(message, optional, boxed, tag = "5")]
    pub act: Option<Box<wire::Act>>,
}

/// The final answer to an item of the outbox.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Answer {
    #[prost(string, tag = "1")]
    pub to: String,
    #[prost(oneof = "answer::Outcome", tags = "2, 3")]
    pub outcome: Option<answer::Outcome>,
}

/// The two ways an answer can go.
pub mod answer {
    use hongyan_proto::wire;

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Outcome {
        #[prost(message, tag = "2")]
        Sent(wire::SendAck),
        #[prost(message, tag = "3")]
        Refused(wire::SendNack),
    }
}

/// An event that waits for the application.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StoredEvent {
    #[prost(oneof = "stored_event::Kind", tags = "1, 2, 3, 4")]
    pub kind: Option<stored_event::Kind>,
}

impl StoredEvent {
    /// Whether it answers an item of the outbox.
    pub fn is_answer(&self) -> bool {
        matches!(self.kind, Some(stored_event::Kind::Answer(_)))
    }
}

/// The kinds of event that survive a restart.
pub mod stored_event {
    use hongyan_proto::wire;

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Kind {
        #[prost(message, tag = "1")]
        Entry(wire::Entry),
        #[prost(message, tag = "2")]
        Answer(super::Answer),
        #[prost(bool, tag = "3")]
        Reset(bool),
        #[prost(message, tag = "4")]
        Skipped(super::Skipped),
    }
}

/// A part of a large group that is left to the history.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Skipped {
    #[prost(string, tag = "1")]
    pub conversation: String,
    #[prost(uint64, tag = "2")]
    pub after_cseq: u64,
    #[prost(uint64, tag = "3")]
    pub before_cseq: u64,
}

/// What is remembered of one conversation, at most a few KiB in memory each, and mostly some
/// hundred bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ConversationMark {
    /// The newest entry that was pushed or loaded. In a large group this device's place: it has everything up to here.
    #[prost(uint64, tag = "1")]
    pub high: u64,
    /// When the server took it.
    #[prost(uint64, tag = "2")]
    pub high_time_ms: u64,
    /// The peer has received everything up to here.
    #[prost(uint64, tag = "3")]
    pub delivered: u64,
    /// The newest entry that was loaded after a reset; it may be pushed once more.
    #[prost(uint64, tag = "4")]
    pub loaded: u64,
    /// Until this conversation is loaded after a reset: the first entry pushed since. 0: none.
    #[prost(uint64, tag = "5")]
    pub live_from: u64,
    /// The newest such entry.
    #[prost(uint64, tag = "6")]
    pub live_to: u64,
    #[prost(uint64, tag = "7")]
    pub live_time_ms: u64,
    /// Its line of the conversation list.
    #[prost(message, optional, boxed, tag = "8")]
    pub row: Option<Box<wire::Conversation>>,
    /// A group that is numbered by cseq alone.
    #[prost(bool, tag = "9")]
    pub large: bool,
    /// Messages of this device above `high`, whose answer came before what stands between.
    #[prost(uint64, repeated, tag = "10")]
    pub own_ahead: Vec<u64>,
    /// After a reset to another log: what was taken up to this time was shown under another number.
    #[prost(uint64, tag = "11")]
    pub shown_until_ms: u64,
}
