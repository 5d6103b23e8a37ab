//! One connection of a rogue: how it speaks to the server, and what it holds against it. What it tries is in
//! [`play`](super::play).

use std::{
    future::poll_fn,
    net::{IpAddr, Ipv4Addr},
    pin::Pin,
    rc::Rc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use hongyan_proto::{
    CloseCode,
    codec::{Decoder, MAX_FRAME, PREFACE},
    frame::Frame,
    wire::{self, NackCode, entry::Item, hello, request::Op, response::Result as Answer},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::sim::{
    network::{self, End, Road},
    world::World,
};

/// The user that all rogues are.
pub const NAME: &str = "mallory";

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9));

/// One connection of a rogue.
pub struct Rogue {
    pub world: Rc<World>,
    end: End,
    decoder: Decoder,
}

impl Rogue {
    /// None: nobody listens.
    pub fn connect(world: &Rc<World>) -> Option<Self> {
        let chance = world.chance.borrow_mut().fork();
        let millisecond = Duration::from_millis(1);
        let road = Road { latency: millisecond, jitter: millisecond, piece: 1400, capacity: 65536 };
        let (end, theirs) = network::connect(&world.clock, chance, road);
        let is_taken = world.host.accept(theirs, ADDRESS, false);
        is_taken.then(|| Self { world: world.clone(), end, decoder: Decoder::default() })
    }

    /// Another connection from the same place.
    pub fn beside(&self) -> Option<Self> {
        Self::connect(&self.world)
    }

    pub fn write(&mut self, bytes: &[u8]) {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        // It is little, and whether it arrives is the rogue's own risk.
        let _ = Pin::new(&mut self.end).poll_write(&mut context, bytes);
    }

    pub fn send(&mut self, frames: &[Frame]) {
        let mut out = BytesMut::new();
        frames.iter().for_each(|frame| frame.encode(&mut out));
        self.write(&out);
    }

    /// The next frame; none: the connection is over.
    pub async fn frame(&mut self) -> Option<Frame> {
        loop {
            match self.decoder.next_frame(MAX_FRAME) {
                Ok(Some(raw)) => match Frame::decode(raw) {
                    Ok(Some(frame)) => return Some(frame),
                    Ok(None) => continue,
                    Err(_) => return None,
                },
                Ok(None) => {}
                Err(_) => return None,
            }
            let mut space = [0; 2048];
            let mut buffer = ReadBuf::new(&mut space);
            poll_fn(|context| Pin::new(&mut self.end).poll_read(context, &mut buffer)).await.ok()?;
            if buffer.filled().is_empty() {
                return None;
            }
            self.decoder.feed(BytesMut::from(buffer.filled()));
        }
    }

    /// Reads up to the end, which must come without any other login. The code of the first CLOSE or REJECT among it.
    pub async fn until_closed(&mut self) -> Option<CloseCode> {
        let mut code = None;
        while let Some(frame) = self.frame().await {
            match frame {
                Frame::Close(close) => code = code.or(Some(CloseCode(close.code))),
                Frame::Reject(reject) => code = code.or(Some(CloseCode(reject.code))),
                Frame::Welcome(_) | Frame::Resumed(_) => {
                    self.violated(format!("I8: a rogue was served {:?}", frame.kind()));
                }
                _ => {}
            }
        }
        code
    }

    pub fn violated(&self, what: String) {
        self.world.ledger.borrow_mut().violated(|| what);
    }

    pub fn expect(&self, code: Option<CloseCode>, wanted: CloseCode) {
        // None: the server died under it.
        let is_excused = |code: CloseCode| code == CloseCode::REPLACED || !self.world.is_calm.get() && is_trouble(code);
        if code.is_some_and(|code| code != wanted && !is_excused(code)) {
            self.violated(format!("a rogue was closed with {code:?}, not {wanted}"));
        }
    }

    pub fn hello(&self, device: &str, device_epoch: u32) -> wire::Hello {
        let credential = Some(hello::Credential::Token(self.world.rogue_token.clone()));
        wire::Hello {
            uid: NAME.into(),
            device: device.into(),
            device_epoch,
            credential,
            last_send_no: 0,
            ..Default::default()
        }
    }

    pub fn say_hello(&mut self, hello: wire::Hello) {
        self.write(&PREFACE);
        self.send(&[Frame::Hello(hello)]);
    }

    pub async fn log_in(&mut self) -> Option<wire::Welcome> {
        let (device, epoch) = {
            let mut chance = self.world.chance.borrow_mut();
            (format!("x{}", chance.below(50)), chance.within(1, 1 << 30) as u32)
        };
        self.say_hello(self.hello(&device, epoch));
        loop {
            match self.frame().await? {
                Frame::Welcome(welcome) => return Some(welcome),
                _ => continue,
            }
        }
    }

    pub fn message(send_no: u64, to: &str) -> Frame {
        Self::text(send_no, to, b"not in the book")
    }

    pub fn text(send_no: u64, to: &str, content: &'static [u8]) -> Frame {
        let content = Bytes::from_static(content);
        Frame::Send(wire::Send { send_no, to: to.into(), content, ..Default::default() })
    }

    /// What a conversation holds behind a place. None: the server does not say.
    pub async fn history(&mut self, conversation: &str, after: u64) -> Option<Vec<wire::Message>> {
        let (conversation, forward) = (conversation.into(), true);
        let op = Op::History(wire::HistoryRequest { conversation, after, forward, ..Default::default() });
        self.send(&[Frame::Request(wire::Request { id: 7, op: Some(op) })]);
        loop {
            let Frame::Response(response) = self.frame().await? else { continue };
            let Some(Answer::History(page)) = response.result else { return None };
            let messages = page.entries.into_iter().filter_map(|entry| match entry.item {
                Some(Item::Message(message)) => Some(message),
                _ => None,
            });
            return Some(messages.collect());
        }
    }

    /// The next answer to a SEND: the numbers, or the refusal. None: the connection is over.
    pub async fn answer(&mut self) -> Option<Result<(u64, u64, u64), (NackCode, u64)>> {
        loop {
            match self.frame().await? {
                Frame::SendAck(ack) => return Some(Ok((ack.send_no, ack.cseq, ack.useq))),
                Frame::SendNack(nack) => return Some(Err((nack.code(), nack.expected))),
                _ => continue,
            }
        }
    }
}

/// Whether a server gives this code because of itself, not of its peer: one that goes on after a pause, with a queue that
/// is full, finds the time up before it reads what has come meanwhile.
fn is_trouble(code: CloseCode) -> bool {
    matches!(code, CloseCode::GOING_AWAY | CloseCode::UNAVAILABLE | CloseCode::LOGIN_TIMEOUT | CloseCode::IDLE_TIMEOUT)
}
