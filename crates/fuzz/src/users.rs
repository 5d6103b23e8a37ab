//! Users of a whole server: what they send, do, ask and ack, in any order, over connections that break, while the store
//! fails to read now and then. Each SEND and each REQUEST has its answer, and each log no hole.

use std::{sync::Arc, time::Duration};

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::BytesMut;
use hongyan::{host::enclosed::Enclosed, store::memory::MemoryEngine};
use hongyan_proto::{
    CloseCode,
    codec::{Decoder, MAX_FRAME, PREFACE},
    frame::Frame,
    wire::{self, FailureCode, NackCode, response},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::timeout,
};

use crate::{
    grammar::{asked, number},
    house::{self, ADDRESS},
    json,
};

/// Two devices of one user, one of another; a third user is only ever away.
const DEVICES: [(&str, &str); 3] = [("alice", "phone"), ("alice", "laptop"), ("bob", "phone")];
const STEPS: usize = 40;
/// Whatever is asked is answered within.
const SOON: Duration = Duration::from_secs(20);

pub fn run(data: &[u8]) {
    let engine = Arc::new(MemoryEngine::new());
    house::visit(&engine, async |server| {
        let mut u = Unstructured::new(data);
        let mut users = Users::new(server, &engine).await;
        for _ in 0..STEPS {
            if u.is_empty() || users.step(&mut u).await.is_err() {
                break;
            }
        }
        users.devices.clear();
        // What has not failed yet does not fail any more.
        engine.fail_a_read_after(usize::MAX);
        for uid in ["alice", "bob", "carol"] {
            check_log(server, uid).await;
        }
    });
}

struct Users<'a> {
    server: &'a Enclosed,
    engine: &'a MemoryEngine,
    devices: Vec<Device>,
    /// The store has been made to fail.
    may_fail: bool,
}

/// One device. Without a connection it is away.
struct Device {
    uid: &'static str,
    name: &'static str,
    line: Option<Line>,
    resume_token: bytes::Bytes,
    /// The last number that was used up, and the last that was sent.
    send_no: u64,
    sent: u64,
    /// The newest entry that was pushed.
    pushed: u64,
}

/// The client's end of a connection.
struct Line {
    stream: DuplexStream,
    decoder: Decoder,
}

impl Line {
    fn open(server: &Enclosed) -> Self {
        let (stream, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(server.native(theirs, ADDRESS).expect("few are strangers"));
        Self { stream, decoder: Decoder::default() }
    }

    async fn write(&mut self, frame: &Frame) {
        let mut out = BytesMut::new();
        frame.encode(&mut out);
        // The server may have closed.
        let _ = self.stream.write_all(&out).await;
    }

    /// The next frame that is known. None: the server has closed.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            while let Some(raw) = self.decoder.next_frame(MAX_FRAME).expect("a legal frame") {
                if let Some(frame) = Frame::decode(raw).expect("a legal body") {
                    // Whatever is told can be told as JSON.
                    json::to_text(&frame);
                    return Some(frame);
                }
            }
            let mut bytes = BytesMut::with_capacity(1 << 12);
            match self.stream.read_buf(&mut bytes).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => self.decoder.feed(bytes),
            }
        }
    }
}

fn hello(uid: &str, device: &str) -> wire::Hello {
    let credential = Some(wire::hello::Credential::Token(house::access_token(uid)));
    wire::Hello { uid: uid.into(), device: device.into(), device_epoch: 1, credential, ..Default::default() }
}

impl<'a> Users<'a> {
    async fn new(server: &'a Enclosed, engine: &'a MemoryEngine) -> Self {
        check_log(server, "carol").await;
        let away = |(uid, name)| Device {
            uid,
            name,
            line: None,
            resume_token: Default::default(),
            send_no: 0,
            sent: 0,
            pushed: 0,
        };
        let mut users = Self { server, engine, devices: DEVICES.map(away).into(), may_fail: false };
        for device in 0..DEVICES.len() {
            users.connect(device, false).await;
        }
        users
    }

