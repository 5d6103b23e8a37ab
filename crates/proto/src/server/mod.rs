//! The server's end of a connection.
//!
//! ```text
//!            preface           HELLO, RESUME             welcome(), resumed()
//!   Preface ─────────▶ Login ────────────────▶ Deciding ─────────────────────▶ Live
//!      │                 │  ▲                     │                              │
//!      │                 │  └───── reject(5003) ──┤                              │
//!      ▼                 ▼                        ▼ reject()                     ▼
//!   Closed ◀── broken rule, deadline, close(), CLOSE from the peer ──────────────┘
//! ```
//!
//! Way for a reader: `connection.rs` (what it holds), `frames.rs` (what the client's frames do to it), `opening.rs` (how it
//! becomes live), `serving.rs` (what a live one pushes and answers), `timing.rs` (deadlines). Below them `live.rs` and
//! `push.rs` hold the numbers: how far the device is, and what to do when it falls behind.

mod connection;
mod frames;
mod live;
mod opening;
mod push;
mod serving;
mod timing;

pub use connection::{Connection, Event, Settings};
pub use push::PushSettings;
pub use serving::encode_item;
