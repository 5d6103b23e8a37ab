//! The task that drives one connection: bytes from the socket into the protocol, what the protocol wants into the use
//! cases, what waits for the device out to the socket. An idle link owns no buffer.

mod transport;

use std::{future::poll_fn, io, net::IpAddr, pin::Pin, sync::Arc, time::Instant};

use hongyan_proto::{
    BytesMut, CloseCode,
    server::{Connection, Event},
    wire,
};
use tokio::io::{AsyncRead, AsyncWrite};
use transport::Wake;

use crate::{
    channel::{Channel, Outbound},
    committer::op::LoggedIn,
    core::Core,
    dispatch::Session,
    environment::Timer,
    listener::Admission,
    login::{self, Attempt, Rejection},
    store::StoreError,
    sync::{self, Page},
};

/// Above this nothing more is produced or read for a peer until it has taken what there is.
const OUT_HIGH_WATER: usize = 16 * 1024;
/// Bytes read from the log at once for one device.
const PAGE_BYTES: usize = 16 * 1024;
/// One login in so many is greased.
const GREASE_ONE_IN: u8 = 16;

/// One connection's transport, protocol and session.
pub struct Link<S> {
    stream: S,
    address: IpAddr,
    accepted_at: Instant,
    core: Arc<Core>,
    connection: Connection,
    /// Held until the login: counts against the limits for strangers.
    admission: Option<Box<Admission>>,
    session: Option<Session>,
    is_over: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    pub fn new(stream: S, address: IpAddr, core: Arc<Core>, admission: Box<Admission>, accepted_at: Instant) -> Self {
        let connection = Connection::new(core.protocol.clone(), accepted_at);
        Self {
            stream,
            address,
            accepted_at,
            core,
            connection,
            admission: Some(admission),
            session: None,
            is_over: false,
        }
    }

    /// Runs until the connection is over. Returns early only if the transport fails.
    pub async fn run<T: Timer>(&mut self, mut timer: Pin<&mut T>) -> io::Result<()> {
        while !self.is_over {
            self.handle_events().await;
            self.pump().await;
            if self.is_over || self.connection.is_closed() {
                // The farewell must not wait for a peer that does not read.
                continue;
            }
            match poll_fn(|context| self.poll_wake(context, timer.as_mut())).await? {
                Wake::Io(read) => self.on_io(read),
                Wake::Rung => {}
                Wake::Timer => self.connection.handle_timeout(self.core.environment.now()),
            }
        }
        Box::pin(self.linger(timer)).await
    }

