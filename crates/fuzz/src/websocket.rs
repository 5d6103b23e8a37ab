//! A WebSocket to a whole server. What a client asks has the same answers in both subprotocols; and whatever bytes it
//! writes, what comes back is messages of that subprotocol.

use std::{sync::Arc, time::Duration};

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::{Buf, Bytes, BytesMut};
use hongyan::{host::enclosed::Enclosed, store::memory::MemoryEngine};
use hongyan_proto::{
    codec::{Decoder, MAX_FRAME, PREFACE},
    frame::Frame,
    wire,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::timeout,
};

use crate::{
    grammar::{self, asked},
    house::{self, ADDRESS},
    json,
};

const FRAMES: usize = 16;
/// Nothing more comes as an answer after such a silence. Shorter than what the server waits for by itself.
const QUIET: Duration = Duration::from_secs(1);
/// Kinds of messages in RFC 6455.
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Binary,
    Json,
}

/// The first byte says what follows: frames for both forms, or operations on a socket of one form.
pub fn run(data: &[u8]) {
    let Some((&how, input)) = data.split_first() else { return };
    let mut u = Unstructured::new(input);
    match how % 4 {
        0 | 1 => {
            let mut frames = Vec::new();
            while !u.is_empty() && frames.len() < FRAMES {
                let frame = if how % 4 == 0 { asked::frame(&mut u) } else { grammar::from_client(&mut u) };
                frames.extend(frame.ok().filter(|frame| json::text_of(frame).is_some()));
            }
            let [binary, json] = [Form::Binary, Form::Json].map(|form| answers(form, &frames));
            assert_eq!(binary, json, "to {frames:?}");
        }
        2 => abuse(Form::Binary, &mut u),
        _ => abuse(Form::Json, &mut u),
    }
}

/// What a device is told that logs in and writes these frames, each when all has been said to the one before.
fn answers(form: Form, frames: &[Frame]) -> Vec<Frame> {
    let mut answers = Vec::new();
    house::visit(&Arc::new(MemoryEngine::new()), async |server| {
        let mut socket = Socket::open(server, form).await;
        for frame in std::iter::once(&hello()).chain(frames) {
            socket.say(frame).await;
            answers.extend(socket.listen().await);
        }
    });
    // Where a group's link is drawn from is not repeated.
    answers.iter_mut().for_each(hide_links);
    answers
}

fn hide_links(frame: &mut Frame) {
    use wire::response::Result;
    let Frame::Response(wire::Response { result: Some(result), .. }) = frame else { return };
    match result {
        Result::Group(group) => group.link.clear(),
        Result::Conversations(page) => {
            page.conversations.iter_mut().filter_map(|row| row.group.as_mut()).for_each(|group| group.link.clear());
        }
        _ => {}
    }
}

fn hello() -> Frame {
    let credential = Some(wire::hello::Credential::Token(house::access_token("alice")));
    Frame::Hello(wire::Hello { device: "web".into(), device_epoch: 1, credential, ..Default::default() })
}

/// Messages of the right form, of the wrong one, of none, whole and in pieces, after a login or without.
fn abuse(form: Form, u: &mut Unstructured<'_>) {
    house::visit(&Arc::new(MemoryEngine::new()), async |server| {
        let mut socket = Socket::open(server, form).await;
        if u.arbitrary().unwrap_or_default() {
            socket.say(&hello()).await;
        }
        while !u.is_empty() && socket.operate(u).await.is_ok() {
            socket.listen().await;
        }
    });
}

/// The client's end.
struct Socket {
    stream: DuplexStream,
    form: Form,
    /// Of the binary form.
    decoder: Decoder,
    received: BytesMut,
    said_preface: bool,
    is_over: bool,
}

