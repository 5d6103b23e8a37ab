//! The client against a scripted server.

mod connecting;
mod fake;
mod receiving;
mod sending;
mod stores;
mod tls;
