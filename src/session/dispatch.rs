//! From what an authenticated device asks for to the use case that does it. Every way in, native or gateway, comes
//! through here; none of them touches the log or the session map.

use std::{future::poll_fn, sync::Arc, task::Poll, time::Instant};

use bytes::Bytes;
use hongyan_proto::{CloseCode, Uid, wire};

use super::{
    accounts,
    catch_up::{self, Page, Read},
    login::LoggedIn,
    requests::{answer::answer, asker::Asker},
    send,
    service::{Parts, Service},
    signals,
};
use crate::{
    live::channel::Channel,
    ops::{
        answer::{AccountError, Reply},
        id::SendNumber,
        op::Op,
    },
};

/// An authenticated device on one connection. When it is dropped the committer takes its channel out of the session map,
/// after everything that the device has said.
pub struct Session {
    service: Arc<Service>,
    uid: Uid,
    channel: Arc<Channel>,
}

impl Session {
    /// Of the device that a login has bound.
    pub fn new(service: Arc<Service>, login: &LoggedIn) -> Self {
        service.metrics().sessions.inc();
        Self { service, uid: login.uid.clone(), channel: login.channel.clone() }
    }

    pub fn uid(&self) -> &Uid {
        &self.uid
    }

    pub(super) fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// Which of its device's connections this is.
    pub fn conn_epoch(&self) -> u64 {
        self.channel.id.conn_epoch
    }

    /// The newest entry of the user's log.
    pub fn head(&self) -> u64 {
        self.channel.head()
    }

    /// Ends the session, for the first reason that is given: its reader says so.
    pub fn close(&self, code: CloseCode, reason: &'static str) {
        self.channel.close(code, reason);
    }

    /// Which log it reads.
    pub fn log_epoch(&self) -> u64 {
        self.service.log_epoch()
    }

    /// The time, as all of the server has it.
    pub(super) fn now(&self) -> Instant {
        self.service.now()
    }

    /// A message. The sender is this session's user, whatever the frame may say.
    pub fn submit(&self, send: wire::Send) {
        self.service.metrics().messages_received.inc();
        send::submit(&self.parts().desk, self.service.limits(), &self.channel, send);
    }

    /// A message whose sender waits for this one answer, not for the channel. None: this device has connected again
    /// since, and nobody answers here any more.
    pub async fn send(&self, send: wire::Send, number: SendNumber) -> Option<Reply> {
        poll_fn(|context| match self.service.has_room(context) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        self.service.metrics().messages_received.inc();
        send::ask(&self.parts().desk, self.service.limits(), self.channel.id, send, number).await
    }

    /// Reads the entries behind `after`, as [`catch_up::read_page`].
    pub(super) fn read_page(&self, after: u64, head: u64, limit: u64) -> Read<Page> {
        let (service, of) = (self.service.clone(), self.channel.id);
        Box::pin(async move { catch_up::read_page(&service.parts, of, after, head, limit).await })
    }

    /// Reads how far the user's large groups have come: encoded entries.
    pub(super) fn read_hints(&self) -> Read<Vec<Bytes>> {
        let (service, user) = (self.service.clone(), self.channel.id.user);
        Box::pin(async move { catch_up::hints(&service.parts.log, user).await })
    }

    /// The device has shown that it has stored its resume token.
    pub fn confirm_token(&self) {
        self.acked(0);
    }

    /// Ends the session for good: its resume tokens are void.
    pub async fn log_out(&self) -> Result<(), AccountError> {
        accounts::log_out(&self.parts().desk, &self.uid, &self.channel).await
    }

    /// The device has stored everything up to `useq`.
    pub fn acked(&self, useq: u64) {
        // A server that is stopping needs no ack: the device names its cursor when it comes back.
        let _ = self.parts().desk.put(Op::Acked { by: self.channel.id, useq });
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
        let _ = self.parts().desk.put(Op::Left(self.channel.id));
    }
}

#[cfg(test)]
mod tests;