    fn on_io(&mut self, read: Option<BytesMut>) {
        let now = self.core.environment.now();
        match read {
            Some(bytes) if bytes.is_empty() => self.is_over = true,
            Some(bytes) => self.connection.handle_bytes(bytes, now),
            None => {}
        }
        // A peer that never pauses would keep the timer from being looked at.
        if self.connection.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.connection.handle_timeout(now);
        }
    }

    // ------------------------------------------------------------ events

    async fn handle_events(&mut self) {
        if let Some(session) = &self.session {
            self.connection.on_head(session.channel().head());
        }
        let now = self.core.environment.now();
        // A peer that does not read its answers gets no further questions read.
        while self.connection.output_len() < OUT_HIGH_WATER || self.connection.is_closed() {
            let Some(event) = self.connection.poll_event(now) else { return };
            match event {
                // What is rare is boxed, so that an idle link does not carry the room for it.
                Event::Hello(hello) => Box::pin(self.on_hello(*hello)).await,
                Event::Resume(resume) => Box::pin(self.on_resume(*resume)).await,
                Event::Closed { code, reason, by_peer } => self.on_closed(code, &reason, by_peer),
                Event::Send(send) => self.with_session(|session| session.submit(send)),
                Event::Acked(useq) => self.with_session(|session| session.acked(useq)),
                Event::Signal(signal) => {
                    if let Some(session) = &mut self.session {
                        Box::pin(session.signal(*signal, now)).await;
                    }
                }
                Event::Request(request) => {
                    if let Some(session) = &self.session {
                        let response = Box::pin(session.request(*request)).await;
                        self.connection.respond(&response);
                    }
                }
            }
        }
    }

    fn with_session(&self, act: impl FnOnce(&Session)) {
        if let Some(session) = &self.session {
            act(session);
        }
    }

    fn on_closed(&mut self, code: CloseCode, reason: &str, by_peer: bool) {
        let uid = self.session.as_ref().map(|session| session.uid().as_str());
        tracing::debug!(%code, reason = printable(reason), by_peer, uid, address = %self.address, "a connection ends");
        self.core.metrics.on_close(code);
        self.is_over = true;
    }

    // ------------------------------------------------------------ login

    fn attempt(&self) -> Attempt {
        Attempt {
            address: self.address,
            now: self.core.environment.now(),
            accepted_at: self.accepted_at,
            unix_s: self.core.environment.unix_ms() / 1000,
            next_secret: self.core.environment.random(),
        }
    }

    async fn on_hello(&mut self, hello: wire::Hello) {
        match login::hello(&self.core, hello, &self.attempt()).await {
            Ok(login) => {
                let welcome = wire::Welcome {
                    conn_epoch: login.channel.conn_epoch,
                    resume_token: login.resume_token.clone(),
                    resume_ttl_s: self.core.resume_ttl.as_secs() as u32,
                    head: login.head,
                    last_send_no: login.last_send_no,
                    log_epoch: self.core.log_epoch,
                    cursor: login.cursor,
                    time_ms: self.core.environment.unix_ms(),
                    uid: login.uid.as_str().into(),
                    ..Default::default()
                };
                self.connection.welcome(welcome, self.core.environment.now());
                self.on_logged_in(login);
            }
            Err(rejection) => self.reject(&rejection),
        }
    }

    async fn on_resume(&mut self, resume: wire::Resume) {
        let (cursor, limits_id) = (resume.cursor, resume.limits_id);
        match (login::resume(&self.core, &resume, &self.attempt()).await, resume.fallback) {
            (Ok(login), _) => {
                let resumed = wire::Resumed {
                    conn_epoch: login.channel.conn_epoch,
                    resume_token: login.resume_token.clone(),
                    head: login.head,
                    last_send_no: login.last_send_no,
                    ..Default::default()
                };
                self.connection.resumed(resumed, cursor, limits_id, self.core.environment.now());
                self.on_logged_in(login);
            }
            (Err(refused), Some(fallback)) if refused.code == CloseCode::RESUME_REFUSED => {
                self.on_hello(fallback).await;
            }
            (Err(rejection), _) => self.reject(&rejection),
        }
    }

    fn reject(&mut self, rejection: &Rejection) {
        let Rejection { code, reason, retry_after } = *rejection;
        tracing::debug!(%code, reason, address = %self.address, "a login was refused");
        self.connection.reject(code, reason, retry_after);
    }

    fn on_logged_in(&mut self, login: LoggedIn) {
        if let Some(reset) = login.reset {
            self.connection.sync_reset(reset);
        }
        let [random, ..] = self.core.environment.random();
        if random % GREASE_ONE_IN == 0 {
            self.connection.grease(random);
        }
        tracing::debug!(uid = %login.uid, address = %self.address, "a device is live");
        self.session = Some(Session::new(self.core.clone(), login.uid, login.channel));
        self.admission = None;
    }

    // ------------------------------------------------------------ pushing

    /// Moves what waits for the device into the connection, as far as its window and the socket allow.
    async fn pump(&mut self) {
        let Some(channel) = self.session.as_ref().map(|session| session.channel().clone()) else { return };
        if let Some((code, reason)) = channel.take_close() {
            return self.connection.close(code, reason);
        }
        let now = self.core.environment.now();
        while self.connection.is_live() && self.connection.output_len() < OUT_HIGH_WATER {
            let live = self.connection.lagging_after().is_none();
            if self.write_next(&channel, live, now) {
                continue;
            }
            if live && channel.is_lagging() {
                self.connection.fall_behind();
            }
            match self.connection.lagging_after() {
                Some(_) if self.connection.push_room() > 0 => channel.fall_behind(),
                None if channel.take_hints_due() => {}
                _ => return,
            }
            if !Box::pin(self.read_log()).await {
                return;
            }
        }
    }

    /// Takes the next thing out of the channel; an entry only if the device is live and has room for it.
    fn write_next(&mut self, channel: &Channel, live: bool, now: Instant) -> bool {
        let Some(outbound) = channel.take(live && self.connection.push_room() > 0) else { return false };
        match outbound {
            Outbound::Entry { useq, item } => {
                if self.connection.push(useq, 0, &item, now) {
                    self.core.metrics.entries_pushed.inc();
                }
            }
            Outbound::Passed { item } => self.connection.pass(&item),
            Outbound::Acked(ack) => self.connection.acked(ack, now),
            Outbound::Refused(nack) => self.connection.refused(nack),
            Outbound::Signal(signal) => self.connection.signal(&signal),
            Outbound::GoAway { deadline, spread } => self.connection.go_away(deadline, spread, &[]),
        }
        true
    }

    /// Pushes what a device is behind with; tells one that is not how far its large groups have come. False: the log cannot
    /// be read; the device is asked to come back later.
    async fn read_log(&mut self) -> bool {
        let read = match self.connection.lagging_after() {
            Some(after) => self.push_from_log(after).await,
            None => self.pass_hints().await,
        };
        if let Err(error) = &read {
            tracing::error!(%error, uid = self.session.as_ref().map(|session| session.uid().as_str()), "the log cannot be read");
            self.connection.close(CloseCode::UNAVAILABLE, "the log cannot be read now");
        }
        read.is_ok()
    }

    async fn pass_hints(&mut self) -> Result<(), StoreError> {
        let Some(session) = &self.session else { return Ok(()) };
        let hints = sync::hints(&self.core, session.channel().user).await?;
        hints.into_iter().for_each(|hint| self.connection.pass(&hint));
        Ok(())
    }

    async fn push_from_log(&mut self, after: u64) -> Result<(), StoreError> {
        let Some(session) = &self.session else { return Ok(()) };
        let (room, channel) = (self.connection.push_room(), session.channel().clone());
        self.connection.on_head(channel.head());
        match sync::next_page(&self.core, &channel, after, room, PAGE_BYTES).await? {
            Page::CaughtUp => self.connection.caught_up(),
            Page::Reset(reset) => self.connection.sync_reset(reset),
            Page::Entries(entries) => {
                let now = self.core.environment.now();
                for entry in entries {
                    let own = if entry.own_device == channel.device.0 { entry.own_send_no } else { 0 };
                    self.connection.push(entry.useq, own, &entry.item, now);
                }
            }
        }
        Ok(())
    }
}

/// What a peer wrote, fit for a log line.
fn printable(text: &str) -> String {
    text.chars().take(128).map(|c| if c.is_control() { '.' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_run<'a, S: 'a, T: 'a, F>(_: fn(&'a mut Link<S>, Pin<&'a mut T>) -> F) -> usize {
        size_of::<F>() + size_of::<T>()
    }

    /// Every connection carries these for as long as it lives, so that they grow only on purpose.
    #[test]
    fn an_idle_link_is_small() {
        let (link, run) = (
            size_of::<Link<tokio::net::TcpStream>>(),
            size_of_run(Link::<tokio::net::TcpStream>::run::<tokio::time::Sleep>),
        );
        assert!(link <= 360 && run <= 296, "a link takes {link} bytes, its loop {run}");
    }
}
