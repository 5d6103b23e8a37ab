//! What a device must remember, and the places that remember it: in memory, or in a file.
//!
//! *Architecture Invariant*: a [`Change`] is applied wholly or not at all, and is durable when [`LocalStore::commit`]
//! returns; only then does the driver ack, answer a caller or show an event.

mod local;
mod memory;
mod record;
mod sqlite;

pub use local::{Capacity, Change, IN_MEMORY, KEPT_ANSWERS, Loaded, LocalStore, ShownMark, StoreError, Unread};
pub use memory::MemoryStore;
pub use record::{Answer, ConversationMark, Meta, OutboxItem, Skipped, StoredEvent, answer::Outcome, stored_event};
pub use sqlite::SqliteStore;
