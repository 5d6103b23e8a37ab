//! The frame decoder. The first byte of an input says how the rest of it arrives.

use bytes::BytesMut;
use hongyan_proto::{
    codec::{Decoder, FrameError, HEADER_LEN, MAX_FRAME, RawFrame},
    frame::Frame,
};

use crate::{grammar, net::Rng};

const LIMITS: [usize; 4] = [16, 4096, 65_536, MAX_FRAME];

pub fn run(data: &[u8]) {
    let Some((&how, stream)) = data.split_first() else { return };
    let max_frame = LIMITS[usize::from(how & 3)];
    let piece = 1 + usize::from(how >> 2);
    let (whole, error) = cut(stream, stream.len().max(1), max_frame);
    assert_eq!(cut(stream, piece, max_frame), (whole.clone(), error), "in pieces of {piece}");
    let mut preface = Decoder::default();
    preface.feed(BytesMut::from(stream));
    let _ = preface.take_preface();
    whole.into_iter().for_each(decode);
}

/// The frames of a stream that arrives in pieces, and what broke it.
fn cut(stream: &[u8], piece: usize, max_frame: usize) -> (Vec<RawFrame>, Option<FrameError>) {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    for bytes in stream.chunks(piece) {
        decoder.feed(BytesMut::from(bytes));
        loop {
            match decoder.next_frame(max_frame) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(decoder.buffered() < HEADER_LEN - 1 + max_frame, "{} bytes wait", decoder.buffered());
    }
    (frames, None)
}

/// What a frame says survives being written again.
fn decode(raw: RawFrame) {
    let Ok(Some(frame)) = Frame::decode(raw) else { return };
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    let mut decoder = Decoder::default();
    decoder.feed(out);
    let again = decoder.next_frame(MAX_FRAME).unwrap().unwrap();
    assert_eq!(Frame::decode(again), Ok(Some(frame)));
}

/// A stream of frames behind a byte that says how it arrives.
pub fn generate(rng: &mut Rng) -> Vec<u8> {
    let how = rng.next() as u8 | 1;
    [&[how], &grammar::stream(rng)[..]].concat()
}
