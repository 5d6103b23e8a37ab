//! The simulated network: what happens to bytes between two ends, decided by a seed.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use hongyan_proto::{
    BytesMut,
    codec::{Decoder, MAX_FRAME},
    frame::Frame,
};

/// A seeded generator (SplitMix64): the same seed gives the same run on every machine.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// What the network does.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Bytes travel in pieces of at most this many; 0: as they were written.
    pub max_piece: usize,
    /// How long a piece travels at most.
    pub max_delay: Duration,
    /// For each new connection, from the last to the first: after how many bytes it is cut, up and down.
    pub cuts: Vec<(Option<usize>, Option<usize>)>,
    /// The server does not learn of a cut.
    pub half_open: bool,
    /// Both ends write frames without meaning now and then.
    pub grease: bool,
}

/// One direction of a link.
pub struct Pipe {
    pieces: VecDeque<(Instant, BytesMut)>,
    /// How many more bytes arrive before the link breaks.
    left: Option<usize>,
    /// Everything that was written, arrived or not.
    tap: BytesMut,
}

impl Pipe {
    pub fn new(cut: Option<usize>) -> Self {
        Self { pieces: VecDeque::new(), left: cut, tap: BytesMut::new() }
    }

    pub fn is_cut(&self) -> bool {
        self.left == Some(0)
    }

    pub fn next_time(&self) -> Option<Instant> {
        self.pieces.front().map(|(at, _)| *at)
    }

    pub fn write(&mut self, mut bytes: BytesMut, now: Instant, plan: &Plan, rng: &mut Rng) -> bool {
        let wrote = !bytes.is_empty();
        self.tap.extend_from_slice(&bytes);
        while !bytes.is_empty() {
            let piece = match plan.max_piece {
                0 => bytes.len(),
                max => (1 + rng.below(max as u64) as usize).min(bytes.len()),
            };
            let after = self.pieces.back().map_or(now, |(at, _)| *at);
            let at = after.max(now + Duration::from_micros(rng.below(plan.max_delay.as_micros() as u64)));
            self.pieces.push_back((at, bytes.split_to(piece)));
        }
        wrote
    }

    /// Everything that has arrived, in one piece.
    pub fn read(&mut self, now: Instant) -> Option<BytesMut> {
        let mut read = BytesMut::new();
        while self.pieces.front().is_some_and(|(at, _)| *at <= now) {
            let (_, piece) = self.pieces.pop_front().expect("a front was seen");
            read.extend_from_slice(&piece);
        }
        if let Some(left) = &mut self.left {
            read.truncate(*left);
            *left -= read.len();
        }
        (!read.is_empty()).then_some(read)
    }

    /// Everything that was written.
    pub fn tap(&self) -> &[u8] {
        &self.tap
    }

    /// The known frames among what was written.
    pub fn frames(&self, preface: bool) -> Vec<Frame> {
        let mut decoder = Decoder::default();
        decoder.feed(self.tap.clone());
        if preface && !decoder.take_preface().expect("a preface") {
            return Vec::new();
        }
        let mut frames = Vec::new();
        while let Some(raw) = decoder.next_frame(MAX_FRAME).expect("whole frames") {
            frames.extend(Frame::decode(raw).expect("legal frames"));
        }
        frames
    }
}
