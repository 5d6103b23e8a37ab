//! Checking a SEND and handing it to the committer; passing signals on.

use std::sync::Arc;

use hongyan_proto::{
    Uid,
    wire::{self, NackCode},
};

use crate::{
    channel::{Channel, Outbound},
    committer::op::{Addressed, Op, Refusal, SendNumber, Submit},
    core::Core,
};

/// The longest body of a signal, in bytes.
pub const MAX_SIGNAL: usize = 1024;

/// Takes a SEND of an authenticated device. Its answer comes through the device's channel, after the commit.
pub fn submit(core: &Core, channel: &Arc<Channel>, send: wire::Send, number: SendNumber) {
    core.metrics.messages_received.inc();
    let send_no = send.send_no;
    let body = check(core, send);
    if !core.queue.put(Op::Submit(Submit { channel: channel.clone(), number, body })) {
        let code = NackCode::NackUnavailable as i32;
        let reason = "the server is stopping".into();
        channel.answer(Outbound::Refused(wire::SendNack { send_no, code, reason, retry_after_ms: 1000, expected: 0 }));
    }
}

fn check(core: &Core, send: wire::Send) -> Result<Addressed, Refusal> {
    if !Uid::is_valid(&send.to) {
        let reason = "to: use 1 to 64 of the characters A-Z a-z 0-9 . _ @ -";
        return Err(Refusal { code: NackCode::NackInvalid, reason });
    }
    if send.content.len() > core.limits().max_content as usize {
        let reason = "the content is larger than max_content in WELCOME";
        return Err(Refusal { code: NackCode::NackTooLarge, reason });
    }
    Ok(Addressed { to: send.to, content: send.content })
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
    let passed = wire::Signal { to: String::new(), from: from.as_str().into(), body: signal.body };
    core.sessions.for_each_of(recipient, |channel| channel.signal(passed.clone()));
}
