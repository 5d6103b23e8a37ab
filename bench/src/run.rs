//! What all devices of a run have in common: users, contents, tokens, time.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Instant, SystemTime},
};

use rustls::{ClientConfig, pki_types::ServerName};

use crate::{stamp::Stationery, token::Mint};

/// TLS towards the server.
pub struct TlsTarget {
    pub config: Arc<ClientConfig>,
    pub name: ServerName<'static>,
}

/// Fixed for the whole run.
pub struct Run {
    pub target: SocketAddr,
    pub tls: Option<TlsTarget>,
    /// The user ids, by the number of the user.
    pub uids: Vec<String>,
    pub stationery: Stationery,
    pub mint: Mint,
    /// A new one for every run, so that the server does not take its devices for those of an earlier run.
    pub device_epoch: u32,
    /// Nanoseconds; none: what the server suggests.
    pub heartbeat: Option<u64>,
    pub start: Instant,
}

impl Run {
    /// Nanoseconds since the start of the run.
    pub fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// A fresh token of a user.
    pub fn token(&self, user: u32) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.mint.mint(&self.uids[user as usize], now.as_secs())
    }
}
