//! The server as its clients and operators meet it: the real program, real sockets, one module for each subject.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod basics;
mod login;
mod client_kills;
mod device;
mod offline;
mod schedule;
mod server;
mod server_kills;
mod wire;
