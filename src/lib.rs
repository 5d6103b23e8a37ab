//! Hongyan, the server: every user has one durable log, and every way in is a cursor over it.
//!
//! Each folder is a room, and a room stands on those below it, never the other way round:
//!
//! | room | holds |
//! |---|---|
//! | [`cli`] | what was typed, and what operators' commands do |
//! | [`host`] | puts the parts together and owns their lives: opening, running, draining, restoring |
//! | [`edge`] | all that knows sockets: ports, the native way in, the web's, the operators' |
//! | [`session`] | all that a way in may call: logging in, sending, reading, asking |
//! | [`committer`] | the only writer: numbers, rules, one commit for all that has gathered |
//! | [`live`] | what lives while connections do: channels and the map of them |
//! | [`ops`] | the seam between those who ask and the one who writes: operations, answers and effects as data |
//! | [`log`] | the meaning of rows |
//! | [`store`] | tables of bytes, and the engines that keep them |
//! | [`auth`] | tokens, passwords, resume tokens, the back-off after failures |
//! | [`config`] | settings |
//! | [`base`] | numbers, addresses, time and chance, metrics |
//!
//! # The path of a message, room by room
//!
//! 1. **edge**: `port::door` takes a place and accepts, `native::way` counts the stranger and makes a task, `native::link` reads
//!    bytes and gives them to `hongyan_proto::server::Connection`, which yields a SEND.
//! 2. **session**: `send` checks its form and puts it into the queue of **ops**.
//! 3. **committer**: takes everything that waits, gives numbers by its rules, and commits once (**store**).
//! 4. **live**: only then, in commit order, the sender is answered and the entry offered to every live channel of the
//!    recipient. A device that does not keep up reads the **log** instead (`session::reader`).
//! 5. **edge**: the recipient's link writes it, and the ack that comes back moves the device's cursor in the committer.
//!
//! *Architecture Invariants*, kept by `tests/architecture`: imports point down the table, never up, and never in a circle; only
//! `edge` knows sockets; only the committer writes to the store and says which device is bound to which connection; only `base`, `edge` and `host` read a clock
//! or draw randomness by themselves, all else asks the [`base::environment`].

pub mod auth;
pub mod base;
pub mod cli;
mod committer;
pub mod config;
pub mod edge;
pub mod host;
mod live;
pub mod log;
mod ops;
pub mod session;
#[cfg(test)]
mod sim;
pub mod store;
