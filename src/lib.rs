//! Hongyan, the server.
pub mod args;
pub mod config;
pub mod store;
