//! The trait of the places that remember what a device must, and what goes in and out of them. The records are in
//! `record.rs`, the two implementations in `memory.rs` and `sqlite.rs`.

use std::sync::Arc;

use prost::Message as _;

use super::record::{Answer, ConversationMark, Meta, OutboxItem, StoredEvent};

/// Answers that are kept for [`crate::Client::status`], counted back from the newest send_no.
pub const KEPT_ANSWERS: u64 = 1000;

/// The local store failed. The client stops, so that nothing is acked or shown that is not stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process, or another client of this one, has it open.
    #[error(
        "the device store {path} is in use by another process; close that one, or use another store and device name"
    )]
    InUse { path: String },
    #[error("the device store {path} cannot be opened: {source}")]
    Open { path: String, source: std::io::Error },
    #[error("the device store failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The content is not what this version writes.
    #[error("the device store is damaged: {what}")]
    Damaged { what: &'static str },
}

/// Everything a store holds at start.
#[derive(Default)]
pub struct Loaded {
    /// None: a new store.
    pub meta: Option<Meta>,
    /// Unanswered items, in rising send_no.
    pub outbox: Vec<OutboxItem>,
    /// How much there is of events that were not marked as shown; [`LocalStore::events`] reads them.
    pub unread: Unread,
    /// The number of the newest event ever stored.
    pub last_event: u64,
    pub conversations: Vec<(String, ConversationMark)>,
}

/// Stored events that the application has not handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    pub events: usize,
    /// Their length as protobuf messages.
    pub bytes: usize,
    /// Those of them that answer items of the outbox.
    pub answers: usize,
}

impl Unread {
    /// Counts one more.
    pub fn add(&mut self, event: &StoredEvent) {
        self.events += 1;
        self.bytes += event.encoded_len();
        self.answers += usize::from(event.is_answer());
    }
}

/// A bound for stored events, reached when either number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    pub events: usize,
    /// Of their protobuf messages.
    pub bytes: usize,
}

/// What a client keeps of unread events in memory, and the most that a store holds which is no larger than memory.
pub const IN_MEMORY: Capacity = Capacity { events: 256, bytes: 1 << 20 };

/// What one transaction writes.
#[derive(Default)]
pub struct Change {
    pub meta: Option<Meta>,
    /// New items of the outbox.
    pub queued: Vec<OutboxItem>,
    /// Outbox items that have got their final answer; their content is no longer kept.
    pub answers: Vec<(u64, Answer)>,
    /// New events, with their numbers.
    pub events: Vec<(u64, StoredEvent)>,
    pub conversations: Vec<(String, ConversationMark)>,
    /// Events up to this number have been shown and are forgotten.
    pub shown: u64,
}

impl Change {
    /// Whether there is nothing that must be durable now. That events were shown can wait for the next commit.
    pub fn is_empty(&self) -> bool {
        let Change { meta, queued, answers, events, conversations, shown: _ } = self;
        meta.is_none() && queued.is_empty() && answers.is_empty() && events.is_empty() && conversations.is_empty()
    }
}

/// The place where one device keeps its state. Calls block; the driver makes them off the async threads.
pub trait LocalStore: Send {
    /// Everything, once, at start. Forgets events that were shown.
    fn load(&mut self) -> Result<Loaded, StoreError>;

    /// Stored events with numbers above `after`, in order: as many as reach `page`, and at least one if there is any.
    fn events(&mut self, after: u64, page: Capacity) -> Result<Vec<(u64, StoredEvent)>, StoreError>;

    /// How many events may wait in here for a slow application before entries are left to the server. Default:
    /// [`IN_MEMORY`], which is also the least.
    fn capacity(&self) -> Capacity {
        IN_MEMORY
    }

    /// Applies `change` in one transaction, durable on return.
    fn commit(&mut self, change: &Change) -> Result<(), StoreError>;

    /// The answer to an item of the outbox, for at least the last [`KEPT_ANSWERS`] numbers.
    fn answer(&mut self, send_no: u64) -> Result<Option<Answer>, StoreError>;

    /// Where the mark of shown events is kept.
    fn mark(&self) -> Arc<dyn ShownMark>;
}

/// The first of `events`, up to the bounds of a page.
pub(super) fn page_of(
    events: impl Iterator<Item = Result<(u64, StoredEvent), StoreError>>,
    page: Capacity,
) -> Result<Vec<(u64, StoredEvent)>, StoreError> {
    let (mut taken, mut size) = (Vec::new(), Unread::default());
    for event in events {
        let event = event?;
        size.add(&event.1);
        taken.push(event);
        if size.events >= page.events || size.bytes >= page.bytes {
            break;
        }
    }
    Ok(taken)
}

/// The number of the newest event that the application has handled. Written before every event that is given out, so it
/// must be cheap: it survives the end of the process, and may be lost in a power cut.
pub trait ShownMark: Send + Sync {
    fn set(&self, number: u64);
    fn read(&self) -> u64;
}
