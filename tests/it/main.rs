//! The server as its clients and operators meet it: the real program, real sockets, one module for each subject.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod basics;
mod behind;
mod client_kills;
mod coming_back;
mod crowd;
mod cut;
mod device;
mod disk;
mod drain;
mod ends;
mod garbage;
mod lists;
mod login;
mod matrix;
mod moving;
mod offline;
mod operate;
#[cfg(target_os = "linux")]
mod power_cuts;
mod presence;
mod proxy;
mod push;
mod reading;
#[cfg(target_os = "linux")]
mod real_proxies;
mod receipts;
mod relations;
mod requests;
mod resends;
mod resets;
mod schedule;
mod sdk_tls;
mod server;
mod server_kills;
mod tls;
mod trace;
mod web;
mod wire;
