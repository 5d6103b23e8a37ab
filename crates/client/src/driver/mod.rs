//! The loop that drives a client. It owns everything; nothing else changes the state.
//!
//! One turn: wait for something to happen; take the commands that have arrived and the events of the protocol, which
//! together make a [`Round`]; commit it in one transaction; only then ack, answer callers, show events and write.
//!
//! ```text
//!            pause over           connected              WELCOME, RESUMED
//!   Wait ───────────────▶ Dial ─────────────▶ Login ───────────────────────▶ active, Idle
//!    ▲                      │                   │                                  │
//!    └──────────────────────┴───────────────────┴──────── lost, or GOAWAY ─────────┘
//! ```
//!
//! After a GOAWAY the old connection stays active beside this until a login elsewhere begins; from then on it is left
//! unread, so that nothing it brings can be missed or doubled: it all comes again on the new one, after the cursor.

mod commands;
mod incoming;
mod keeper;
mod large;
mod login;
mod outbox;
mod queue;
mod reconnect;
mod reload;
mod requests;
mod round;
mod rows;
mod show;

use std::{
    collections::{HashMap, VecDeque},
    future::{Future, pending},
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::BytesMut;
use hongyan_proto::{CloseCode, Uid, client::Connection, wire};
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep_until, timeout},
};

use self::{
    keeper::Keeper,
    large::Large,
    login::Login,
    outbox::Outbox,
    queue::{Queue, READY},
    reload::Reload,
    requests::Requests,
    round::Round,
    rows::Rows,
};
use crate::{
    backoff::Backoff,
    command::{CLOSE_TIMEOUT, Command},
    error::ClientError,
    event::{Event, Events},
    link::{Dialer, Link},
    settings::ClientSettings,
    store::{Change, ConversationMark, Meta},
};

/// Commands that share one transaction at the most.
const COMMANDS_A_TURN: usize = 256;
/// Bytes that may wait before nothing more is read, and so nothing more answered.
const MAX_OUT_READING: usize = 1 << 20;
/// Entries that may be held back before nothing more is read. Servers stop at their push window long before.
const MAX_HELD: usize = 1024;

/// A link and the protocol's state of it.
struct Line {
    link: Link,
    connection: Connection,
    opened: Instant,
    /// It began with a RESUME, and no HELLO has followed.
    resuming: bool,
    /// The server has answered the login, one way or the other.
    answered: bool,
}

/// The way to the next connection.
enum Next {
    /// The active one is good.
    Idle,
    Wait(Instant),
    Dial(Pin<Box<dyn Future<Output = io::Result<Link>> + Send>>),
    Login(Box<Line>),
}

/// Why the loop ends.
enum Stop {
    Closed(Option<oneshot::Sender<()>>),
    Failed(ClientError),
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Self {
        Stop::Failed(error)
    }
}

/// What has happened.
enum Input {
    Command(Option<Command>),
    Link(io::Result<Option<BytesMut>>),
    Dialed(io::Result<Link>),
    /// A time has come, or the application has taken an event.
    Look,
}

pub(crate) struct Driver {
    login: Login,
    dialer: Dialer,
    /// `host:port`
    address: String,
    grease: bool,
    keeper: Keeper,
    meta: Meta,
    marks: HashMap<String, ConversationMark>,
    outbox: Outbox,
    requests: Requests,
    reload: Reload,
    rows: Rows,
    large: Large,
    queue: Queue,
    commands: mpsc::Receiver<Command>,
    active: Option<Line>,
    next: Next,
    /// Where the server said to go instead, until one of them or the own address has answered.
    alternatives: VecDeque<String>,
    backoff: Backoff,
    /// Pauses after the server has found this device too slow.
    stalls: Backoff,
    /// The pause under way is such a one, and the application is to blame.
    stalled: bool,
    /// The last login got no answer, so its resume token may be used up.
    distrust: bool,
    /// When a login was last given up: it may still arrive, and replace a later one of this client.
    stray: Option<Instant>,
    /// A new device epoch was begun, and no message has been answered since.
    new_epoch: bool,
    /// Entries that the store has no room for, as the application is too slow. They are neither stored nor acked, and
    /// come again after a cut.
    held: VecDeque<wire::Entry>,
    /// Why there was no connection last.
    failure: String,
    /// Whoever waits for the first login.
    first: Option<oneshot::Sender<Result<Uid, ClientError>>>,
    /// When the first login must have succeeded.
    give_up_at: Option<Instant>,
    ended: Arc<OnceLock<ClientError>>,
}

