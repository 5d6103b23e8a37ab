//! A client that says exactly what a test wants it to say, byte by byte if need be, and hides nothing it is told.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use hongyan_proto::{
    BytesMut, CloseCode,
    codec::{Decoder, MAX_FRAME, PREFACE},
    frame::Frame,
    wire::{self, entry::Item, hello::Credential},
};

use socket2::{Domain, Socket, Type};

use super::server::TestServer;

/// How long to wait for a frame.
const DEADLINE: Duration = Duration::from_secs(10);

/// A transport: TCP, or TLS on it.
pub trait Transport: Read + Write + Send {}
impl<T: Read + Write + Send> Transport for T {}

/// One connection.
pub struct WireClient {
    transport: Box<dyn Transport>,
    /// The socket under the transport, for its options.
    socket: TcpStream,
    decoder: Decoder,
    pub bytes_in: usize,
    pub bytes_out: usize,
}

impl WireClient {
    /// Connects and says nothing.
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// A client on a socket that is connected.
    pub fn over(socket: TcpStream) -> Self {
        Self::with_transport(socket.try_clone().unwrap(), socket)
    }

    /// A client on something that is built on `socket`.
    pub fn with_transport(transport: impl Transport + 'static, socket: TcpStream) -> Self {
        socket.set_nodelay(true).unwrap();
        Self { transport: Box::new(transport), socket, decoder: Decoder::default(), bytes_in: 0, bytes_out: 0 }
    }

    /// Connects and sends the preface.
    pub fn open(address: SocketAddr) -> Self {
        let mut client = Self::connect(address);
        client.send_bytes(&PREFACE);
        client
    }

    /// Connects, says nothing, and takes little that it has not read.
    pub fn with_small_buffer(address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::over(socket.into())
    }

    /// Connects and logs in.
    pub fn login(server: &TestServer, hello: wire::Hello) -> (Self, wire::Welcome) {
        let mut client = Self::open(server.address());
        client.send(Frame::Hello(hello));
        let welcome = client.expect_welcome();
        (client, welcome)
    }

    /// Logs `uid` in from `device`, with a fresh token.
    pub fn login_as(server: &TestServer, uid: &str, device: &str) -> (Self, wire::Welcome) {
        Self::login(server, hello(uid, device, &server.token(uid)))
    }