impl Socket {
    async fn open(server: &Enclosed, form: Form) -> Self {
        let (mut stream, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(server.http(theirs, ADDRESS));
        let protocol = if form == Form::Json { "hongyan.v1.json" } else { "hongyan.v1" };
        let head = format!(
            "GET /v1/ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: {protocol}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut received = BytesMut::new();
        let head = loop {
            if let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break received.split_to(end + 4);
            }
            assert!(stream.read_buf(&mut received).await.unwrap() > 0, "the server closes before the handshake");
        };
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{head:?}");
        Self { stream, form, decoder: Decoder::default(), received, said_preface: false, is_over: false }
    }

    /// Writes a frame in the socket's form.
    async fn say(&mut self, frame: &Frame) {
        match self.form {
            Form::Json => self.write(TEXT, true, json::text_of(frame).unwrap_or_default().as_bytes()).await,
            Form::Binary => {
                let mut bytes = BytesMut::new();
                if !std::mem::replace(&mut self.said_preface, true) {
                    bytes.extend_from_slice(&PREFACE);
                }
                frame.encode(&mut bytes);
                self.write(BINARY, true, &bytes).await;
            }
        }
    }

    async fn operate(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=9)? {
            0..=3 => self.say(&asked::frame(u)?).await,
            4 => self.say(&grammar::from_client(u)?).await,
            5 => {
                let mut text = json::text_of(&asked::frame(u)?).unwrap_or_default().into_bytes();
                text.insert(u.int_in_range(0..=text.len())?, u.arbitrary()?);
                self.write(TEXT, true, &text).await;
            }
            6 => {
                let len = u.int_in_range(0..=200)?.min(u.len());
                self.write(u.int_in_range(0..=15)?, u.arbitrary()?, u.bytes(len)?).await;
            }
            7 => self.write(TEXT, true, "[".repeat(u.int_in_range(0..=4000)?).as_bytes()).await,
            8 => {
                let len = u.int_in_range(0..=40)?.min(u.len());
                let _ = self.stream.write_all(u.bytes(len)?).await;
            }
            _ => tokio::time::sleep(Duration::from_secs(u8::arbitrary(u)?.into())).await,
        }
        Ok(())
    }

    /// Writes one frame of RFC 6455, masked with zeros as a client may.
    async fn write(&mut self, opcode: u8, is_final: bool, payload: &[u8]) {
        let mut out = vec![u8::from(is_final) << 7 | opcode];
        match payload.len() {
            len @ 0..126 => out.push(0x80 | len as u8),
            len @ 126..65_536 => out.extend([&[0x80 | 126][..], &(len as u16).to_be_bytes()].concat()),
            len => out.extend([&[0x80 | 127][..], &(len as u64).to_be_bytes()].concat()),
        }
        out.extend([0; 4]);
        out.extend(payload);
        // The server may have closed.
        let _ = self.stream.write_all(&out).await;
    }

    /// What the server says before it falls silent.
    async fn listen(&mut self) -> Vec<Frame> {
        let mut said = Vec::new();
        while let Ok(Ok(1..)) = timeout(QUIET, self.stream.read_buf(&mut self.received)).await {
            while let Some((opcode, payload)) = self.message() {
                assert!(!self.is_over, "something follows the end");
                match (opcode, self.form) {
                    (BINARY, Form::Binary) => said.extend(self.frames(payload)),
                    (TEXT, Form::Json) => {
                        let text = std::str::from_utf8(&payload).expect("a text message is UTF-8");
                        let frame = json::from_value(serde_json::from_str(text).expect("a message is JSON"));
                        said.push(frame.expect("a message is a frame"));
                    }
                    (CLOSE, _) => self.is_over = true,
                    // Ping and Pong.
                    (9 | 10, _) => {}
                    _ => panic!("a message of kind {opcode}"),
                }
            }
        }
        said
    }

    /// The next message of the server, which neither masks nor splits.
    fn message(&mut self) -> Option<(u8, Bytes)> {
        let [first, second, ..] = self.received[..] else { return None };
        assert!(first & 0xF0 == 0x80 && second & 0x80 == 0, "{first:02x} {second:02x}");
        let (head, len) = match (second, &self.received[2..]) {
            (126, [a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
            (127, [0, 0, 0, 0, a, b, c, d, ..]) => (10, u32::from_be_bytes([*a, *b, *c, *d]) as usize),
            (126 | 127, _) => return None,
            (len, _) => (2, usize::from(len)),
        };
        if self.received.len() < head + len {
            return None;
        }
        self.received.advance(head);
        Some((first & 0x0F, self.received.split_to(len).freeze()))
    }

    /// The frames that bytes complete, those without a meaning left out.
    fn frames(&mut self, bytes: Bytes) -> Vec<Frame> {
        self.decoder.feed(bytes.into());
        let mut frames = Vec::new();
        while let Some(raw) = self.decoder.next_frame(MAX_FRAME).expect("a legal frame") {
            frames.extend(Frame::decode(raw).expect("a legal body"));
        }
        frames
    }
}
