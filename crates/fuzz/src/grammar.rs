//! Input that is nearly right: frames with fields at their limits, then a few bytes changed.

pub mod asked;

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::BytesMut;
use hongyan_proto::{
    codec::{PREFACE, put_typed},
    frame::Frame,
    kind::Kind,
    wire,
};

use crate::net::Rng;

/// Numbers that rules are made of.
const EDGES: [u64; 12] = [0, 1, 2, 16, 63, 64, 65, 1 << 14, 1 << 32, (1 << 62) - 1, u64::MAX - 1, u64::MAX];

/// A number of the protocol: mostly a small one, which fits what is under way, at times an edge.
pub fn number(u: &mut Unstructured<'_>) -> Result<u64> {
    let byte = u8::arbitrary(u)?;
    Ok(match byte {
        0..=219 => u64::from(byte % 80),
        220..=249 => EDGES[usize::from(byte) % EDGES.len()],
        _ => u64::arbitrary(u)?,
    })
}

fn name(u: &mut Unstructured<'_>) -> Result<String> {
    Ok(match u.int_in_range(0..=9)? {
        0 => String::new(),
        1 => "x".repeat(65),
        2 => u.arbitrary::<&str>()?.to_owned(),
        3..=5 => "alice".into(),
        _ => "bob".into(),
    })
}

fn bytes(u: &mut Unstructured<'_>) -> Result<bytes::Bytes> {
    let len = u.int_in_range(0..=40)?;
    Ok(u.bytes(len.min(u.len()))?.to_vec().into())
}

fn hello(u: &mut Unstructured<'_>) -> Result<wire::Hello> {
    let cursor = if u.arbitrary()? { Some(number(u)?) } else { None };
    Ok(wire::Hello {
        uid: name(u)?,
        device: name(u)?,
        device_epoch: u.arbitrary()?,
        cursor,
        log_epoch: number(u)?,
        last_send_no: number(u)?,
        answered_send_no: number(u)?,
        credential: Some(wire::hello::Credential::Token(name(u)?)),
        ..Default::default()
    })
}

/// A frame that a client may write.
pub fn from_client(u: &mut Unstructured<'_>) -> Result<Frame> {
    Ok(match u.int_in_range(0..=11)? {
        0 => Frame::Hello(hello(u)?),
        1 => {
            let fallback = if u.arbitrary()? { Some(hello(u)?) } else { None };
            let (resume_token, cursor, limits_id) = (bytes(u)?, number(u)?, u.arbitrary()?);
            Frame::Resume(wire::Resume { resume_token, cursor, limits_id, fallback })
        }
        2 => Frame::Ping(wire::Ping { next_ms: number(u)? as u32, ack: number(u)? }),
        3 => Frame::Pong(wire::Pong { head: number(u)? }),
        4 | 5 => Frame::Ack(wire::Ack { useq: number(u)? }),
        6..=8 => {
            Frame::Send(wire::Send { send_no: number(u)?, to: name(u)?, content: bytes(u)?, ..Default::default() })
        }
        9 => Frame::SyncReq(wire::SyncReq { after: number(u)? }),
        10 => Frame::Signal(wire::Signal { to: name(u)?, from: name(u)?, body: bytes(u)?, ..Default::default() }),
        _ => Frame::Close(wire::Close { code: number(u)? as u32, reason: name(u)?, retry_after_ms: u.arbitrary()? }),
    })
}

fn limits(u: &mut Unstructured<'_>) -> Result<Option<wire::Limits>> {
    if u.arbitrary()? {
        return Ok(None);
    }
    Ok(Some(wire::Limits {
        max_frame: number(u)? as u32,
        heartbeat_ms: number(u)? as u32,
        heartbeat_min_ms: number(u)? as u32,
        heartbeat_max_ms: number(u)? as u32,
        id: u.arbitrary()?,
        ..Default::default()
    }))
}

fn entry(u: &mut Unstructured<'_>) -> Result<wire::Entry> {
    let (useq, own_send_no) = (number(u)?, number(u)?);
    let item = match u.int_in_range(0..=3)? {
        0 => None,
        1 => Some(wire::entry::Item::Receipt(wire::Receipt {
            conversation: name(u)?,
            delivered_cseq: number(u)?,
            ..Default::default()
        })),
        _ => Some(wire::entry::Item::Message(wire::Message {
            from: name(u)?,
            to: name(u)?,
            cseq: number(u)?,
            time_ms: number(u)?,
            content: bytes(u)?,
            ..Default::default()
        })),
    };
    Ok(wire::Entry { useq, own_send_no, item })
}

/// A frame that a server may write.
pub fn from_server(u: &mut Unstructured<'_>) -> Result<Frame> {
    Ok(match u.int_in_range(0..=14)? {
        0 => Frame::Welcome(wire::Welcome {
            head: number(u)?,
            last_send_no: number(u)?,
            max_send_no: number(u)?,
            cursor: number(u)?,
            limits: limits(u)?,
            ..Default::default()
        }),
        1 => Frame::Resumed(wire::Resumed {
            last_send_no: number(u)?,
            max_send_no: number(u)?,
            limits: limits(u)?,
            ..Default::default()
        }),
        2 => Frame::Reject(wire::Reject { code: number(u)? as u32, reason: name(u)?, retry_after_ms: u.arbitrary()? }),
        3 => Frame::Ping(wire::Ping::default()),
        4 => Frame::Pong(wire::Pong { head: number(u)? }),
        5 => Frame::Credit(wire::Credit { max_send_no: number(u)? }),
        6 | 7 => {
            let (send_no, cseq, useq, time_ms) = (number(u)?, number(u)?, number(u)?, number(u)?);
            Frame::SendAck(wire::SendAck { send_no, cseq, useq, time_ms, group: 0 })
        }
        8 => Frame::SendNack(wire::SendNack {
            send_no: number(u)?,
            code: u.int_in_range(-1..=22)?,
            reason: name(u)?,
            retry_after_ms: number(u)? as u32,
            expected: number(u)?,
        }),
        9..=11 => Frame::Push(entry(u)?),
        12 => Frame::SyncReset(wire::SyncReset { log_epoch: number(u)?, low: number(u)?, head: number(u)? }),
        13 => Frame::Signal(wire::Signal { to: name(u)?, from: name(u)?, body: bytes(u)?, ..Default::default() }),
        _ => Frame::Close(wire::Close { code: number(u)? as u32, reason: name(u)?, retry_after_ms: u.arbitrary()? }),
    })
}

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