    // ------------------------------------------------------------ out

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.try_send_bytes(bytes).unwrap();
    }

    /// The peer may have closed.
    pub fn try_send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes_out += bytes.len();
        self.transport.write_all(bytes)?;
        self.transport.flush()
    }

    pub fn send(&mut self, frame: Frame) {
        self.send_bytes(&encoded(&[frame]));
    }

    pub fn send_message(&mut self, send_no: u64, to: &str, content: &[u8]) {
        self.send(message(send_no, to, content));
    }

    /// Does something, and waits for the answer; what is pushed meanwhile is left aside.
    pub fn act(&mut self, send_no: u64, to: &str, what: wire::act::What) -> Result<wire::SendAck, wire::SendNack> {
        let act = Some(Box::new(wire::Act { what: Some(what) }));
        self.send(Frame::Send(wire::Send { send_no, to: to.into(), act, ..Default::default() }));
        match self.skip(|frame| matches!(frame, Frame::Push(_) | Frame::Credit(_) | Frame::Signal(_))) {
            Frame::SendAck(ack) if ack.send_no == send_no => Ok(ack),
            Frame::SendNack(nack) if nack.send_no == send_no => Err(nack),
            other => panic!("expected an answer to {send_no}, got {other:?}"),
        }
    }

    /// Sends a message, and waits for its cseq; what is pushed meanwhile is left aside.
    pub fn post(&mut self, send_no: u64, to: &str, content: &[u8]) -> u64 {
        self.send_message(send_no, to, content);
        match self.skip(|frame| matches!(frame, Frame::Push(_) | Frame::Credit(_) | Frame::Signal(_))) {
            Frame::SendAck(ack) if ack.send_no == send_no => ack.cseq,
            other => panic!("expected SEND_ACK {send_no}, got {other:?}"),
        }
    }

    pub fn ack(&mut self, useq: u64) {
        self.send(Frame::Ack(wire::Ack { useq }));
    }

    /// Writes the same bytes again and again, past the transport, until the peer no longer takes them.
    pub fn flood(&self, bytes: Vec<u8>) -> JoinHandle<()> {
        let mut socket = self.socket.try_clone().unwrap();
        thread::spawn(move || while socket.write_all(&bytes).is_ok() {})
    }

    /// Ends both halves, whatever else holds the socket.
    #[allow(dead_code, reason = "for tests/attack, which shares this file")]
    pub fn abort(&self) {
        // The peer may have ended them.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }

    /// What the kernel holds of both ends: lines of /proc/net/tcp, with bytes unacknowledged and unread as `tx:rx`.
    #[allow(dead_code, reason = "for tests/it, which shares this file")]
    pub fn kernel_queues(&self) -> String {
        let port = format!(":{:04X} ", self.socket.local_addr().unwrap().port());
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        table.lines().filter(|line| line.contains(&port)).collect::<Vec<_>>().join("\n")
    }

    /// Ends the outgoing half.
    pub fn finish(&mut self) {
        self.socket.shutdown(std::net::Shutdown::Write).unwrap();
    }

    // ------------------------------------------------------------ in

    /// The next frame that is not grease. None: the peer has ended the stream.
    pub fn next(&mut self) -> Option<Frame> {
        self.next_within(DEADLINE).unwrap_or_else(|error| panic!("waiting for a frame: {error}"))
    }

    /// The same with a deadline of its own; Err: it has passed, or the connection was reset.
    pub fn next_within(&mut self, deadline: Duration) -> io::Result<Option<Frame>> {
        let deadline = Instant::now() + deadline;
        loop {
            while let Some(raw) = self.decoder.next_frame(MAX_FRAME).expect("the server sends frames") {
                if let Some(frame) = Frame::decode(raw).expect("the server sends valid frames") {
                    return Ok(Some(frame));
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.socket.set_read_timeout(Some(left))?;
            let mut buffer = [0; 16 * 1024];
            match self.transport.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(n) => {
                    self.bytes_in += n;
                    self.decoder.feed(BytesMut::from(&buffer[..n]));
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next frame; the stream must not end before it.
    pub fn expect(&mut self) -> Frame {
        self.next().expect("the server ended the connection")
    }

    pub fn expect_welcome(&mut self) -> wire::Welcome {
        match self.expect() {
            Frame::Welcome(welcome) => welcome,
            other => panic!("expected WELCOME, got {other:?}"),
        }
    }

    pub fn expect_resumed(&mut self) -> wire::Resumed {
        match self.expect() {
            Frame::Resumed(resumed) => resumed,
            other => panic!("expected RESUMED, got {other:?}"),
        }
    }

    /// A REJECT, and, unless a HELLO may follow, the end of the stream.
    pub fn expect_reject(&mut self, code: CloseCode) -> wire::Reject {
        match self.expect() {
            Frame::Reject(reject) if CloseCode(reject.code) == code => {
                if code != CloseCode::RESUME_REFUSED {
                    assert_eq!(self.next(), None, "the connection ends after {code}");
                }
                reject
            }
            other => panic!("expected REJECT {code}, got {other:?}"),
        }
    }

    /// The answer to a SEND that was taken; CREDITs may come before.
    pub fn expect_send_ack(&mut self, send_no: u64) -> wire::SendAck {
        match self.skip(|frame| matches!(frame, Frame::Credit(_))) {
            Frame::SendAck(ack) if ack.send_no == send_no => ack,
            other => panic!("expected SEND_ACK {send_no}, got {other:?}"),
        }
    }

    /// The answer to a SEND that was not taken; CREDITs may come before.
    pub fn expect_nack(&mut self, send_no: u64, code: wire::NackCode) -> wire::SendNack {
        match self.skip(|frame| matches!(frame, Frame::Credit(_))) {
            Frame::SendNack(nack) if nack.send_no == send_no && nack.code == code as i32 => nack,
            other => panic!("expected SEND_NACK {send_no} {code:?}, got {other:?}"),
        }
    }

    pub fn expect_push(&mut self) -> wire::Entry {
        match self.expect() {
            Frame::Push(entry) => entry,
            other => panic!("expected PUSH, got {other:?}"),
        }
    }

    /// A PUSH with this number that holds a message.
    pub fn expect_message(&mut self, useq: u64) -> wire::Message {
        match self.expect_push() {
            wire::Entry { useq: number, item: Some(Item::Message(message)), .. } if number == useq => message,
            other => panic!("expected message {useq}, got {other:?}"),
        }
    }

    /// A PUSH with this number that holds a receipt.
    pub fn expect_receipt(&mut self, useq: u64) -> wire::Receipt {
        match self.expect_push() {
            wire::Entry { useq: number, item: Some(Item::Receipt(receipt)), .. } if number == useq => receipt,
            other => panic!("expected receipt {useq}, got {other:?}"),
        }
    }

    /// PING and its PONG: everything sent before has been read, and nothing else came meanwhile.
    pub fn ping(&mut self) -> wire::Pong {
        self.send(Frame::Ping(wire::Ping::default()));
        match self.expect() {
            Frame::Pong(pong) => pong,
            other => panic!("expected PONG, got {other:?}"),
        }
    }

    /// A CLOSE with this code, then the end of the stream, without a reset.
    pub fn expect_close(&mut self, code: CloseCode) -> wire::Close {
        match self.expect() {
            Frame::Close(close) if CloseCode(close.code) == code => {
                assert_eq!(self.next(), None, "nothing follows a CLOSE");
                close
            }
            other => panic!("expected CLOSE {code}, got {other:?}"),
        }
    }

    /// Skips everything, to the end of the stream.
    pub fn skip_to_end(&mut self) {
        while self.next().is_some() {}
    }

    /// Skips what `skipped` says.
    pub fn skip(&mut self, skipped: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.expect();
            if !skipped(&frame) {
                return frame;
            }
        }
    }
}

/// A HELLO with a token, from a device whose store was made once.
pub fn hello(uid: &str, device: &str, token: &str) -> wire::Hello {
    wire::Hello { credential: Some(Credential::Token(token.into())), ..hello_without_credential(uid, device) }
}

/// A HELLO with a password.
pub fn hello_with_password(uid: &str, device: &str, password: &str) -> wire::Hello {
    wire::Hello { credential: Some(Credential::Password(password.into())), ..hello_without_credential(uid, device) }
}

fn hello_without_credential(uid: &str, device: &str) -> wire::Hello {
    wire::Hello { uid: uid.into(), device: device.into(), device_epoch: 1, agent: "test".into(), ..Default::default() }
}

/// A RESUME without a fallback.
pub fn resume(token: &[u8], cursor: u64) -> Frame {
    Frame::Resume(wire::Resume { resume_token: token.to_vec().into(), cursor, ..Default::default() })
}

/// A SEND.
pub fn message(send_no: u64, to: &str, content: &[u8]) -> Frame {
    Frame::Send(wire::Send { send_no, to: to.into(), content: content.to_vec().into(), ..Default::default() })
}

/// The bytes of some frames.
pub fn encoded(frames: &[Frame]) -> Vec<u8> {
    let mut out = BytesMut::new();
    frames.iter().for_each(|frame| frame.encode(&mut out));
    out.to_vec()
}
