//! Hongyan, the server.
pub mod store;
