//! The task that drives one connection: bytes from the socket into the protocol, what the protocol wants into the use
//! cases, what waits for the device out to the socket. An idle link owns no buffer.

use std::{
    future::poll_fn,
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use hongyan_proto::{
    BytesMut, CloseCode,
    server::{Connection, Event},
    wire,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::field::{DisplayValue, display};

use super::{stranger::Stranger, transport::Wire};
use crate::{
    base::environment::Timer,
    session::{Attempt, CameBack, FIRST_TURN, LoggedIn, Outbound, Page, Rejection, Service, Session},
};

/// Above this nothing more is produced or read for a peer until it has taken what there is.
const OUT_HIGH_WATER: usize = 16 * 1024;
/// Bytes read from the log at once for one device.
const PAGE_BYTES: usize = 16 * 1024;
/// One login in so many is greased.
const GREASE_ONE_IN: u8 = 16;

/// One connection's transport, protocol and session.
pub struct Link<S> {
    wire: Wire<S>,
    service: Arc<Service>,
    connection: Connection,
    /// Until the login.
    stranger: Option<Box<Stranger>>,
    session: Option<Session>,
}

/// Why a link goes on.
enum Wake {
    /// Bytes have come, or what waited has been written.
    Io(Option<BytesMut>),
    /// Something waits in the channel.
    Rung,
    Timer,
}

/// What the peer asks and nobody can answer at once.
enum Question {
    Hello(Box<wire::Hello>),
    Resume(Box<wire::Resume>),
    Signal(Box<wire::Signal>),
    Request(Box<wire::Request>),
}

/// What a device must be given out of the log.
enum Due {
    /// The entries behind this one.
    Entries(u64),
    /// How far its large groups have come.
    Hints,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    pub fn new(stream: S, service: Arc<Service>, stranger: Stranger, accepted_at: Instant) -> Self {
        let connection = Connection::new(service.protocol().clone(), accepted_at);
        Self { wire: Wire::new(stream), service, connection, stranger: Some(Box::new(stranger)), session: None }
    }

    /// Runs until the connection is over. Returns early only if the transport fails.
    pub async fn run<T: Timer>(&mut self, mut timer: Pin<&mut T>) -> io::Result<()> {
        while !self.wire.is_over() {
            // What has to be waited for is rare, and boxed, so that an idle link does not carry the room for it.
            while let Some(answer) = self.handle_events() {
                answer.await;
            }
            while let Some(due) = self.pump() {
                Box::pin(self.read_log(due)).await;
            }
            if self.wire.is_over() || self.connection.is_closed() {
                // The farewell must not wait for a peer that does not read.
                continue;
            }
            match poll_fn(|context| self.poll_wake(context, timer.as_mut())).await? {
                Wake::Io(read) => self.on_io(read),
                Wake::Rung => {}
                Wake::Timer => self.connection.handle_timeout(self.service.now()),
            }
        }
        drop(self.session.take());
        let now = self.service.now();
        Box::pin(self.wire.linger(&mut self.connection, now, timer)).await
    }

    // ------------------------------------------------------------ waiting

    /// Ready when there is something to do.
    fn poll_wake(&mut self, context: &mut Context<'_>, timer: Pin<&mut impl Timer>) -> Poll<io::Result<Wake>> {
        let waited = self.wire.has_output(&self.connection);
        let written = self.wire.poll_write(&mut self.connection, context)?;
        // What was put in before the peer wrote leaves before the answers to that.
        if self.session.as_ref().is_some_and(|session| session.channel().poll_rung(FIRST_TURN, context).is_ready()) {
            return Poll::Ready(Ok(Wake::Rung));
        }
        // A peer that does not read is not read from; and while everybody's messages wait for the disk, reading more
        // would only pile them up here.
        if self.connection.output_len() < OUT_HIGH_WATER
            && !self.connection.is_saturated()
            && self.service.has_room(context)
            && let Poll::Ready(read) = self.wire.poll_read(context)?
        {
            return Poll::Ready(Ok(Wake::Io(Some(read))));
        }
        if waited && written.is_ready() {
            return Poll::Ready(Ok(Wake::Io(None)));
        }
        match self.connection.poll_timeout() {
            Some(deadline) => timer.poll_at(deadline, context).map(|()| Ok(Wake::Timer)),
            None => Poll::Pending,
        }
    }

    fn on_io(&mut self, read: Option<BytesMut>) {
        let now = self.service.now();
        match read {
            Some(bytes) if bytes.is_empty() => self.wire.end(),
            Some(bytes) => self.connection.handle_bytes(bytes, now),
            None => {}
        }
        // A peer that never pauses would keep the timer from being looked at.
        if self.connection.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.connection.handle_timeout(now);
        }
    }

    // ------------------------------------------------------------ events

    /// Handles what the peer has sent, up to the first question whose answer takes a while.
    fn handle_events(&mut self) -> Option<Pin<Box<impl Future<Output = ()>>>> {
        if let Some(session) = &self.session {
            self.connection.on_head(session.channel().head());
        }
        let now = self.service.now();
        // A peer that does not read its answers gets no further questions read.
        while self.connection.output_len() < OUT_HIGH_WATER || self.connection.is_closed() {
            let question = match self.connection.poll_event(now)? {
                Event::Send(send) => {
                    self.with_session(|session| session.submit(send));
                    continue;
                }
                Event::Acked(useq) => {
                    self.with_session(|session| session.acked(useq));
                    continue;
                }
                Event::Closed { code, reason, by_peer } => {
                    self.on_closed(code, &reason, by_peer);
                    continue;
                }
                Event::Hello(hello) => Question::Hello(hello),
                Event::Resume(resume) => Question::Resume(resume),
                Event::Signal(signal) => Question::Signal(signal),
                Event::Request(request) => Question::Request(request),
            };
            return Some(Box::pin(self.answer(question)));
        }
        None
    }

    async fn answer(&mut self, question: Question) {
        match (question, &self.session) {
            (Question::Hello(hello), _) => self.on_hello(*hello).await,
            (Question::Resume(resume), _) => self.on_resume(*resume).await,
            (Question::Signal(signal), Some(session)) => session.signal(*signal).await,
            (Question::Request(request), Some(session)) => {
                let response = session.request(*request).await;
                self.connection.respond(&response);
            }
            // Before the login there are no such events.
            (Question::Signal(_) | Question::Request(_), None) => {}
        }
    }

    fn with_session(&self, act: impl FnOnce(&Session)) {
        if let Some(session) = &self.session {
            act(session);
        }
    }

    fn on_closed(&mut self, code: CloseCode, reason: &str, by_peer: bool) {
        let uid = self.session.as_ref().map(|session| session.uid().as_str());
        tracing::debug!(%code, reason = printable(reason), by_peer, uid, address = self.address(), "a connection ends");
        self.service.metrics().on_close(code);
        self.wire.end();
    }

    /// Where a stranger comes from, for the log. Who has logged in is known by their uid.
    fn address(&self) -> Option<DisplayValue<IpAddr>> {
        self.stranger.as_ref().map(|stranger| display(stranger.address))
    }

    // ------------------------------------------------------------ login

    /// None: it has logged in already, and asks for that no more.
    fn attempt(&self) -> Option<Attempt> {
        self.stranger.as_ref().map(|stranger| stranger.attempt(self.service.environment()))
    }

    async fn on_hello(&mut self, hello: wire::Hello) {
        let Some(attempt) = self.attempt() else { return };
        match self.service.hello(hello, &attempt).await {
            Ok(login) => self.welcome(login),
            Err(rejection) => self.reject(&rejection),
        }
    }

    fn welcome(&mut self, login: LoggedIn) {
        let welcome = wire::Welcome {
            conn_epoch: login.channel.id.conn_epoch,
            resume_token: login.resume_token.clone(),
            resume_ttl_s: self.service.resume_ttl().as_secs() as u32,
            head: login.head,
            last_send_no: login.last_send_no,
            log_epoch: self.service.log_epoch(),
            cursor: login.cursor,
            time_ms: self.service.environment().unix_ms(),
            uid: login.uid.as_str().into(),
            ..Default::default()
        };
        self.connection.welcome(welcome, self.service.now());
        self.on_logged_in(login);
    }

    async fn on_resume(&mut self, resume: wire::Resume) {
        let Some(attempt) = self.attempt() else { return };
        let (cursor, limits_id) = (resume.cursor, resume.limits_id);
        match self.service.resume(resume, &attempt).await {
            Ok(CameBack { login, by_fallback: true }) => self.welcome(login),
            Ok(CameBack { login, .. }) => {
                let resumed = wire::Resumed {
                    conn_epoch: login.channel.id.conn_epoch,
                    resume_token: login.resume_token.clone(),
                    head: login.head,
                    last_send_no: login.last_send_no,
                    ..Default::default()
                };
                self.connection.resumed(resumed, cursor, limits_id, self.service.now());
                self.on_logged_in(login);
            }
            Err(rejection) => self.reject(&rejection),
        }
    }

    fn reject(&mut self, rejection: &Rejection) {
        let Rejection { code, reason, retry_after } = rejection;
        tracing::debug!(%code, %reason, address = self.address(), "a login was refused");
        self.connection.reject(*code, reason, *retry_after);
    }

    fn on_logged_in(&mut self, login: LoggedIn) {
        if let Some(reset) = login.reset {
            self.connection.sync_reset(reset);
        }
        let [chance, random, ..] = self.service.environment().random();
        if chance % GREASE_ONE_IN == 0 {
            self.connection.grease(random);
        }
        tracing::debug!(uid = %login.uid, address = self.address(), "a device is live");
        self.session = Some(Session::new(self.service.clone(), login.uid, login.channel));
        self.stranger = None;
    }

    // ------------------------------------------------------------ pushing

    /// Moves what waits for the device into the connection, as far as its window and the socket allow, or until something
    /// has to be read from the log.
    fn pump(&mut self) -> Option<Due> {
        let channel = self.session.as_ref()?.channel().clone();
        if let Some((code, reason)) = channel.take_close() {
            self.connection.close(code, &reason);
            return None;
        }
        let now = self.service.now();
        while self.connection.is_live() && self.connection.output_len() < OUT_HIGH_WATER {
            let live = self.connection.lagging_after().is_none();
            if let Some(outbound) = channel.take(live && self.connection.push_room() > 0) {
                self.write(outbound, now);
                continue;
            }
            if live && channel.is_lagging() {
                self.connection.fall_behind();
            }
            return match self.connection.lagging_after() {
                Some(after) if self.connection.push_room() > 0 => {
                    channel.fall_behind();
                    Some(Due::Entries(after))
                }
                None if channel.take_hints_due() => Some(Due::Hints),
                _ => None,
            };
        }
        None
    }

    fn write(&mut self, outbound: Outbound, now: Instant) {
        match outbound {
            Outbound::Entry { useq, own_send_no, item } => {
                if self.connection.push(useq, own_send_no, &item, now) {
                    self.service.metrics().entries_pushed.inc();
                }
            }
            Outbound::Passed { item } => self.connection.pass(&item),
            Outbound::Acked(ack) => self.connection.acked(ack, now),
            Outbound::Refused(nack) => self.connection.refused(nack),
            Outbound::Signal(signal) => self.connection.signal(&signal),
            Outbound::GoAway { deadline, spread } => self.connection.go_away(deadline, spread, &[]),
        }
    }

    /// Pushes what is due. If the log cannot be read, the device is asked to come back later.
    async fn read_log(&mut self, due: Due) {
        let Some(session) = &self.session else { return };
        let read = match due {
            Due::Entries(after) => {
                let room = self.connection.push_room();
                self.connection.on_head(session.channel().head());
                session.next_page(after, room, PAGE_BYTES).await.map(|page| self.push_page(page))
            }
            Due::Hints => {
                let hints = session.hints().await;
                hints.map(|hints| hints.iter().for_each(|hint| self.connection.pass(hint)))
            }
        };
        if let Err(error) = read {
            let uid = self.session.as_ref().map(|session| session.uid().as_str());
            tracing::error!(%error, uid, "the log cannot be read");
            self.connection.close(CloseCode::UNAVAILABLE, "the log cannot be read now");
        }
    }

    fn push_page(&mut self, page: Page) {
        match page {
            Page::CaughtUp => self.connection.caught_up(),
            Page::Reset(reset) => self.connection.sync_reset(reset),
            Page::Entries(entries) => {
                let now = self.service.now();
                for entry in entries {
                    self.connection.push(entry.useq, entry.own_send_no, &entry.item, now);
                }
            }
        }
    }
}

/// What a peer wrote, fit for a log line.
fn printable(text: &str) -> String {
    text.chars().take(128).flat_map(char::escape_debug).collect()
}
