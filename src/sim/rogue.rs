//! Peers that mean no good: what they try, and what must become of it (I5, I8).

use std::{
    future::poll_fn,
    net::{IpAddr, Ipv4Addr},
    pin::Pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use hongyan_proto::{
    CloseCode,
    codec::{self, Decoder, MAX_FRAME, PREFACE},
    frame::{Frame, Kind},
    wire::{self, NackCode, hello, request::Op, response::Result as Answer},
};
use rustc_hash::FxHashMap;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    World,
    conversation::User,
    executor::Owner,
    network::{self, End, Road},
};

/// What a rogue does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trick {
    /// Sends and acks before any login.
    BeforeLogin,
    /// Says nothing, or a byte now and then, and never logs in.
    SlowLoris,
    /// Comes back with a resume token that has been used.
    Replay,
    /// Sends above its credit.
    Credit,
    /// Jumps over numbers.
    Gap,
    /// Acks what was never pushed.
    Ack,
    /// Sends another message under a number that was answered.
    Twice,
    /// Asks for conversations of others.
    History,
    /// Asks for a group, and writes in it.
    Group,
    /// Logs in a second time on one connection.
    Again,
    /// Logs in anew while its older connection sends.
    Fence,
}

impl Trick {
    pub const ALL: &[Trick] = &[
        Trick::BeforeLogin,
        Trick::SlowLoris,
        Trick::Replay,
        Trick::Credit,
        Trick::Gap,
        Trick::Ack,
        Trick::Twice,
        Trick::History,
        Trick::Group,
        Trick::Again,
        Trick::Fence,
    ];
}

/// Resume tokens that must not work any more.
#[derive(Default)]
pub struct StolenTokens {
    accepted: FxHashMap<User, Bytes>,
    dead: Vec<Bytes>,
}

impl StolenTokens {
    /// A device has come back with `token`: the one it came back with before is used up.
    pub fn on_resumed(&mut self, device: usize, token: &Bytes) {
        let older = self.accepted.insert(device, token.clone());
        self.dead.extend(older.filter(|older| older != token));
    }
}

/// One connection of a rogue.
struct Rogue {
    world: Rc<World>,
    end: End,
    decoder: Decoder,
}

/// How long a rogue waits for something to happen.
const PATIENCE: Duration = Duration::from_secs(20);
const NAME: &str = "mallory";

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9));

fn connect(world: &World) -> (End, End) {
    let chance = world.chance.borrow_mut().fork();
    let millisecond = Duration::from_millis(1);
    let road = Road { latency: millisecond, jitter: millisecond, piece: 1400, capacity: 65536 };
    network::connect(&world.clock, chance, road)
}

pub fn begin(world: &Rc<World>, trick: Trick) {
    let (end, theirs) = connect(world);
    if !world.host.accept(theirs, ADDRESS) {
        return;
    }
    let mut rogue = Rogue { world: world.clone(), end, decoder: Decoder::default() };
    let job = async move {
        let world = rogue.world.clone();
        let mut given_up = false;
        {
            let mut play = std::pin::pin!(rogue.play(trick));
            let until = world.clock.now() + PATIENCE;
            poll_fn(|context| {
                if play.as_mut().poll(context).is_ready() {
                    return Poll::Ready(());
                }
                if world.clock.now() >= until {
                    given_up = true;
                    return Poll::Ready(());
                }
                world.clock.wake_at(until, context.waker());
                Poll::Pending
            })
            .await;
        }
        // A server that was killed, paused or cut off owes nobody anything.
        if given_up && world.is_calm.get() {
            world.ledger.borrow_mut().violated(|| format!("I8: the server lets a rogue stay: {trick:?}"));
        }
    };
    world.spawner.spawn(Owner::World, job);
}

impl Rogue {
    fn write(&mut self, bytes: &[u8]) {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        // It is little, and whether it arrives is the rogue's own risk.
        let _ = Pin::new(&mut self.end).poll_write(&mut context, bytes);
    }

    fn send(&mut self, frames: &[Frame]) {
        let mut out = BytesMut::new();
        frames.iter().for_each(|frame| frame.encode(&mut out));
        self.write(&out);
    }

