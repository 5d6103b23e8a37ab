//! Frames that either end may write, with fields at their limits.

use arbitrary::{Result, Unstructured};
use hongyan_proto::{frame::Frame, wire};

use super::value::{bytes, number};

fn name(u: &mut Unstructured<'_>) -> Result<String> {
    Ok(match u.int_in_range(0..=9)? {
        0 => String::new(),
        1 => "x".repeat(65),
        2 => u.arbitrary::<&str>()?.to_owned(),
        3..=5 => "alice".into(),
        _ => "bob".into(),
    })
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
