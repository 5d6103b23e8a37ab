//! A device that reads its user's log by one of the web's ways, comes back after every cut, and keeps a list of what it
//! has stored: the numbers that the messages say, each of which it must be given once and in order.

use std::{
    net::SocketAddr,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use hongyan_proto::{
    frame::Frame,
    wire::{self, entry::Item},
};
use serde_json::Value;

use super::{WebDevice, http::Request, socket::WebSocket};
use crate::{server::TestServer, wire::hello};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Binary,
    Json,
    Sse,
    Ndjson,
    LongPoll,
    ShortPoll,
}

pub const WAYS: [Way; 6] = [Way::Binary, Way::Json, Way::Sse, Way::Ndjson, Way::LongPoll, Way::ShortPoll];

/// How long all of it may take.
const DEADLINE: Duration = Duration::from_secs(240);
/// What a device stores before it acks.
const ACK_EVERY: u64 = 16;
/// Before a poller asks again, or somebody who was cut off comes back.
const PAUSE: Duration = Duration::from_millis(10);

pub struct Reader {
    way: Way,
    address: SocketAddr,
    /// For the WebSockets, which log in by themselves.
    jwt: String,
    /// For the others.
    web: Option<WebDevice>,
    epoch: u64,
    /// The number of the entry that was stored last.
    cursor: u64,
    messages: Vec<u64>,
    count: usize,
    /// Connections, streams and polls that ended otherwise than they should.
    pub cuts: u64,
}

impl Reader {
    /// A device of bob's that reads until it has `count` messages.
    pub fn start(server: &TestServer, way: Way, count: usize) -> JoinHandle<Reader> {
        let device = format!("{way:?}");
        let is_socket = matches!(way, Way::Binary | Way::Json);
        let web = (!is_socket).then(|| WebDevice::login(server, "bob", &device));
        let (address, jwt) = (server.http(), server.token("bob"));
        let reader =
            Reader { way, address, jwt, web, epoch: 0, cursor: 0, messages: Vec::with_capacity(count), count, cuts: 0 };
        thread::spawn(move || reader.run())
    }

    fn run(mut self) -> Self {
        let deadline = Instant::now() + DEADLINE;
        while self.messages.len() < self.count {
            assert!(Instant::now() < deadline, "{:?} has {} of {}", self.way, self.messages.len(), self.count);
            let went_well = match self.way {
                Way::Binary => self.socket("hongyan.v1"),
                Way::Json => self.socket("hongyan.v1.json"),
                Way::Sse | Way::Ndjson => self.stream(),
                Way::LongPoll => self.poll(25),
                Way::ShortPoll => self.poll(0),
            };
            if went_well.is_none() {
                self.cuts += 1;
                thread::sleep(PAUSE);
            }
        }
        self
    }

    /// Takes an entry that must be the next one.
    fn store(&mut self, entry: &Value) {
        let useq: u64 = entry["useq"].as_str().unwrap().parse().unwrap();
        assert_eq!(useq, self.cursor + 1, "{:?} was given another entry than the next", self.way);
        self.cursor = useq;
        if let Some(text) = entry["message"]["text"].as_str() {
            self.messages.push(text.parse().unwrap());
        }
    }

    /// None: it broke.
    fn poll(&mut self, wait: u64) -> Option<()> {
        let web = self.web.as_ref()?;
        let target = format!("/v1/events?after={0}&ack={0}&wait={wait}", self.cursor);
        let answer = Request::get(&target).bearer(&web.token).try_send(self.address).ok()?;
        if answer.status != 200 {
            return None;
        }
        let page = answer.json();
        for entry in page["entries"].as_array().unwrap() {
            self.store(entry);
        }
        if page["entries"].as_array().unwrap().is_empty() {
            thread::sleep(PAUSE);
        }
        Some(())
    }

    fn stream(&mut self) -> Option<()> {
        let web = self.web.clone()?;
        let request = Request::get("/v1/events").bearer(&web.token);
        let mut stream = match self.way {
            // As a browser comes back.
            Way::Sse if self.epoch > 0 => request
                .header("accept", "text/event-stream")
                .header("last-event-id", &format!("{}-{}", self.epoch, self.cursor)),
            Way::Sse => request.header("accept", "text/event-stream"),
            _ => Request::get(&format!("/v1/events?as=ndjson&after={}", self.cursor)).bearer(&web.token),
        }
        .try_open(self.address)
        .ok()
        .filter(|stream| stream.status == 200)?;
        while self.messages.len() < self.count {
            let event = match self.way {
                Way::Sse => {
                    let (id, event) = stream.event()?;
                    let (epoch, useq) = id.as_deref()?.split_once('-')?;
                    assert_eq!(useq, event["push"]["useq"]);
                    self.epoch = epoch.parse().unwrap();
                    event
                }
                _ => stream.json()?,
            };
            self.store(event.get("push")?);
            if self.cursor.is_multiple_of(ACK_EVERY) || self.messages.len() == self.count {
                let ack = serde_json::json!({ "useq": self.cursor });
                // An ack that is lost is made good by the next.
                let _ = Request::post("/v1/ack", &ack).bearer(&web.token).try_send(self.address);
            }
        }
        Some(())
    }

    fn socket(&mut self, form: &str) -> Option<()> {
        let mut socket = WebSocket::try_connect(self.address, form).ok()?;
        let known = wire::Hello {
            cursor: Some(self.cursor),
            log_epoch: self.epoch,
            ..hello("bob", &format!("{:?}", self.way), &self.jwt)
        };
        socket.try_send(&Frame::Hello(known)).ok()?;
        let Frame::Welcome(welcome) = socket.receive()? else { return None };
        self.epoch = welcome.log_epoch;
        while self.messages.len() < self.count {
            match socket.receive()? {
                // Pushed again because the ack was slow.
                Frame::Push(entry) if entry.useq <= self.cursor => {}
                Frame::Push(entry) => {
                    assert_eq!(entry.useq, self.cursor + 1, "{:?} was given another entry than the next", self.way);
                    self.cursor = entry.useq;
                    if let Some(Item::Message(message)) = entry.item {
                        let text = hongyan_client::Content::as_text(&message.content).unwrap();
                        self.messages.push(text.parse().unwrap());
                    }
                    if self.cursor.is_multiple_of(ACK_EVERY) || self.messages.len() == self.count {
                        socket.try_send(&Frame::Ack(wire::Ack { useq: self.cursor })).ok()?;
                    }
                }
                Frame::Ping(_) => socket.try_send(&Frame::Pong(wire::Pong::default())).ok()?,
                Frame::SyncReset(reset) => panic!("{:?} was reset: {reset:?}", self.way),
                _ => {}
            }
        }
        Some(())
    }

    /// It has 1 to `count`, in order, each once.
    pub fn assert_complete(&self) {
        crate::device::assert_counts_up(&self.messages, self.count as u64);
    }
}