    async fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let at = u.int_in_range(0..=2)?;
        if self.devices[at].line.is_none() {
            self.connect(at, u.arbitrary()?).await;
        }
        match u.int_in_range(0..=15)? {
            0..=2 => {
                let (to, content) = (asked::conversation(u)?, u.arbitrary::<&[u8]>()?.to_vec());
                let extras = asked::extras(u)?;
                self.send(at, wire::Send { to, content: content.into(), extras, ..Default::default() }).await;
            }
            3..=9 => {
                let (to, act) = (asked::conversation(u)?, asked::act(u)?);
                let act = Some(Box::new(wire::Act { what: Some(act) }));
                self.send(at, wire::Send { to, act, ..Default::default() }).await;
            }
            10..=12 => self.request(at, asked::request(u)?).await,
            13 => {
                let useq = self.devices[at].pushed;
                self.write(at, Frame::Ack(wire::Ack { useq })).await;
            }
            _ => self.rarely(at, u).await?,
        }
        Ok(())
    }

    async fn rarely(&mut self, at: usize, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=5)? {
            0 => self.devices[at].line = None,
            1 => tokio::time::sleep(Duration::from_secs(u.int_in_range(0..=90)?)).await,
            2 => {
                self.engine.fail_a_read_after(usize::from(u8::arbitrary(u)? % 32));
                self.may_fail = true;
            }
            3 => {
                let signal = wire::Signal { to: asked::conversation(u)?, typing: u.arbitrary()?, ..Default::default() };
                self.write(at, Frame::Signal(signal)).await;
            }
            4 => self.write(at, Frame::SyncReq(wire::SyncReq { after: number(u)? })).await,
            _ => {
                // A number that was used, or is not the next one.
                let send_no = u.int_in_range(1..=self.devices[at].send_no + 3)?;
                let send = wire::Send { send_no, to: asked::uid(u)?, ..Default::default() };
                if send_no != self.devices[at].send_no + 1 {
                    self.ask(at, Frame::Send(send), |frame| is_answer_to(frame, send_no)).await;
                }
            }
        }
        Ok(())
    }

    /// Logs in, or comes back by the token of the last time.
    async fn connect(&mut self, at: usize, by_token: bool) {
        let mut line = Line::open(self.server);
        let device = &mut self.devices[at];
        let (last_send_no, answered_send_no) = (device.sent, device.send_no);
        let hello = wire::Hello { last_send_no, answered_send_no, ..hello(device.uid, device.name) };
        let first = match by_token {
            true => Frame::Resume(wire::Resume {
                resume_token: device.resume_token.clone(),
                fallback: Some(hello),
                ..Default::default()
            }),
            false => Frame::Hello(hello),
        };
        let _ = line.stream.write_all(&PREFACE).await;
        line.write(&first).await;
        match timeout(SOON, line.next()).await.expect("a login is answered") {
            Some(Frame::Welcome(welcome)) => {
                (device.resume_token, device.send_no) = (welcome.resume_token, welcome.last_send_no);
            }
            Some(Frame::Resumed(resumed)) => {
                (device.resume_token, device.send_no) = (resumed.resume_token, resumed.last_send_no);
            }
            Some(Frame::Reject(reject)) if self.may_fail && is_trouble(CloseCode(reject.code)) => return,
            other => panic!("a good login is answered with {other:?}"),
        }
        device.line = Some(line);
    }

    async fn send(&mut self, at: usize, send: wire::Send) {
        let send_no = self.devices[at].send_no + 1;
        self.devices[at].sent = send_no;
        let answer =
            self.ask(at, Frame::Send(wire::Send { send_no, ..send }), |frame| is_answer_to(frame, send_no)).await;
        match answer {
            Some(Frame::SendAck(_)) => self.devices[at].send_no = send_no,
            Some(Frame::SendNack(nack)) => match nack.code() {
                NackCode::NackUnavailable => assert!(self.may_fail, "{nack:?}"),
                NackCode::NackGap | NackCode::NackAnswerExpired | NackCode::NackUnspecified => panic!("{nack:?}"),
                NackCode::NackRateLimited => {}
                _ => self.devices[at].send_no = send_no,
            },
            // Without an answer the number may be used up or not: the next login tells.
            _ => {}
        }
    }

    async fn request(&mut self, at: usize, request: wire::Request) {
        let id = request.id;
        let is_answer = |frame: &Frame| matches!(frame, Frame::Response(response) if response.id == id);
        let answer = self.ask(at, Frame::Request(request), is_answer).await;
        if let Some(Frame::Response(wire::Response { result, .. })) = answer {
            match result.expect("a response has a result") {
                response::Result::Failure(failure) if failure.code() == FailureCode::FailureUnavailable => {
                    assert!(self.may_fail, "{failure:?}");
                }
                response::Result::Failure(failure) => assert!(!failure.reason.is_empty()),
                _ => {}
            }
        }
    }

    async fn write(&mut self, at: usize, frame: Frame) {
        if let Some(line) = &mut self.devices[at].line {
            line.write(&frame).await;
        }
    }

    /// Writes, and waits for the answer. None: the connection is over, for a reason that there may be.
    async fn ask(&mut self, at: usize, question: Frame, is_answer: impl Fn(&Frame) -> bool) -> Option<Frame> {
        self.write(at, question.clone()).await;
        loop {
            let line = self.devices[at].line.as_mut()?;
            let frame = timeout(SOON, line.next()).await.unwrap_or_else(|_| panic!("{question:?} has no answer"));
            match frame {
                Some(frame) if is_answer(&frame) => return Some(frame),
                Some(Frame::Push(entry)) => self.devices[at].pushed = self.devices[at].pushed.max(entry.useq),
                Some(Frame::Ping(_)) => self.write(at, Frame::Pong(wire::Pong::default())).await,
                Some(Frame::Close(close)) => {
                    let code = CloseCode(close.code);
                    // Nobody heartbeats here, and acks are rare.
                    let is_own = [CloseCode::IDLE_TIMEOUT, CloseCode::SLOW, CloseCode::BAD_ACK].contains(&code);
                    assert!(is_own || self.may_fail && is_trouble(code), "{close:?}");
                }
                Some(_) => {}
                None => self.devices[at].line = None,
            }
        }
    }
}

