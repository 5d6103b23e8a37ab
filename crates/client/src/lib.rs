//! The client side of Hongyan: a user's device that keeps its place in the log, its outbox and its login by itself.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use hongyan_client::{Client, Content, Credential, Event, SqliteStore, Uid};
//!
//! let (client, mut events) = Client::builder("127.0.0.1:7600")
//!     .device("phone")
//!     .credential(Credential::Token("eyJ...".into()))
//!     .store(Box::new(SqliteStore::open("phone.db")?))
//!     .connect()
//!     .await?;
//! client.send(&Uid::new("bob")?, Content::text("hello")).await?;
//! while let Some(event) = events.next().await {
//!     if let Event::Message(message) = event {
//!         println!("{}: {}", message.from, Content::as_text(&message.content).unwrap_or_default());
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! **The path of a message out.** [`Client::send`] (`client.rs`) is a command to the driver (`driver/`). That gives the
//! message the next number and commits it to the outbox of the store (`store/`), together with what else has arrived;
//! then `hongyan_proto`'s connection says when it may be written, and `link.rs` writes it. The answer is committed, and
//! told to whoever waits for it, or as an [`Event`]. Without an answer the message is written again on the next
//! connection: same number, same bytes, so that the server takes it once.
//!
//! **The path of a message in.** `link.rs` reads bytes, the connection makes entries of them, in order and each once.
//! The driver commits them as numbered events, together with the cursor; only then the connection may ack them, and
//! they reach the application through [`Events`] (`event.rs`).
//!
//! **Besides writing.** Everything else that people do is an [`Act`] (`act.rs`, `group.rs`) and goes the same way out.
//! What it does comes in as an entry, to all devices alike. The driver folds entries into the conversation list
//! (`fold.rs`, `driver/list.rs`), which is durable together with the cursor and equal on all devices of a user. Large
//! groups are numbered by their own count; `driver/places.rs` keeps the place in each. Questions are in `ask.rs`.
//!
//! Around this: `builder.rs` and `settings.rs` (how a client is set up), `backoff.rs` and `driver/reconnect.rs` (when
//! to connect again), `driver/hello.rs` (HELLO or RESUME), `driver/loading.rs` (loading the list, and what to do when the
//! log cannot be continued), `content.rs` (texts).
//!
//! *Architecture Invariant*: nothing is acked, answered or shown before its transaction has been committed.

mod act;
mod ask;
mod backoff;
mod builder;
mod certificate;
mod client;
mod command;
mod content;
mod conversation;
mod driver;
mod entry;
mod error;
mod event;
#[doc(hidden)]
pub mod fold;
mod group;
mod link;
mod outgoing;
mod settings;
pub mod store;

pub use act::{Act, Arrangement, Privacy};
pub use ask::{
    Account, ContactsPage, ConversationsPage, Device, HistoryPage, HistoryQuery, MembersPage, MessageStatus, Reactions,
    RecipientStatus,
};
pub use builder::Builder;
pub use certificate::CertificateProblem;
pub use client::Client;
pub use command::SendStatus;
pub use content::Content;
pub use conversation::Conversation;
pub use entry::{Changed, Entry, Received, What};
pub use error::{ClientError, ErrorKind, SendError};
pub use event::{Contact, Event, Events, Presence, Receipt, Sent};
pub use group::{Group, GroupSettings, GroupUpdate, JoinRequest, Member};
pub use hongyan_proto::{
    Bytes, CloseCode, ConversationId, DeviceName, InvalidId, Uid,
    client::Settings,
    wire::{Audience, Gone, JoinPolicy, Role},
};
pub use outgoing::{NewMessage, Outgoing};
pub use settings::{Credential, Direction, FrameTrace, Secret, StartAt};
pub use store::{LocalStore, MemoryStore, SqliteStore, StoreError};
