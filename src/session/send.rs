//! Checking a SEND and handing it to the committer.

use std::sync::Arc;

use hongyan_proto::wire::{self, NackCode};

use super::form;
use crate::{
    committer::{
        CommitQueue,
        op::{Op, SendNumber, Submit},
    },
    live::channel::{Channel, Outbound},
};

/// Takes a SEND of an authenticated device. Its answer comes through `channel`, after the commit.
pub fn submit(
    queue: &CommitQueue,
    limits: &wire::Limits,
    channel: &Arc<Channel>,
    send: wire::Send,
    number: SendNumber,
) {
    let send_no = send.send_no;
    let body = form::check(send, limits);
    if !queue.put(Op::Submit(Submit { channel: channel.clone(), number, body })) {
        let code = NackCode::NackUnavailable as i32;
        let reason = "the server is stopping".into();
        channel.answer(Outbound::Refused(wire::SendNack { send_no, code, reason, retry_after_ms: 1000, expected: 0 }));
    }
}
