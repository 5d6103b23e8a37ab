//! What a device must remember, and the trait of the places that remember it. Its two implementations are beside it.
//!
//! *Architecture Invariant*: a [`Change`] is applied wholly or not at all, and is durable when `commit` returns; only
//! then does the driver ack, answer a caller or show an event.

mod memory;
mod record;
mod sqlite;

use std::sync::Arc;

pub use memory::MemoryStore;
pub use record::{Answer, ConversationMark, Meta, OutboxItem, StoredEvent, answer::Outcome, stored_event};
pub use sqlite::SqliteStore;

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
    /// Events that were not marked as shown, in order.
    pub events: Vec<(u64, StoredEvent)>,
    /// The number of the newest event ever stored.
    pub last_event: u64,
    pub conversations: Vec<(String, ConversationMark)>,
}

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

    /// Applies `change` in one transaction, durable on return.
    fn commit(&mut self, change: &Change) -> Result<(), StoreError>;

    /// The answer to an item of the outbox, for at least the last [`KEPT_ANSWERS`] numbers.
    fn answer(&mut self, send_no: u64) -> Result<Option<Answer>, StoreError>;

    /// Where the mark of shown events is kept.
    fn mark(&self) -> Arc<dyn ShownMark>;
}

/// The number of the newest event that the application has handled. Written before every event that is given out, so it
/// must be cheap: it survives the end of the process, and may be lost in a power cut.
pub trait ShownMark: Send + Sync {
    fn set(&self, number: u64);
    fn read(&self) -> u64;
}