    /// The next frame; none: the connection is over.
    async fn frame(&mut self) -> Option<Frame> {
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
    async fn until_closed(&mut self) -> Option<CloseCode> {
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

    fn violated(&self, what: String) {
        self.world.ledger.borrow_mut().violated(|| what);
    }

    fn expect(&self, code: Option<CloseCode>, wanted: CloseCode) {
        // None: the server died under it.
        let is_excused = |code: CloseCode| code == CloseCode::REPLACED || !self.world.is_calm.get() && is_trouble(code);
        if code.is_some_and(|code| code != wanted && !is_excused(code)) {
            self.violated(format!("a rogue was closed with {code:?}, not {wanted}"));
        }
    }

    fn hello(&self, device: &str, device_epoch: u32) -> wire::Hello {
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

    async fn log_in(&mut self) -> Option<wire::Welcome> {
        let (device, epoch) = {
            let mut chance = self.world.chance.borrow_mut();
            (format!("x{}", chance.below(50)), chance.within(1, 1 << 30) as u32)
        };
        let hello = self.hello(&device, epoch);
        self.write(&PREFACE);
        self.send(&[Frame::Hello(hello)]);
        loop {
            match self.frame().await? {
                Frame::Welcome(welcome) => return Some(welcome),
                _ => continue,
            }
        }
    }

    fn message(send_no: u64, to: &str) -> Frame {
        let content = Bytes::from_static(b"not in the book");
        Frame::Send(wire::Send { send_no, to: to.into(), content, ..Default::default() })
    }

    async fn play(&mut self, trick: Trick) {
        match trick {
            Trick::BeforeLogin => {
                self.write(&PREFACE);
                let ack = Frame::Ack(wire::Ack { useq: 1 });
                let first = if self.world.chance.borrow_mut().one_in(2) { ack } else { Self::message(1, "u0") };
                self.send(&[first, Self::message(1, "u0")]);
                let code = self.until_closed().await;
                self.expect(code, CloseCode::WRONG_STATE);
            }
            Trick::SlowLoris => {
                let some = self.world.chance.borrow_mut().below(3);
                self.write(&PREFACE[..some]);
                let code = self.until_closed().await;
                self.expect(code, CloseCode::LOGIN_TIMEOUT);
            }
            Trick::Replay => self.replay().await,
            Trick::Fence => self.fence().await,
            Trick::Credit | Trick::Gap | Trick::Ack | Trick::Twice | Trick::History | Trick::Group | Trick::Again => {
                if let Some(welcome) = self.log_in().await {
                    self.misuse(trick, welcome).await;
                }
            }
        }
    }

    async fn replay(&mut self) {
        let dead = self.world.stolen_tokens.borrow().dead.clone();
        if dead.is_empty() {
            return;
        }
        let resume_token = dead[self.world.chance.borrow_mut().below(dead.len())].clone();
        self.write(&PREFACE);
        self.send(&[Frame::Resume(wire::Resume { resume_token, ..Default::default() })]);
        let code = self.until_closed().await;
        // Who tries that too often is not heard any more.
        if code != Some(CloseCode::TOO_MANY_ATTEMPTS) {
            self.expect(code, CloseCode::RESUME_REFUSED);
        }
    }

    async fn misuse(&mut self, trick: Trick, welcome: wire::Welcome) {
        let max = welcome.max_send_no;
        match trick {
            Trick::Credit => {
                self.send(&[Self::message(max + 1, NAME)]);
                let code = self.until_closed().await;
                self.expect(code, CloseCode::CREDIT_EXCEEDED);
            }
            Trick::Ack => {
                self.send(&[Frame::Ack(wire::Ack { useq: welcome.head + 1_000_000 })]);
                let code = self.until_closed().await;
                self.expect(code, CloseCode::BAD_ACK);
            }
            Trick::Gap => {
                self.send(&[Self::message(2, NAME)]);
                let answer = self.answer().await;
                if !matches!(&answer, None | Some(Err((NackCode::NackGap | NackCode::NackUnavailable, _)))) {
                    self.violated(format!("R2: a gap was answered with {answer:?}"));
                }
            }
            Trick::Twice => {
                self.send(&[Self::message(1, NAME)]);
                let first = self.answer().await;
                let other = wire::Send {
                    send_no: 1,
                    to: NAME.into(),
                    content: Bytes::from_static(b"other"),
                    ..Default::default()
                };
                self.send(&[Frame::Send(other)]);
                let second = self.answer().await;
                // The answer is kept, and cannot be repeated while the disk is full.
                let is_later = matches!(second, None | Some(Err((NackCode::NackUnavailable, _))));
                if matches!(first, Some(Ok(_))) && first != second && !is_later {
                    self.violated(format!("R2: one number was answered with {first:?} and {second:?}"));
                }
            }
            Trick::History => self.read_history("u0").await,
            Trick::Group => {
                let groups = self.world.ledger.borrow().groups();
                let group = format!("#{}", groups.last().unwrap_or(&1));
                self.send(&[Self::message(1, &group)]);
                let answer = self.answer().await;
                if !matches!(&answer, None | Some(Err((NackCode::NackNotFound | NackCode::NackUnavailable, _)))) {
                    self.violated(format!("I5: a rogue who wrote in a group was answered {answer:?}"));
                }
                self.read_history(&group).await;
            }
            _ => {
                let mut out = BytesMut::new();
                codec::put_frame(&mut out, Kind::Hello, &self.hello("x1", 7));
                self.write(&out);
                let code = self.until_closed().await;
                self.expect(code, CloseCode::WRONG_STATE);
            }
        }
    }

    /// What is sent on an older connection counts up to the newer login, which says how far that is, and no further.
    async fn fence(&mut self) {
        let device = format!("f{}", self.world.chance.borrow_mut().number());
        let Some(mut newer) = self.beside() else { return };
        let hello = |last_send_no| Frame::Hello(wire::Hello { last_send_no, ..self.hello(&device, 7) });
        let (first, second) = (hello(0), hello(8));
        self.write(&PREFACE);
        self.send(&[first]);
        if !matches!(self.frame().await, Some(Frame::Welcome(_))) {
            return;
        }
        newer.write(&PREFACE);
        newer.send(&[second]);
        for send_no in 1..=4 {
            self.send(&[Self::message(send_no, NAME)]);
            self.world.clock.sleep(Duration::from_micros(500)).await;
        }
        let Some(Frame::Welcome(welcome)) = newer.frame().await else { return };
        newer.send(&[Self::message(welcome.last_send_no + 1, NAME)]);
        if let Some(Ok((_, _, useq))) = newer.answer().await
            && useq <= welcome.head
        {
            self.violated(format!("I2: a number that was free at the login stands for entry {useq} of before it"));
        }
        while let Some(frame) = self.frame().await {
            if matches!(&frame, Frame::SendAck(ack) if ack.send_no > welcome.last_send_no) {
                self.violated(format!("I5: {frame:?} on a connection that ended at {}", welcome.last_send_no));
            }
        }
    }

    /// Another connection from the same place.
    fn beside(&self) -> Option<Self> {
        let (end, theirs) = connect(&self.world);
        let is_taken = self.world.host.accept(theirs, ADDRESS);
        is_taken.then(|| Self { world: self.world.clone(), end, decoder: Decoder::default() })
    }

    /// Asks for what others have written.
    async fn read_history(&mut self, conversation: &str) {
        let op = Op::History(wire::HistoryRequest { conversation: conversation.into(), ..Default::default() });
        self.send(&[Frame::Request(wire::Request { id: 7, op: Some(op) })]);
        while let Some(frame) = self.frame().await {
            let Frame::Response(response) = frame else { continue };
            if matches!(&response.result, Some(Answer::History(page)) if !page.entries.is_empty()) {
                self.violated(format!("I5: a rogue reads the history of {conversation}"));
            }
            return;
        }
    }

    /// The next answer to a SEND: the numbers, or the refusal. None: the connection is over.
    async fn answer(&mut self) -> Option<Result<(u64, u64, u64), (NackCode, u64)>> {
        loop {
            match self.frame().await? {
                Frame::SendAck(ack) => return Some(Ok((ack.send_no, ack.cseq, ack.useq))),
                Frame::SendNack(nack) => return Some(Err((nack.code(), nack.expected))),
                _ => continue,
            }
        }
    }
}

/// Whether a server gives this code because of itself, not of its peer.
fn is_trouble(code: CloseCode) -> bool {
    matches!(code, CloseCode::GOING_AWAY | CloseCode::UNAVAILABLE | CloseCode::LOGIN_TIMEOUT)
}
