//! Checking a SEND and handing it to the committer.

use hongyan_proto::wire::{self, NackCode};

use super::form;
use crate::{
    live::{channel::Channel, queue::Outbound},
    ops::{
        answer::{Answer, Reply},
        desk::Desk,
        id::{ChannelId, SendNumber},
        op::{Op, Submit},
    },
};

/// Takes a SEND of an authenticated device. Its answer comes through `channel`, after the commit.
pub fn submit(desk: &Desk, limits: &wire::Limits, channel: &Channel, send: wire::Send) {
    let (send_no, number) = (send.send_no, SendNumber::Given(send.send_no));
    let body = form::check(send, limits);
    if !desk.put(Op::Submit(Submit { from: channel.id, op: None, number, body })) {
        channel.answer(Outbound::Refused(stopping(send_no)));
    }
}

/// Takes a SEND whose sender waits for this one answer, not for the channel. None: the device has connected again since, and
/// nobody answers here any more.
pub async fn ask(
    desk: &Desk,
    limits: &wire::Limits,
    from: ChannelId,
    send: wire::Send,
    number: SendNumber,
) -> Option<Reply> {
    let send_no = send.send_no;
    let body = form::check(send, limits);
    let Some(asked) = desk.ask(|op| Op::Submit(Submit { from, op: Some(op), number, body })) else {
        return Some(Err(stopping(send_no)));
    };
    match asked.await {
        Answer::Sent(reply) => Some(reply),
        Answer::Stopped => Some(Err(stopping(send_no))),
        _ => None,
    }
}

fn stopping(send_no: u64) -> wire::SendNack {
    let code = NackCode::NackUnavailable as i32;
    wire::SendNack { send_no, code, reason: "the server is stopping".into(), retry_after_ms: 1000, expected: 0 }
}
