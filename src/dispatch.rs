//! From what an authenticated device asks for to the use case that does it. Every way in, native or gateway, comes
//! through here; none of them touches the log or the session map.

use std::{sync::Arc, time::Instant};

use hongyan_proto::{Uid, wire};

use crate::{
    channel::Channel,
    committer::op::Op,
    core::Core,
    deliver,
    rate::Bucket,
    requests,
    signals::{self, SIGNALS_AT_ONCE, SIGNALS_PER_SECOND},
};

/// An authenticated device on one connection. Dropping it takes its channel out of the session map.
pub struct Session {
    core: Arc<Core>,
    uid: Uid,
    channel: Arc<Channel>,
    signals: Bucket,
}

impl Session {
    pub fn new(core: Arc<Core>, uid: Uid, channel: Arc<Channel>) -> Self {
        core.metrics.sessions.inc();
        Self { core, uid, channel, signals: Bucket::default() }
    }

    pub fn uid(&self) -> &Uid {
        &self.uid
    }

    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// A message. The sender is this session's user, whatever the frame may say.
    pub fn submit(&self, send: wire::Send) {
        deliver::submit(&self.core, &self.channel, send);
    }

    /// The device has stored everything up to `useq`.
    pub fn acked(&self, useq: u64) {
        // A server that is stopping needs no ack: the device names its cursor when it comes back.
        let _ = self.core.queue.put(Op::Acked { channel: self.channel.clone(), useq });
    }

    pub async fn signal(&mut self, signal: wire::Signal, now: Instant) {
        if self.signals.take(SIGNALS_PER_SECOND, SIGNALS_AT_ONCE, now).is_ok() {
            signals::pass_on(&self.core, &self.channel, &self.uid, signal).await;
        }
    }

    pub async fn request(&self, request: wire::Request) -> wire::Response {
        requests::answer(&self.core, &self.channel, &self.uid, request).await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.core.sessions.unbind(&self.channel);
        self.core.presence.forget(&self.channel);
        self.core.metrics.sessions.dec();
        let _ = self.core.queue.put(Op::Left(self.channel.clone()));
    }
}
