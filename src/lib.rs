//! Hongyan, the server.

pub mod args;
pub mod auth;
mod channel;
mod committer;
pub mod config;
mod log;
mod metrics;
mod sessions;
pub mod store;
pub mod tls;
