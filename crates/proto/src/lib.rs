//! The Hongyan wire protocol, version 1, without I/O: no socket, no clock, no randomness, no runtime.
//!
//! A peer reads bytes from its transport and hands them to a [`server::Connection`] or a [`client::Connection`], together
//! with the time. It then polls: events to act on, bytes to write, the moment at which to call again. Everything the
//! protocol demands of one connection (login, windows, credit, acks, heartbeats, retransmission) happens in between.
//!
//! ```text
//!             handle_bytes(bytes, now)                poll_event() -> Event
//!   socket ──────────────────────────▶  Connection  ─────────────────────────▶  dispatch / application
//!          ◀──────────────────────────              ◀─────────────────────────
//!             take_output() -> bytes                  push, answer, send, stored, close …
//! ```
//!
//! Way for a reader: [`code`] (why a connection ends), [`kind`] (the table of frames), [`codec`] (bytes to frames),
//! [`frame`] (a frame with its body decoded), then [`server`] and [`client`], the two roles. [`wire`] holds the messages
//! generated from `proto/`, [`id`] the names that travel in them.
//!
//! *Architecture Invariant*: this crate depends on no runtime and reads no clock; a `Connection` is a function of its inputs.

#[doc(hidden)]
pub mod canary;
pub mod client;
pub mod code;
pub mod codec;
pub mod frame;
mod heartbeat;
pub mod id;
pub mod kind;
pub mod server;
pub mod wire;

pub use bytes::{Bytes, BytesMut};
pub use code::CloseCode;
pub use id::{ConversationId, DeviceName, InvalidId, Uid};
pub use wire::DESCRIPTORS;
