//! Hongyan, the server.
pub mod auth;
pub mod store;
pub mod tls;
