//! The web's ways in, over real sockets.

mod basics;
mod curl;
pub mod http;
mod messenger;
mod mixed;
mod parked;
mod problems;
mod reader;
mod socket;
mod websocket;

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::server::TestServer;
use http::{Answer, Request};

/// A device of a user that has logged in by HTTP.
#[derive(Clone)]
pub struct WebDevice {
    address: SocketAddr,
    token: String,
    /// What the login answered.
    welcome: Value,
}

impl WebDevice {
    pub fn login(server: &TestServer, uid: &str, device: &str) -> Self {
        Self::login_with(server, json!({ "token": server.token(uid), "device": device }))
    }

    pub fn login_with(server: &TestServer, body: Value) -> Self {
        let welcome = Request::post("/v1/login", &body).send(server.http()).ok();
        let token = welcome["token"].as_str().unwrap().to_owned();
        Self { address: server.http(), token, welcome }
    }

    pub fn get(&self, target: &str) -> Answer {
        Request::get(target).bearer(&self.token).send(self.address)
    }

    pub fn post(&self, target: &str, body: Value) -> Answer {
        Request::post(target, &body).bearer(&self.token).send(self.address)
    }

    pub fn say(&self, to: &str, text: &str) -> Value {
        self.post("/v1/messages", json!({ "to": to, "text": text })).ok()
    }

    /// One poll behind `after`.
    pub fn poll(&self, after: &str, wait: u64) -> Value {
        self.get(&format!("/v1/events?after={after}&wait={wait}")).ok()
    }

    pub fn stream(&self, form: &str, after: &str) -> http::Stream {
        let stream =
            Request::get(&format!("/v1/events?as={form}&after={after}")).bearer(&self.token).open(self.address);
        assert_eq!(stream.status, 200);
        stream
    }
}

/// The texts of the messages among entries.
pub fn texts(entries: &Value) -> Vec<&str> {
    entries.as_array().unwrap().iter().filter_map(|entry| entry["message"]["text"].as_str()).collect()
}
