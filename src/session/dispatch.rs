//! From what an authenticated device asks for to the use case that does it. Every way in, native or gateway, comes
//! through here; none of them touches the log or the session map.

use std::{future::poll_fn, sync::Arc, task::Poll};

use bytes::Bytes;
use hongyan_proto::{Uid, wire};

pub use super::catch_up::Page;
use super::{accounts, catch_up, requests, send, service::Core, signals};
use crate::{
    committer::op::Op,
    live::channel::{Channel, Outbound},
    store::StoreError,
};
pub use crate::{
    committer::op::{AccountError, SendNumber},
    log::LogEntry,
};

/// An authenticated device on one connection. When it is dropped the committer takes its channel out of the session map,
/// after everything that the device has said.
pub struct Session {
    core: Arc<Core>,
    uid: Uid,
    channel: Arc<Channel>,
}

impl Session {
    pub fn new(core: Arc<Core>, uid: Uid, channel: Arc<Channel>) -> Self {
        core.metrics.sessions.inc();
        Self { core, uid, channel }
    }

    pub fn uid(&self) -> &Uid {
        &self.uid
    }

    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// A message. The sender is this session's user, whatever the frame may say.
    pub fn submit(&self, send: wire::Send) {
        let number = SendNumber::Given(send.send_no);
        send::submit(&self.core, &self.channel, send, number);
    }

    /// A message whose sender waits for this one answer, not for the channel. None: this device has connected again
    /// since, and nobody answers here any more.
    pub async fn send(&self, send: wire::Send, number: SendNumber) -> Option<Result<wire::SendAck, wire::SendNack>> {
        poll_fn(|context| match self.core.queue.has_room(context) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        let apart = self.channel.apart();
        send::submit(&self.core, &apart, send, number);
        poll_fn(|context| apart.poll_rung(context)).await;
        match apart.take(false)? {
            Outbound::Acked(ack) => Some(Ok(ack)),
            Outbound::Refused(nack) => Some(Err(nack)),
            _ => None,
        }
    }

    /// The entries behind `after`, as [`catch_up::next_page`].
    pub async fn next_page(&self, after: u64, limit: u64, max_bytes: usize) -> Result<Page, StoreError> {
        catch_up::next_page(&self.core, &self.channel, after, limit, max_bytes).await
    }

    /// How far the user's large groups have come, if the device is to hear it now: encoded entries.
    pub async fn hints(&self) -> Result<Vec<Bytes>, StoreError> {
        if !self.channel.take_hints_due() {
            return Ok(Vec::new());
        }
        catch_up::hints(&self.core, self.channel.user).await
    }

    /// The device has shown that it has stored its resume token.
    pub fn confirm_token(&self) {
        self.acked(0);
    }

    /// Ends the session for good: its resume tokens are void.
    pub async fn log_out(&self) -> Result<(), AccountError> {
        accounts::log_out(&self.core, &self.uid, &self.channel).await
    }

    /// The device has stored everything up to `useq`.
    pub fn acked(&self, useq: u64) {
        // A server that is stopping needs no ack: the device names its cursor when it comes back.
        let _ = self.core.queue.put(Op::Acked { channel: self.channel.clone(), useq });
    }

    pub async fn signal(&self, signal: wire::Signal) {
        if self.channel.may_signal(self.core.environment.now()) {
            signals::pass_on(&self.core, &self.channel, &self.uid, signal).await;
        }
    }

    pub async fn request(&self, request: wire::Request) -> wire::Response {
        requests::answer(&self.core, &self.channel, &self.uid, request).await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.core.presence.forget(&self.channel);
        self.core.metrics.sessions.dec();
        // A server that is stopping has no use for the map.
        let _ = self.core.queue.put(Op::Left(self.channel.clone()));
    }
}

#[cfg(test)]
mod tests;