fn is_answer_to(frame: &Frame, number: u64) -> bool {
    match frame {
        Frame::SendAck(ack) => ack.send_no == number,
        Frame::SendNack(nack) => nack.send_no == number,
        _ => false,
    }
}

/// What a server may say whose store fails.
fn is_trouble(code: CloseCode) -> bool {
    [CloseCode::UNAVAILABLE, CloseCode::INTERNAL].contains(&code)
}

/// Reads a user's log on a device of its own: from one number to the next, to its head.
async fn check_log(server: &Enclosed, uid: &str) {
    let mut line = Line::open(server);
    let _ = line.stream.write_all(&PREFACE).await;
    let hello = wire::Hello { ephemeral: true, cursor: Some(0), ..hello(uid, "reader") };
    line.write(&Frame::Hello(hello)).await;
    let Some(Frame::Welcome(welcome)) = line.next().await else { return };
    let mut at = welcome.cursor;
    while at < welcome.head {
        match timeout(SOON, line.next()).await.expect("what is in the log is pushed") {
            Some(Frame::Push(entry)) if entry.useq == 0 => {}
            Some(Frame::Push(entry)) => {
                assert_eq!(entry.useq, at + 1, "of the log of {uid}");
                at = entry.useq;
                line.write(&Frame::Ack(wire::Ack { useq: at })).await;
            }
            Some(Frame::SyncReset(reset)) => at = reset.head,
            Some(Frame::Close(close)) => panic!("{close:?}"),
            Some(_) => {}
            None => return,
        }
    }
}
