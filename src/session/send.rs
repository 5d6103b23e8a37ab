//! Checking a SEND and handing it to the committer.

use std::sync::Arc;

use hongyan_proto::wire::{self, NackCode};

use super::service::Core;
use crate::{
    committer::op::{Op, SendNumber, Submit},
    live::channel::{Channel, Outbound},
};

/// Takes a SEND of an authenticated device. Its answer comes through the device's channel, after the commit.
pub fn submit(core: &Core, channel: &Arc<Channel>, send: wire::Send, number: SendNumber) {
    core.metrics.messages_received.inc();
    let send_no = send.send_no;
    let body = super::form::check(send, core.limits());
    if !core.queue.put(Op::Submit(Submit { channel: channel.clone(), number, body })) {
        let code = NackCode::NackUnavailable as i32;
        let reason = "the server is stopping".into();
        channel.answer(Outbound::Refused(wire::SendNack { send_no, code, reason, retry_after_ms: 1000, expected: 0 }));
    }
}
