//! A device that receives, by each of the ways there are.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use hongyan_client::{Bytes, Content};
use hongyan_proto::{
    BytesMut,
    codec::{Decoder, MAX_FRAME, PREFACE},
    frame::Frame,
    wire::{self, entry::Item, hello},
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc::UnboundedSender,
    time::{Instant, interval},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use super::counted::{Counted, Http, Tally, read_json, unreachable};
use crate::{exit::Failure, setup::Setup};

/// How often a device of the native protocol shows that it is alive: the server's default.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Tcp,
    WebSocket,
    WebSocketJson,
    Sse,
    Ndjson,
    LongPoll,
    ShortPoll(Duration),
}

impl Way {
    pub const ALL: [Way; 8] = [
        Way::Tcp,
        Way::WebSocket,
        Way::WebSocketJson,
        Way::Sse,
        Way::Ndjson,
        Way::LongPoll,
        Way::ShortPoll(Duration::from_secs(1)),
        Way::ShortPoll(Duration::from_secs(5)),
    ];

    pub fn name(self) -> String {
        match self {
            Way::Tcp => "native TCP".into(),
            Way::WebSocket => "WebSocket".into(),
            Way::WebSocketJson => "WebSocket JSON".into(),
            Way::Sse => "SSE".into(),
            Way::Ndjson => "NDJSON".into(),
            Way::LongPoll => "long poll".into(),
            Way::ShortPoll(pause) => format!("short poll {} s", pause.as_secs()),
        }
    }
}

/// What a receiver tells.
pub enum Told {
    /// It is logged in and listens.
    Ready,
    /// The message with this number has come.
    Received(u64, Instant),
}

/// One receiver.
pub struct Receiver<'a> {
    pub way: Way,
    pub setup: &'a Setup,
    pub token: &'a str,
    /// host:port
    pub http: &'a str,
    pub tally: Arc<Tally>,
    pub told: UnboundedSender<Told>,
}

impl Receiver<'_> {
    /// Receives until it is dropped.
    pub async fn run(self) -> Result<(), Failure> {
        match self.way {
            Way::Tcp => {
                let address = &self.setup.server;
                let stream =
                    Counted::connect(address, &self.tally).await.map_err(|error| unreachable(address, error))?;
                self.follow(Pipe::Tcp(stream, Decoder::default())).await
            }
            Way::WebSocket => self.follow(Pipe::Binary(self.socket("hongyan.v1").await?, Decoder::default())).await,
            Way::WebSocketJson => self.follow(Pipe::Json(self.socket("hongyan.v1.json").await?)).await,
            Way::Sse | Way::Ndjson => self.stream().await,
            Way::LongPoll => self.poll(None).await,
            Way::ShortPoll(pause) => self.poll(Some(pause)).await,
        }
    }

    fn ready(&self) {
        // Whoever does not listen any more is about to drop this.
        let _ = self.told.send(Told::Ready);
    }

    fn received(&self, text: &str) {
        if let Some(number) = text.split(' ').next().and_then(|number| number.parse().ok()) {
            let _ = self.told.send(Told::Received(number, Instant::now()));
        }
    }

    // ------------------------------------------------------------ the native protocol

    async fn socket(&self, subprotocol: &'static str) -> Result<WebSocketStream<Counted>, Failure> {
        let failed = |error| unreachable(self.http, error);
        let mut request = format!("ws://{}/v1/ws", self.http).into_client_request().map_err(failed)?;
        let value = hyper::header::HeaderValue::from_static(subprotocol);
        request.headers_mut().insert("sec-websocket-protocol", value);
        let stream = Counted::connect(self.http, &self.tally).await.map_err(|error| unreachable(self.http, error))?;
        Ok(client_async(request, stream).await.map_err(failed)?.0)
    }

    async fn follow(&self, mut pipe: Pipe) -> Result<(), Failure> {
        pipe.send(&Frame::Hello(self.hello())).await?;
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.tick().await;
        loop {
            let frame = tokio::select! {
                frame = pipe.receive() => frame?,
                _ = heartbeat.tick() => {
                    pipe.send(&Frame::Ping(wire::Ping::default())).await?;
                    continue;
                }
            };
            match frame {
                Frame::Welcome(_) => self.ready(),
                Frame::Push(entry) => {
                    if let Some(Item::Message(message)) = &entry.item
                        && let Some(text) = Content::as_text(&message.content)
                    {
                        self.received(&text);
                    }
                    pipe.send(&Frame::Ack(wire::Ack { useq: entry.useq })).await?;
                }
                Frame::Ping(_) => pipe.send(&Frame::Pong(wire::Pong::default())).await?,
                Frame::Reject(wire::Reject { reason, .. }) | Frame::Close(wire::Close { reason, .. }) => {
                    return Err(Failure::new(crate::exit::Exit::Refused, reason));
                }
                _ => {}
            }
        }
    }

    fn hello(&self) -> wire::Hello {
        wire::Hello {
            uid: self.setup.uid.as_str().into(),
            device: self.device(),
            device_epoch: rand::random_range(1..=u32::MAX),
            credential: Some(hello::Credential::Token(self.token.to_owned())),
            from_head: true,
            ephemeral: true,
            ..Default::default()
        }
    }

    fn device(&self) -> String {
        format!("compare-{}", self.way.name().replace(' ', "-"))
    }

    // ------------------------------------------------------------ HTTP

    async fn log_in(&self) -> Result<Http, Failure> {
        let mut http = Http::connect(self.http, &self.tally).await?;
        let hello = self.hello();
        let body = json!({ "uid": hello.uid, "device": hello.device, "deviceEpoch": hello.device_epoch,
            "token": self.token, "fromHead": true, "ephemeral": true });
        let welcome = http.post("/v1/login", &body).await?;
        http.token = welcome["token"].as_str().map(str::to_owned);
        Ok(http)
    }

    async fn stream(&self) -> Result<(), Failure> {
        let mut http = self.log_in().await?;
        let mut acks = Http::connect(self.http, &self.tally).await?;
        acks.token.clone_from(&http.token);
        let form = if self.way == Way::Sse { "sse" } else { "ndjson" };
        let mut body = http.get(&format!("/v1/events?as={form}"), &[]).await?.into_body();
        self.ready();
        let mut line = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| unreachable(self.http, error))?;
            for byte in frame.into_data().unwrap_or_default() {
                if byte != b'\n' {
                    line.push(byte);
                    continue;
                }
                let event = line.strip_prefix(b"data: ").unwrap_or(&line);
                if let Ok(event) = serde_json::from_slice::<Value>(event)
                    && let Some(useq) = self.entry(&event["push"])
                {
                    acks.post("/v1/ack", &json!({ "useq": useq })).await?;
                }
                line.clear();
            }
        }
        Err(unreachable(self.http, "the stream ended"))
    }

    /// With a pause between two, or none: then each waits for something.
    async fn poll(&self, pause: Option<Duration>) -> Result<(), Failure> {
        let mut http = self.log_in().await?;
        let wait = if pause.is_some() { 0 } else { 25 };
        let (mut place, mut etag, mut acked) = (String::new(), String::new(), String::new());
        let mut ticks = interval(pause.unwrap_or(Duration::from_millis(1)));
        self.ready();
        loop {
            if pause.is_some() {
                ticks.tick().await;
            }
            let response =
                http.get(&format!("/v1/events?wait={wait}{place}{acked}"), &[("if-none-match", &etag)]).await?;
            if let Some(value) = response.headers().get("etag").and_then(|value| value.to_str().ok()) {
                etag = value.to_owned();
            }
            acked.clear();
            let page = read_json(response).await?;
            for entry in page["entries"].as_array().into_iter().flatten() {
                if let Some(useq) = self.entry(entry) {
                    acked = format!("&ack={useq}");
                }
            }
            if let Some(next) = page["next"].as_str() {
                place = format!("&after={next}");
            }
        }
    }

    /// Takes an entry; its number.
    fn entry(&self, entry: &Value) -> Option<String> {
        if let Some(text) = entry["message"]["text"].as_str() {
            self.received(text);
        }
        entry["useq"].as_str().map(str::to_owned)
    }
}