/// What a driver is started with, besides the settings.
pub(crate) struct Ends {
    pub commands: mpsc::Receiver<Command>,
    pub first: oneshot::Sender<Result<Uid, ClientError>>,
    pub ended: Arc<OnceLock<ClientError>>,
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn clock_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

impl Driver {
    /// Opens the store and prepares everything; [`Self::run`] begins.
    pub async fn new(
        settings: ClientSettings,
        dialer: Dialer,
        address: String,
        ends: Ends,
    ) -> Result<(Self, Events), ClientError> {
        let login = Login::new(&settings)?;
        let (mark, capacity) = (settings.store.mark(), settings.store.capacity());
        let keeper = Keeper::new(settings.store);
        let loaded = keeper.load().await?;
        let is_new = loaded.meta.is_none();
        let fresh = || Meta {
            device_epoch: rand::random_range(1..=u32::MAX),
            device: login.device.to_string(),
            ..Meta::default()
        };
        let meta = loaded.meta.unwrap_or_else(fresh);
        login.check(&meta)?;
        if is_new {
            keeper.commit(Change { meta: Some(meta.clone()), ..Change::default() }).await?;
        }
        let (sender, receiver) = mpsc::channel(READY);
        let queue = Queue::new(sender, Arc::clone(&mark), capacity, loaded.last_event, loaded.unread);
        let mut driver = Self {
            login,
            dialer,
            address,
            grease: settings.grease,
            keeper,
            meta,
            marks: loaded.conversations.into_iter().collect(),
            outbox: Outbox::new(loaded.outbox),
            requests: Requests::default(),
            reload: Reload::default(),
            rows: Rows::default(),
            large: Large::default(),
            queue,
            commands: ends.commands,
            active: None,
            next: Next::Wait(now()),
            alternatives: VecDeque::new(),
            backoff: Backoff::default(),
            stalls: Backoff::default(),
            stalled: false,
            new_epoch: false,
            distrust: false,
            stray: None,
            held: VecDeque::new(),
            failure: String::new(),
            first: Some(ends.first),
            give_up_at: settings.connect_timeout.map(|timeout| now() + timeout),
            ended: ends.ended,
        };
        driver.refill().await?;
        Ok((driver, Events { receiver, mark, open: 0 }))
    }

    /// Drives until the client is closed or cannot go on.
    pub async fn run(mut self) {
        let stop = loop {
            if let Err(stop) = self.turn().await {
                break stop;
            }
        };
        self.stop(stop).await;
    }

    async fn turn(&mut self) -> Result<(), Stop> {
        let mut round = Round::default();
        let input = self.input().await;
        let result = self.take(input, &mut round).await;
        // Whatever ends the loop, what has come before it is stored and told.
        self.commit(round).await?;
        result?;
        self.write();
        self.refill().await?;
        Ok(())
    }

    /// The line that is read and written now: while a login is under way, that one alone.
    fn line(&mut self) -> Option<&mut Line> {
        match &mut self.next {
            Next::Login(line) => Some(line),
            _ => self.active.as_mut(),
        }
    }

    async fn input(&mut self) -> Input {
        let due = self.poll_timeout();
        let reading = self.held.len() < MAX_HELD;
        let Self { commands, queue, active, next, .. } = self;
        let (line, dialing) = match next {
            Next::Login(line) => (Some(&mut **line), None),
            Next::Dial(dialing) => (active.as_mut(), Some(dialing)),
            Next::Idle | Next::Wait(_) => (active.as_mut(), None),
        };
        let link = async {
            match line {
                Some(line) => line.link.progress(reading && line.link.queued() < MAX_OUT_READING).await,
                None => pending().await,
            }
        };
        let dialed = async {
            match dialing {
                Some(dialing) => dialing.await,
                None => pending().await,
            }
        };
        let timer = async {
            match due {
                Some(due) => sleep_until(due.into()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            command = commands.recv() => Input::Command(command),
            result = link => Input::Link(result),
            result = dialed => Input::Dialed(result),
            () = timer => Input::Look,
            () = queue.progress() => Input::Look,
        }
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        let wait = match &self.next {
            Next::Wait(until) => Some(*until),
            _ => None,
        };
        let connection = self.line().and_then(|line| line.connection.poll_timeout());
        let first = self.give_up_at.filter(|_| self.first.is_some());
        wait.into_iter().chain(connection).chain(first).min()
    }

    async fn take(&mut self, input: Input, round: &mut Round) -> Result<(), Stop> {
        match input {
            Input::Command(command) => self.on_commands(command, round).await?,
            Input::Link(Ok(Some(bytes))) if bytes.is_empty() => {
                self.on_broken("the server closed the connection without a word", round)?;
            }
            Input::Link(Ok(Some(bytes))) => {
                if let Some(line) = self.line() {
                    line.connection.handle_bytes(bytes);
                }
            }
            Input::Link(Ok(None)) | Input::Look => {}
            Input::Link(Err(error)) => self.on_broken(&format!("the connection broke: {error}"), round)?,
            Input::Dialed(Ok(link)) => self.on_dialed(link)?,
            Input::Dialed(Err(error)) => self.on_dial_failed(&error, round)?,
        }
        self.on_time(now(), round)?;
        self.poll_events(round)?;
        self.resume_held(round)?;
        self.advance_reload();
        self.advance_rows();
        self.advance_gaps(round);
        Ok(())
    }

    async fn stop(mut self, stop: Stop) {
        let (error, done) = match stop {
            Stop::Closed(done) => (ClientError::closed(), done),
            Stop::Failed(error) => (error, None),
        };
        let _ = self.ended.set(error.clone());
        self.commands.close();
        self.outbox.all_waiters().for_each(|waiter| {
            let _ = waiter.send(Err(error.clone().into()));
        });
        if let Some(mut line) = self.active.take() {
            line.connection.close(CloseCode::NORMAL, "", now());
            line.link.queue(line.connection.take_output(now()));
            let _ = timeout(CLOSE_TIMEOUT, line.link.finish()).await;
        }
        // The next client may open the store as soon as this one is known to be closed.
        drop(self.keeper);
        if let Some(first) = self.first.take() {
            let _ = first.send(Err(error.clone()));
        }
        if let Some(done) = done {
            let _ = done.send(());
        }
        drop(self.commands);
        self.queue.finish(Event::Stopped(error)).await;
    }
}

/// Says the last words of a connection that this end has closed, in the background.
fn retire(mut line: Line) {
    line.link.queue(line.connection.take_output(now()));
    tokio::spawn(async move {
        let _ = timeout(CLOSE_TIMEOUT, line.link.finish()).await;
    });
}

/// A random part of `span`.
fn random_part(span: Duration) -> Duration {
    span.mul_f64(rand::random())
}
