//! The targets by name, each with what generates inputs for it.

use crate::{
    capture, client, codec, config, decoder, grammar, http, json, net::Rng, pair, records, server, token, users,
    websocket,
};

/// Something to fuzz.
pub struct Target {
    /// Of the libFuzzer target and of the folder in `fuzz/corpus`.
    pub name: &'static str,
    /// Panics if a promise is broken.
    pub run: fn(&[u8]),
    /// An input that gets further than random bytes do.
    pub generate: fn(&mut Rng) -> Vec<u8>,
}

pub const TARGETS: &[Target] = &[
    Target { name: "decoder", run: decoder::run, generate: decoder::generate },
    Target { name: "codec", run: codec::run, generate: grammar::noise },
    Target { name: "server", run: server::run, generate: grammar::noise },
    Target { name: "client", run: client::run, generate: grammar::noise },
    Target { name: "pair", run: pair::run, generate: grammar::noise },
    Target { name: "capture", run: capture::run, generate: decoder::generate },
    Target { name: "token", run: token::run, generate: token::generate },
    Target { name: "config", run: config::run, generate: config::generate },
    Target { name: "records", run: records::run, generate: grammar::noise },
    Target { name: "users", run: users::run, generate: grammar::noise },
    Target { name: "http", run: http::run, generate: http::generate },
    Target { name: "websocket", run: websocket::run, generate: grammar::noise },
    Target { name: "json", run: json::run, generate: json::generate },
];
