//! A WebSocket client that keeps or breaks each rule as a test wants it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use hongyan_proto::{
    BytesMut,
    codec::{Decoder, MAX_FRAME, PREFACE},
    frame::Frame,
};
use serde_json::Value;

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;
/// The last fragment of a message.
pub const FIN: u8 = 0x80;

pub struct WebSocket {
    reader: BufReader<TcpStream>,
    decoder: Decoder,
    is_json: bool,
    has_begun: bool,
}

impl WebSocket {
    pub fn connect(address: SocketAddr, subprotocol: &str) -> Self {
        Self::try_connect(address, subprotocol).unwrap()
    }

    /// The server may be gone.
    pub fn try_connect(address: SocketAddr, subprotocol: &str) -> std::io::Result<Self> {
        let head = format!("sec-websocket-protocol: {subprotocol}\r\nsec-websocket-version: 13\r\n");
        let (status, reader) = Self::handshake(address, &head)?;
        assert_eq!(status, 101);
        let is_json = subprotocol.ends_with("json");
        Ok(Self { reader, decoder: Decoder::default(), is_json, has_begun: false })
    }

    /// A handshake with more in its head; its status, and what follows.
    pub fn handshake(address: SocketAddr, more: &str) -> std::io::Result<(u16, BufReader<TcpStream>)> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        socket.set_nodelay(true)?;
        let head = "GET /v1/ws HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n";
        write!(socket, "{head}sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n")?;
        let mut reader = BufReader::new(socket);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or(std::io::ErrorKind::UnexpectedEof)?;
        while line.trim_end() != "" {
            line.clear();
            reader.read_line(&mut line)?;
        }
        Ok((status, reader))
    }

    // ------------------------------------------------------------ frames of WebSocket

    /// One frame, masked as a client's has to be. `head`: FIN, the reserved bits, the opcode.
    pub fn put(&mut self, head: u8, payload: &[u8]) {
        self.try_put(head, payload).unwrap();
    }

    pub fn try_put(&mut self, head: u8, payload: &[u8]) -> std::io::Result<()> {
        let mask = [0x11, 0x22, 0x33, 0x44];
        let mut bytes = vec![head];
        match payload.len() {
            len @ 0..126 => bytes.push(0x80 | len as u8),
            len @ 126..65_536 => bytes.extend([&[0x80 | 126][..], &(len as u16).to_be_bytes()].concat()),
            len => bytes.extend([&[0x80 | 127][..], &(len as u64).to_be_bytes()].concat()),
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.reader.get_mut().write_all(&bytes)
    }

    pub fn put_raw(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// The next frame: its first byte, its payload. None: the connection is over.
    pub fn take(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.reader.read_exact(&mut head).ok()?;
        assert_eq!(head[1] & 0x80, 0, "a server does not mask");
        let len = match head[1] {
            126 => {
                let mut len = [0; 2];
                self.reader.read_exact(&mut len).ok()?;
                usize::from(u16::from_be_bytes(len))
            }
            127 => {
                let mut len = [0; 8];
                self.reader.read_exact(&mut len).ok()?;
                u64::from_be_bytes(len) as usize
            }
            len => usize::from(len),
        };
        let mut payload = vec![0; len];
        self.reader.read_exact(&mut payload).ok()?;
        Some((head[0], payload))
    }

    /// A close frame with this code comes, before or after what else is under way, and then the end.
    pub fn expect_close(&mut self, code: u16) {
        loop {
            match self.take() {
                Some((head, payload)) if head == FIN | CLOSE => {
                    assert_eq!(payload.first_chunk().map(|code| u16::from_be_bytes(*code)), Some(code), "{payload:?}");
                    break;
                }
                Some(_) => {}
                None => panic!("the connection ended without a close frame"),
            }
        }
        let _ = self.reader.get_ref().shutdown(Shutdown::Write);
        assert_eq!(self.take(), None, "nothing follows a close frame");
    }

    // ------------------------------------------------------------ frames of the protocol

    pub fn send(&mut self, frame: &Frame) {
        self.try_send(frame).unwrap();
    }

    /// In whichever form was agreed on.
    pub fn try_send(&mut self, frame: &Frame) -> std::io::Result<()> {
        if self.is_json {
            return self.try_put(FIN | TEXT, serde_json::to_string(frame).unwrap().as_bytes());
        }
        let mut bytes = BytesMut::new();
        if !std::mem::replace(&mut self.has_begun, true) {
            bytes.extend_from_slice(&PREFACE);
        }
        frame.encode(&mut bytes);
        self.try_put(FIN | BINARY, &bytes)
    }

    /// The next frame. None: the connection is over.
    pub fn receive(&mut self) -> Option<Frame> {
        loop {
            if let Some(raw) = self.decoder.next_frame(MAX_FRAME).unwrap() {
                match Frame::decode(raw).unwrap() {
                    Some(frame) => return Some(frame),
                    None => continue,
                }
            }
            let (head, payload) = self.take()?;
            match head {
                head if head == FIN | TEXT => {
                    assert!(self.is_json);
                    return Some(readable(&payload));
                }
                head if head == FIN | BINARY => {
                    assert!(!self.is_json);
                    self.decoder.feed(BytesMut::from(&payload[..]));
                }
                head if head == FIN | CLOSE => return None,
                _ => {}
            }
        }
    }
}

/// The frame that a message of JSON stands for, texts included.
fn readable(payload: &[u8]) -> Frame {
    let mut value: Value = serde_json::from_slice(payload).unwrap();
    if let Some(message) = value.pointer_mut("/push/message").and_then(Value::as_object_mut)
        && let Some(Value::String(text)) = message.remove("text")
    {
        use base64::{Engine, prelude::BASE64_STANDARD};
        let content = hongyan_client::Content::text(&text);
        message.insert("content".into(), BASE64_STANDARD.encode(content).into());
    }
    serde_json::from_value(value).unwrap()
}
