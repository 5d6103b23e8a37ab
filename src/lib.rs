//! Hongyan, the server: every user has one durable log, and every way in is a cursor over it.
//!
//! The path of a message, one stop per file:
//!
//! 1. [`listener`] accepts the connection and bounds how many there are.
//! 2. [`link`] reads bytes and gives them to `hongyan_proto::server::Connection`, which yields a SEND.
//! 3. [`dispatch`] picks the use case: for a SEND, [`deliver`] checks it and hands it over.
//! 4. [`committer`] gathers what has arrived, gives numbers, commits once ([`store`]), and then, in commit order,
//!    answers the sender and offers the entry to every live channel of the recipient ([`sessions`]).
//! 5. [`channel`] queues it for the recipient's link; a device that does not keep up reads [`log`] instead ([`sync`]).
//! 6. The recipient's link writes it, and the ack that comes back moves the device's cursor in the committer.
//!
//! Around that path: [`login`] and [`auth`] (who is it?), [`requests`] (history and the like), [`presence`] and [`signals`]
//! (what passes without being kept), [`admin`] (operators), [`http`] (the HTTP port: health, [`metrics`], and the web's ways
//! in, [`gateway`]), [`server`] (putting it together, draining), [`config`] and [`args`].
//!
//! *Architecture Invariants*: imports point down this list, never up; only `listener`, `link`, `http` and `admin` know
//! sockets; only the committer writes to the store and binds channels; only the edges (`main`, `open`, `server`,
//! `upkeep`) read a clock or draw randomness by themselves; all else asks the [`environment`].

pub mod auth;
pub mod base;
pub mod cli;
mod committer;
pub mod config;
pub mod edge;
pub mod host;
mod live;
pub mod log;
mod session;
#[cfg(test)]
mod sim;
pub mod store;
