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
    session::{Attempt, CameBack, LoggedIn, Next, Place, Reader, Rejection, Service, Session, Want},
};

/// Above this nothing more is produced or read for a peer until it has taken what there is.
const OUT_HIGH_WATER: usize = 16 * 1024;
/// One login in so many is greased.
const GREASE_ONE_IN: u8 = 16;

/// One connection's transport, protocol and session.
pub struct Link<S> {
    wire: Wire<S>,
    service: Arc<Service>,
    connection: Connection,
    party: Party,
}

/// Who is at the other end.
enum Party {
    /// Until the login.
    Stranger(Box<Stranger>),
    Device {
        session: Session,
        reader: Reader,
    },
    Gone,
}

/// Why a link goes on.
enum Wake {
    /// Bytes have come, or what waited has been written.
    Io(Option<BytesMut>),
    /// The session is over.
    Ended,
    Timer,
}

/// What the peer asks and nobody can answer at once.
enum Question {
    Hello(Box<wire::Hello>),
    Resume(Box<wire::Resume>),
    Signal(Box<wire::Signal>),
    Request(Box<wire::Request>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    pub fn new(stream: S, service: Arc<Service>, stranger: Stranger, accepted_at: Instant) -> Self {
        let connection = Connection::new(service.protocol().clone(), accepted_at);
        Self { wire: Wire::new(stream), service, connection, party: Party::Stranger(stranger.into()) }
    }

    /// Runs until the connection is over. Returns early only if the transport fails.
    pub async fn run<T: Timer>(&mut self, mut timer: Pin<&mut T>) -> io::Result<()> {
        while !self.wire.is_over() {
            // What has to be waited for is rare, and boxed, so that an idle link does not carry the room for it.
            while let Some(answer) = self.handle_events() {
                answer.await;
            }
            if self.wire.is_over() {
                // The farewell must not wait for a peer that does not read.
                continue;
            }
            match poll_fn(|context| self.poll_wake(context, timer.as_mut())).await? {
                Wake::Io(read) => self.on_io(read),
                Wake::Ended => {}
                Wake::Timer => self.connection.handle_timeout(self.service.now()),
            }
        }
        self.party = Party::Gone;
        let now = self.service.now();
        Box::pin(self.wire.linger(&mut self.connection, now, timer)).await
    }

    // ------------------------------------------------------------ waiting

    /// Ready when there is something to do.
    fn poll_wake(&mut self, context: &mut Context<'_>, timer: Pin<&mut impl Timer>) -> Poll<io::Result<Wake>> {
        // What was put in before the peer wrote leaves before the answers to that.
        self.pump(context);
        if self.connection.is_closed() {
            return Poll::Ready(Ok(Wake::Ended));
        }
        let waited = self.wire.has_output(&self.connection);
        let written = self.wire.poll_write(&mut self.connection, context)?;
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
        if let Party::Device { session, .. } = &self.party {
            self.connection.on_head(session.head());
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
        match (question, self.session()) {
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

    /// Whose connection it is, once that is known.
    fn session(&self) -> Option<&Session> {
        match &self.party {
            Party::Device { session, .. } => Some(session),
            _ => None,
        }
    }

    fn with_session(&self, act: impl FnOnce(&Session)) {
        if let Some(session) = self.session() {
            act(session);
        }
    }

    fn on_closed(&mut self, code: CloseCode, reason: &str, by_peer: bool) {
        let uid = self.session().map(|session| session.uid().as_str());
        tracing::debug!(%code, reason = printable(reason), by_peer, uid, address = self.address(), "a connection ends");
        self.service.metrics().on_close(code);
        self.wire.end();
    }

    fn stranger(&self) -> Option<&Stranger> {
        match &self.party {
            Party::Stranger(stranger) => Some(stranger),
            _ => None,
        }
    }

    /// Where a stranger comes from, for the log. Who has logged in is known by their uid.
    fn address(&self) -> Option<DisplayValue<IpAddr>> {
        self.stranger().map(|stranger| display(stranger.address))
    }

    // ------------------------------------------------------------ login

    /// None: it has logged in already, and asks for that no more.
    fn attempt(&self) -> Option<Attempt> {
        self.stranger().map(|stranger| stranger.attempt(&self.service))
    }

    async fn on_hello(&mut self, hello: wire::Hello) {
        let Some(attempt) = self.attempt() else { return };
        match self.service.hello(hello, &attempt).await {
            Ok(login) => self.welcome(login),
            Err(rejection) => self.reject(&rejection),
        }
    }

    fn welcome(&mut self, login: LoggedIn) {
        let welcome = self.service.welcome(&login);
        self.connection.welcome(welcome, self.service.now());
        self.on_logged_in(login);
    }

    async fn on_resume(&mut self, resume: wire::Resume) {
        let Some(attempt) = self.attempt() else { return };
        let (cursor, limits_id) = (resume.cursor, resume.limits_id);
        match self.service.resume(resume, &attempt).await {
            Ok(CameBack { login, by_fallback: true }) => self.welcome(login),
            Ok(CameBack { login, .. }) => {
                self.connection.resumed(login.resumed(), cursor, limits_id, self.service.now());
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
        let session = Session::new(self.service.clone(), &login);
        let reader = Reader::begin(&session, Place::behind(login.cursor));
        self.party = Party::Device { session, reader };
    }

    // ------------------------------------------------------------ pushing

    /// Moves what comes next for the device into the connection, as far as its window and the socket allow.
    fn pump(&mut self, context: &mut Context<'_>) {
        let Party::Device { session, reader } = &mut self.party else { return };
        let now = self.service.now();
        while self.connection.is_live() {
            let has_room = self.connection.output_len() < OUT_HIGH_WATER;
            let entries = if has_room { self.connection.push_room() } else { 0 };
            let want = Want { after: self.connection.pushed(), entries, unnumbered: has_room };
            let Poll::Ready(next) = reader.poll_next(session, want, context) else {
                if has_room {
                    self.connection.set_lagging(reader.is_behind());
                }
                return;
            };
            match next {
                Next::Entry(entry) => {
                    if self.connection.push(entry.useq, entry.own_send_no, &entry.item, now) {
                        self.service.metrics().entries_pushed.inc();
                    }
                }
                Next::Acked(ack) => self.connection.acked(ack, now),
                Next::Refused(nack) => self.connection.refused(nack),
                Next::Passed(item) => self.connection.pass(&item),
                Next::Hints(hints) => hints.iter().for_each(|hint| self.connection.pass(hint)),
                Next::Signal(signal) => self.connection.signal(&signal),
                Next::Reset(reset) => self.connection.sync_reset(reset),
                Next::GoAway { deadline, spread } => self.connection.go_away(deadline, spread, &[]),
                Next::End { code, reason } => self.connection.close(code, &reason),
                Next::Superseded => self.connection.close(CloseCode::REPLACED, "another reader of this session"),
            }
        }
    }
}

/// What a peer wrote, fit for a log line.
fn printable(text: &str) -> String {
    text.chars().take(128).flat_map(char::escape_debug).collect()
}