/// Frames over a transport.
enum Pipe {
    Tcp(Counted, Decoder),
    Binary(WebSocketStream<Counted>, Decoder),
    Json(WebSocketStream<Counted>),
}

impl Pipe {
    async fn send(&mut self, frame: &Frame) -> Result<(), Failure> {
        let mut bytes = BytesMut::new();
        if matches!(frame, Frame::Hello(_)) {
            bytes.extend_from_slice(&PREFACE);
        }
        frame.encode(&mut bytes);
        let lost = |error: String| unreachable("the server", error);
        match self {
            Pipe::Tcp(stream, _) => stream.write_all(&bytes).await.map_err(|error| lost(error.to_string())),
            Pipe::Binary(socket, _) => {
                let message = Message::Binary(bytes.freeze());
                socket.send(message).await.map_err(|error| lost(error.to_string()))
            }
            Pipe::Json(socket) => {
                let text = serde_json::to_string(frame).map_err(|error| Failure::local("a frame", error))?;
                socket.send(Message::Text(text.into())).await.map_err(|error| lost(error.to_string()))
            }
        }
    }

    async fn receive(&mut self) -> Result<Frame, Failure> {
        loop {
            if let Pipe::Tcp(_, decoder) | Pipe::Binary(_, decoder) = self
                && let Some(raw) = decoder.next_frame(MAX_FRAME).map_err(|error| Failure::local("a frame", error))?
            {
                match Frame::decode(raw).map_err(|error| Failure::local("a frame", error))? {
                    Some(frame) => return Ok(frame),
                    None => continue,
                }
            }
            let over = || unreachable("the server", "the connection ended");
            match self {
                Pipe::Tcp(stream, decoder) => {
                    let mut bytes = BytesMut::with_capacity(4096);
                    match stream.read_buf(&mut bytes).await {
                        Ok(0) | Err(_) => return Err(over()),
                        Ok(_) => decoder.feed(bytes),
                    }
                }
                Pipe::Binary(socket, decoder) => match socket.next().await {
                    Some(Ok(Message::Binary(bytes))) => decoder.feed(BytesMut::from(&bytes[..])),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(over()),
                    Some(Ok(_)) => {}
                },
                Pipe::Json(socket) => match socket.next().await {
                    Some(Ok(Message::Text(text))) => return frame_of(&text),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(over()),
                    Some(Ok(_)) => {}
                },
            }
        }
    }
}

/// As the server writes it: a `text` stands in the place of a content.
fn frame_of(text: &str) -> Result<Frame, Failure> {
    let not_a_frame = |error| Failure::local("a frame", error);
    let mut value: Value = serde_json::from_str(text).map_err(not_a_frame)?;
    if let Some(message) = value.pointer_mut("/push/message").and_then(Value::as_object_mut)
        && let Some(Value::String(text)) = message.remove("text")
    {
        use base64::{Engine, prelude::BASE64_STANDARD};
        let content: Bytes = Content::text(&text);
        message.insert("content".into(), BASE64_STANDARD.encode(content).into());
    }
    serde_json::from_value(value).map_err(not_a_frame)
}
