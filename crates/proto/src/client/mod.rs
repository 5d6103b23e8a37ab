//! The client's end of a connection.
//!
//! ```text
//!                     WELCOME, RESUMED                 CLOSE, broken rule, silence
//!   Opening ───────────────────────────────▶ Live ───────────────────────────────▶ Closed
//!      │ ▲                                                                           ▲
//!      │ └── log_in() after REJECT 5003                                              │
//!      └── any other REJECT ─────────────────────────────────────────────────────────┘
//! ```
//!
//! The driver owns the outbox and the store; the connection owns the numbers. After every round of events the driver
//! commits what they brought, calls [`Connection::stored`], and writes [`Connection::take_output`].
//!
//! Way for a reader: `connection.rs` (what it holds), `frames.rs` (what the server's frames do to it), `driving.rs` (what the
//! driver does with it), `timing.rs` (deadlines, the heartbeat). Below them `incoming.rs` and `outgoing.rs` hold the numbers:
//! which entries are new, and which messages go out when.

mod connection;
mod driving;
mod frames;
mod incoming;
mod outgoing;
mod timing;

pub use connection::{Connection, Event, Place, Settings};
pub use incoming::{ACK_DELAY, GAP_DELAY};

pub use crate::heartbeat::ACK_EVERY;
