//! From what an authenticated device asks for to the use case that does it. Every way in, native or gateway, comes
//! through here; none of them touches the log or the session map.

use std::{future::poll_fn, sync::Arc, task::Poll};

use bytes::Bytes;
use hongyan_proto::{Uid, wire};

use super::{
    accounts,
    catch_up::{self, Page},
    requests::{answer::answer, asker::Asker},
    send,
    service::{Parts, Service},
    signals,
};
use crate::{
    committer::op::{AccountError, Op, SendNumber},
    live::channel::{Channel, Outbound},
    store::StoreError,
};

/// An authenticated device on one connection. When it is dropped the committer takes its channel out of the session map,
/// after everything that the device has said.
pub struct Session {
    service: Arc<Service>,
    uid: Uid,
    channel: Arc<Channel>,
}

impl Session {
    /// Of the device that a login has bound to `channel`.
    pub fn new(service: Arc<Service>, uid: Uid, channel: Arc<Channel>) -> Self {
        service.metrics().sessions.inc();
        Self { service, uid, channel }
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
        self.hand_over(&self.channel, send, number);
    }

    /// A message whose sender waits for this one answer, not for the channel. None: this device has connected again
    /// since, and nobody answers here any more.
    pub async fn send(&self, send: wire::Send, number: SendNumber) -> Option<Result<wire::SendAck, wire::SendNack>> {
        poll_fn(|context| match self.service.has_room(context) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        let apart = self.channel.apart();
        self.hand_over(&apart, send, number);
        poll_fn(|context| apart.poll_rung(context)).await;
        match apart.take(false)? {
            Outbound::Acked(ack) => Some(Ok(ack)),
            Outbound::Refused(nack) => Some(Err(nack)),
            _ => None,
        }
    }

    fn hand_over(&self, answered_to: &Arc<Channel>, send: wire::Send, number: SendNumber) {
        self.service.metrics().messages_received.inc();
        send::submit(&self.parts().queue, self.service.limits(), answered_to, send, number);
    }

    /// The entries behind `after`, as [`catch_up::next_page`].
    pub async fn next_page(&self, after: u64, limit: u64, max_bytes: usize) -> Result<Page, StoreError> {
        let Parts { log, metrics, log_epoch, .. } = self.parts();
        catch_up::next_page(log, metrics, *log_epoch, &self.channel, after, limit, max_bytes).await
    }

    /// How far the user's large groups have come: encoded entries.
    pub async fn hints(&self) -> Result<Vec<Bytes>, StoreError> {
        catch_up::hints(&self.parts().log, self.channel.user).await
    }

    /// The device has shown that it has stored its resume token.
    pub fn confirm_token(&self) {
        self.acked(0);
    }

    /// Ends the session for good: its resume tokens are void.
    pub async fn log_out(&self) -> Result<(), AccountError> {
        accounts::log_out(&self.parts().queue, &self.uid, &self.channel).await
    }

    /// The device has stored everything up to `useq`.
    pub fn acked(&self, useq: u64) {
        // A server that is stopping needs no ack: the device names its cursor when it comes back.
        let _ = self.parts().queue.put(Op::Acked { channel: self.channel.clone(), useq });
    }

    pub async fn signal(&self, signal: wire::Signal) {
        if self.channel.may_signal(self.service.now()) {
            let Parts { log, sessions, .. } = self.parts();
            signals::pass_on(log, sessions, &self.channel, &self.uid, signal).await;
        }
    }

    pub async fn request(&self, request: wire::Request) -> wire::Response {
        let Parts { log, sessions, .. } = self.parts();
        let (presence, max_frame) = (&self.service.presence, self.service.limits().max_frame);
        let asker = Asker { log, sessions, presence, channel: &self.channel, uid: &self.uid, max_frame };
        answer(&asker, request).await
    }

    fn parts(&self) -> &Parts {
        &self.service.parts
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.service.presence.forget(&self.channel);
        self.service.metrics().sessions.dec();
        // A server that is stopping has no use for the map.
        let _ = self.parts().queue.put(Op::Left(self.channel.clone()));
    }
}

#[cfg(test)]
mod tests;
