//! stub
mod builder;
mod client;
mod content;
mod error;
mod event;
pub mod store;

pub use builder::{Builder, Credential, Direction, FrameTrace, Secret, StartAt};
pub use client::{Account, Client, Conversation, ConversationsPage, Device, HistoryPage, HistoryQuery, SendStatus};
pub use content::Content;
pub use error::{ClientError, ErrorKind, SendError};
pub use event::{Event, Events, Received, Sent};
pub use hongyan_proto::{Bytes, CloseCode, DeviceName, InvalidId, Uid, client::Settings};
pub use store::{LocalStore, MemoryStore, SqliteStore, StoreError};
