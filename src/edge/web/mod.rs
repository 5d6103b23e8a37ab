//! The web's ways in, under `/v1`: WebSocket, event streams, polling, and requests for those that only listen.
//!
//! A WebSocket carries the native protocol itself ([`websocket`], its messages in one of two [`subprotocol`]s): the same
//! link, the same connection, another transport. Everything else speaks for a device of the session's table, whose session
//! outlives its requests: [`sign_in`] makes one, [`access`] finds it by its bearer token, [`operations`] act for it,
//! [`requests`] ask, and [`events`] reads its log through a [`feed`], one poll at a time or as one of the [`stream`]s. What is said is JSON of the protocol's own messages ([`json`]), and what goes wrong a [`problem`].
//! [`openapi`] describes it all to machines, `docs/http.md` to people. [`page`] is the chat page, which uses nothing but
//! this.
//!
//! The handlers share a [`gateway`]; [`routes`] says what stands where, and [`origin`] which pages may use it. [`serve`]
//! accepts connections, and adds [`health`]; behind a proxy [`forwarded`] tells whose request it is.
//!
//! *Architecture Invariant*: a gateway never touches the store or the session map. It asks the [`session`](crate::session).

pub mod access;
mod events;
pub mod feed;
mod forwarded;
pub mod gateway;
mod health;
mod json;
mod openapi;
mod operations;
mod origin;
mod page;
mod problem;
mod requests;
mod routes;
pub mod serve;
mod sign_in;
mod stream;
mod subprotocol;
mod websocket;
