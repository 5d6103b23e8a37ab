//! The server as its clients and operators meet it: the real program, real sockets, one module for each subject.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod basics;
mod cut;
mod drain;
mod garbage;
mod login;
mod push;
mod server;
mod tls;
mod wire;
