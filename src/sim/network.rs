//! A network that delays, splits and joins bytes, stalls, and breaks in three ways.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{chance::Chance, clock::Clock};

/// How one connection behaves when nothing is wrong.
#[derive(Clone, Copy, Debug)]
pub struct Road {
    pub latency: Duration,
    /// Added to each piece, at random.
    pub jitter: Duration,
    /// The most bytes that are read at once of what comes in portions.
    pub piece: usize,
    /// Bytes that may be under way in one direction.
    pub capacity: usize,
}

/// One in so many writes is read in portions, the others as they were written. Each portion costs as much as a frame, and
/// where in a frame it ends matters only to what puts frames together.
const CRUMBLED_ONE_IN: usize = 3;

/// How a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Both ends read a part of what was under way, and then the end.
    Fin,
    /// Both ends get an error; what was under way is gone.
    Reset,
    /// Nobody is told; nothing arrives any more.
    Silence,
}

/// Bytes that travel together.
struct Piece {
    arrives: Instant,
    bytes: Bytes,
    /// The reader gets them in small portions.
    is_crumbled: bool,
}

#[derive(Default)]
struct Way {
    /// In the order of their arrival.
    pieces: VecDeque<Piece>,
    bytes: usize,
    /// When the reader learns that nothing more comes.
    ends_at: Option<Instant>,
    /// Nobody reads this any more, so writing is an error.
    is_deserted: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Way {
    fn wake_both(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Silent,
    Reset,
}

struct Line {
    clock: Arc<Clock>,
    chance: Chance,
    road: Road,
    /// What side 0 and side 1 have written.
    ways: [Way; 2],
    state: State,
    stalled_until: Instant,
}

/// One of the two ends of a connection. Dropping it closes the connection, as a socket does.
pub struct End {
    line: Rc<RefCell<Line>>,
    side: usize,
}

/// A new connection: its two ends.
pub fn connect(clock: &Arc<Clock>, chance: Chance, road: Road) -> (End, End) {
    let stalled_until = clock.now();
    let line = Line { clock: clock.clone(), chance, road, ways: Default::default(), state: State::Open, stalled_until };
    let line = Rc::new(RefCell::new(line));
    (End { line: line.clone(), side: 0 }, End { line, side: 1 })
}

impl Line {
    fn arrival(&mut self, side: usize) -> Instant {
        let jitter = self.road.jitter.as_micros() as u64;
        let delay = self.road.latency + self.chance.span(0, jitter);
        let last = self.ways[side].pieces.back().map_or(self.stalled_until, |piece| piece.arrives);
        (self.clock.now() + delay).max(last).max(self.stalled_until)
    }

    fn poll_read(&mut self, side: usize, buffer: &mut ReadBuf<'_>, waker: &Waker) -> Poll<io::Result<()>> {
        if self.state == State::Reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let now = self.clock.now();
        let way = &mut self.ways[1 - side];
        let is_open = self.state == State::Open;
        if let Some(piece) = way.pieces.front_mut().filter(|piece| is_open && piece.arrives <= now) {
            // Byte by byte is for what is short; the rest of something long need not take for ever.
            let portion = self.road.piece.max(way.bytes / 16);
            let most = if piece.is_crumbled { 1 + self.chance.below(portion) } else { piece.bytes.len() };
            let taken = most.min(piece.bytes.len()).min(buffer.remaining());
            buffer.put_slice(&piece.bytes[..taken]);
            piece.bytes.advance(taken);
            if piece.bytes.is_empty() {
                way.pieces.pop_front();
            }
            way.bytes -= taken;
            way.writer.take().into_iter().for_each(Waker::wake);
            return Poll::Ready(Ok(()));
        }
        if way.pieces.is_empty() && way.ends_at.is_some_and(|at| is_open && at <= now) {
            return Poll::Ready(Ok(()));
        }
        way.reader = Some(waker.clone());
        if let Some(at) = way.pieces.front().map(|piece| piece.arrives).or(way.ends_at).filter(|_| is_open) {
            self.clock.wake_at(at, waker);
        }
        Poll::Pending
    }

    fn poll_write(&mut self, side: usize, bytes: &[u8], waker: &Waker) -> Poll<io::Result<usize>> {
        if self.state == State::Reset || self.ways[side].is_deserted {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let room = self.road.capacity.saturating_sub(self.ways[side].bytes);
        if room == 0 {
            self.ways[side].writer = Some(waker.clone());
            return Poll::Pending;
        }
        let taken = bytes.len().min(room);
        let arrives = self.arrival(side);
        let is_crumbled = self.chance.one_in(CRUMBLED_ONE_IN);
        let way = &mut self.ways[side];
        way.bytes += taken;
        if self.state == State::Open {
            let pieces = bytes[..taken].chunks(self.road.piece.max(1400)).map(Bytes::copy_from_slice);
            way.pieces.extend(pieces.map(|bytes| Piece { arrives, bytes, is_crumbled }));
            if let Some(reader) = way.reader.take() {
                self.clock.wake_at(arrives, &reader);
            }
        }
        Poll::Ready(Ok(taken))
    }

    fn end(&mut self, side: usize) {
        let arrival = self.arrival(side);
        let way = &mut self.ways[side];
        way.ends_at.get_or_insert(arrival);
        if let Some(reader) = way.reader.take() {
            self.clock.wake_at(arrival, &reader);
        }
    }

    fn cut(&mut self, cut: Cut) {
        let now = self.clock.now();
        for side in 0..2 {
            let keep = match cut {
                Cut::Fin => self.chance.below(self.ways[side].bytes + 1),
                Cut::Reset | Cut::Silence => 0,
            };
            let way = &mut self.ways[side];
            let mut kept = 0;
            for Piece { bytes, .. } in &mut way.pieces {
                bytes.truncate(keep - kept);
                kept += bytes.len();
            }
            way.pieces.retain(|piece| !piece.bytes.is_empty());
            way.bytes = kept;
            if cut == Cut::Fin {
                way.ends_at = Some(way.pieces.back().map_or(now, |piece| piece.arrives));
                way.is_deserted = true;
            }
        }
        match cut {
            Cut::Fin => {}
            Cut::Reset => self.state = State::Reset,
            Cut::Silence => self.state = State::Silent,
        }
        self.ways.iter_mut().for_each(Way::wake_both);
    }
}

impl End {
    pub fn cut(&self, cut: Cut) {
        self.line.borrow_mut().cut(cut);
    }

    /// Nothing arrives before `until`, in either direction.
    pub fn stall(&self, until: Instant) {
        let mut line = self.line.borrow_mut();
        line.stalled_until = line.stalled_until.max(until);
        for way in &mut line.ways {
            way.pieces.iter_mut().for_each(|piece| piece.arrives = piece.arrives.max(until));
            way.ends_at = way.ends_at.map(|at| at.max(until));
        }
    }

    /// From now on the connection is as good as one can be.
    pub fn heal(&self, road: Road) {
        let mut line = self.line.borrow_mut();
        let line = &mut *line;
        line.road = road;
        if line.state == State::Silent {
            // Packets arrive again, and whoever gets one that it knows nothing of says so.
            line.state = State::Reset;
        }
        line.stalled_until = line.clock.now();
        let soon = line.stalled_until + road.latency;
        for way in &mut line.ways {
            way.pieces.iter_mut().for_each(|piece| piece.arrives = piece.arrives.min(soon));
            way.ends_at = way.ends_at.map(|at| at.min(soon));
        }
        line.ways.iter_mut().for_each(Way::wake_both);
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.line.borrow_mut().poll_read(self.side, buffer, context.waker())
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.line.borrow_mut().poll_write(self.side, bytes, context.waker())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.borrow_mut().end(self.side);
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut line = self.line.borrow_mut();
        line.end(self.side);
        let other = &mut line.ways[1 - self.side];
        other.is_deserted = true;
        other.wake_both();
    }
}
