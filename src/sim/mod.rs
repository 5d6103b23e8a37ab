//! The simulation: many devices and a whole server under one seeded scheduler and a clock that passes only when nobody
//! has anything to do. Only tests see it.
//!
//! Real are, on the server's side, everything between the socket and the store: `Link`, the protocol's `Connection`,
//! login, sending, the reader, requests, the session map, the channels, the committer and its queue, and for those who come by
//! requests ([`gateway`]) the table of devices and the feed that polls read; on the device's
//! side the client's `Connection`. Every operation and every effect is encoded and decoded on its way to the committer and
//! back, as if that were another process ([`crate::ops::wire`]). Simulated are the time ([`clock`]), who runs next
//! ([`executor`]), the network ([`network`]), the disk below the store's trait ([`disk`]), the application and the storage
//! of each device ([`device`]). What they share is the [`world`].
//!
//! One run ([`run`]) follows a [`plan`] that its seed decides: who writes to whom and what goes wrong when. Then all is
//! healed and must drain. What is done in conversations is in [`conversation`], what is checked meanwhile and afterwards
//! in [`ledger`] and at the end of [`run`]; peers that mean no good are in [`rogue`]. The same seed does the same, to the last bit.

mod canaries;
mod chance;
mod clock;
mod content;
mod conversation;
mod device;
mod disk;
mod executor;
mod gateway;
mod host;
mod ledger;
mod network;
mod plan;
mod rogue;
mod run;
mod stolen;
mod tests;
mod world;

pub use host::{gate, token};
