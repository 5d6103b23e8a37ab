//! Checking a SEND and handing it to the committer; passing signals on.

mod form;

use std::sync::Arc;

use hongyan_proto::{
    Uid,
    wire::{self, NackCode},
};

use crate::{
    channel::{Channel, Outbound},
    committer::op::{Op, Submit},
    core::Core,
};

/// The longest body of a signal, in bytes.
pub const MAX_SIGNAL: usize = 1024;

/// Takes a SEND of an authenticated device. Its answer comes through the device's channel, after the commit.
pub fn submit(core: &Core, channel: &Arc<Channel>, send: wire::Send) {
    core.metrics.messages_received.inc();
    let send_no = send.send_no;
    let body = form::check(send, core.limits().max_content as usize);
    if !core.queue.put(Op::Submit(Submit { channel: channel.clone(), send_no, body })) {
        let code = NackCode::NackUnavailable as i32;
        let reason = "the server is stopping".into();
        channel.answer(Outbound::Refused(wire::SendNack { send_no, code, reason, retry_after_ms: 1000, expected: 0 }));
    }
}

/// Passes a signal on to the live devices of its recipient; nobody is told if there are none.
pub async fn signal(core: &Core, from: &Uid, signal: wire::Signal) {
    if signal.body.len() > MAX_SIGNAL {
        return;
    }
    if !Uid::is_valid(&signal.to) {
        return;
    }
    let Ok(Some(recipient)) = core.log.user_no(&signal.to).await else { return };
    let passed = wire::Signal { from: from.as_str().into(), body: signal.body, ..Default::default() };
    core.sessions.for_each_of(recipient, |channel| channel.signal(passed.clone()));
}
