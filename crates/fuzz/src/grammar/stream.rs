//! Whole inputs: random bytes, or a stream of frames with a few bytes changed.

use arbitrary::Unstructured;
use bytes::BytesMut;
use hongyan_proto::{
    codec::{PREFACE, put_typed},
    kind::Kind,
};

use super::frame::{from_client, from_server};
use crate::net::Rng;

/// Random bytes, for targets that make operations of them.
pub fn noise(rng: &mut Rng) -> Vec<u8> {
    let len = 1 + rng.below(600);
    (0..len).map(|_| rng.next() as u8).collect()
}

/// A stream of frames of both ends, with a few mistakes.
pub fn stream(rng: &mut Rng) -> Vec<u8> {
    let noise = noise(rng);
    let mut u = Unstructured::new(&noise);
    let mut out = BytesMut::new();
    if rng.below(2) == 0 {
        out.extend_from_slice(&PREFACE);
    }
    for _ in 0..rng.below(12) {
        let frame = if rng.below(2) == 0 { from_client(&mut u) } else { from_server(&mut u) };
        match frame {
            Ok(frame) if rng.below(8) > 0 => frame.encode(&mut out),
            // A body that belongs to another kind, or to none.
            _ => {
                let type_byte = if rng.below(2) == 0 { rng.next() as u8 } else { any_kind(rng) as u8 };
                let len = rng.below(20) as usize;
                put_typed(&mut out, type_byte, len, |out| (0..len).for_each(|_| out.extend([rng.next() as u8])));
            }
        }
    }
    let mut stream = out.to_vec();
    for _ in 0..rng.below(4) {
        mutate(&mut stream, rng);
    }
    stream
}

fn any_kind(rng: &mut Rng) -> Kind {
    Kind::ALL[rng.below(Kind::ALL.len() as u64) as usize]
}

/// One small mistake.
pub fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    if bytes.is_empty() {
        return;
    }
    let at = rng.below(bytes.len() as u64) as usize;
    match rng.below(6) {
        0 => bytes[at] = rng.next() as u8,
        1 => bytes[at] ^= 1 << rng.below(8),
        2 => drop(bytes.remove(at)),
        3 => bytes.insert(at, rng.next() as u8),
        4 => bytes.truncate(at),
        _ => {
            let end = at + rng.below((bytes.len() - at) as u64 + 1) as usize;
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
    }
}
