//! A device: the real client end of the protocol, with a simple application and a notebook that survives crashes. It
//! follows the same rules as the SDK: store first, then ack, answer and show.

mod beside;
mod events;
mod notebook;
mod seeing;
mod tap;
mod turn;
mod wishes;

use std::{
    collections::VecDeque,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use hongyan_proto::{
    client::{Connection, Place, Settings},
    wire::{self, hello},
};
use tap::Tap;

use super::{
    chance::Chance,
    clock::SimTimer,
    conversation::{self, User},
    network::{self, Cut, End, Road},
    world::World,
};
use crate::base::environment::Timer as _;
use events::Reload;
use notebook::Note;
pub use notebook::Notebook;
pub use wishes::Wish;

/// Where in a turn a device's process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    BeforeCommit,
    AfterCommit,
}

/// A connection, as the device sees it.
struct Line {
    end: End,
    connection: Connection,
    out: BytesMut,
    tap: Tap,
    opened: Instant,
    is_resuming: bool,
    is_answered: bool,
    reload: Reload,
    /// The large group whose next page is asked for.
    asked: Option<u64>,
    /// It has ended; the last words may still have to be written.
    is_over: bool,
}

pub struct Device {
    pub user: User,
    number: usize,
    pub name: String,
    pub notebook: Notebook,
    world: Rc<World>,
    road: Road,
    chance: Chance,
    timer: Pin<Box<SimTimer>>,
    waker: Option<Waker>,
    line: Option<Line>,
    /// Connections that were left without a word, until then.
    abandoned: Vec<(Instant, End)>,
    /// Changes that are not written yet.
    round: Vec<Note>,
    /// Entries that the application takes later: neither stored nor acked.
    held: VecDeque<wire::Entry>,
    next_try: Instant,
    attempts: u32,
    distrust: bool,
    /// The device epoch that the server was told last, and how many devices it may have taken this one for by now.
    told_epoch: u32,
    selves: u32,
    /// Its next login is given up at once, and arrives so much later, when the device has logged in anew.
    hasty: Option<Duration>,
    /// When to move to another connection, after a GOAWAY.
    leave_at: Option<Instant>,
    pub is_off: bool,
    /// The application takes no entries before then.
    pub slow_until: Instant,
    /// Nothing is read before then.
    pub deaf_until: Instant,
    crash: Option<Crash>,
    /// Its disk was turned back, and the server has not told it yet what it has forgotten: nothing new is sent.
    is_suspect: bool,
    /// The end of this device, which nothing in a run justifies.
    pub stopped: Option<String>,
}

impl Device {
    pub fn new(world: &Rc<World>, user: User, number: usize, road: Road, mut chance: Chance) -> Self {
        let now = world.clock.now();
        Self {
            user,
            number,
            name: format!("d{number}"),
            notebook: Notebook::new(chance.within(1, 1 << 30) as u32),
            world: world.clone(),
            road,
            chance,
            timer: Box::pin(SimTimer::new(&world.clock)),
            waker: None,
            line: None,
            abandoned: Vec::new(),
            round: Vec::new(),
            held: VecDeque::new(),
            next_try: now,
            attempts: 0,
            distrust: false,
            told_epoch: 0,
            selves: 0,
            hasty: None,
            leave_at: None,
            is_off: false,
            slow_until: now,
            deaf_until: now,
            crash: None,
            is_suspect: false,
            stopped: None,
        }
    }

    // ------------------------------------------------------------ what happens to it

    pub fn wake(&self) {
        self.waker.iter().for_each(Waker::wake_by_ref);
    }

    /// Has whatever it needs, and nothing left to do.
    pub fn is_idle(&self) -> bool {
        let is_done = |line: &Line| line.connection.is_live() && line.out.is_empty();
        let live = self.line.as_ref().is_some_and(is_done);
        live && self.notebook.outbox.is_empty()
            && !self.notebook.is_reloading
            && self.notebook.behind().is_none()
            && self.held.is_empty()
    }

    /// For the report of a violation.
    pub fn describe(&self) -> String {
        let live = self.line.as_ref().is_some_and(|line| line.connection.is_live());
        let Notebook { cursor, last_send_no, outbox, is_reloading, .. } = &self.notebook;
        let (held, unanswered) = (self.held.len(), outbox.len());
        format!(
            "live {live}, cursor {cursor:?}, send_no {last_send_no}, unanswered {unanswered}, held {held}, reloading {is_reloading}"
        )
    }

    pub fn cut(&mut self, cut: Cut) {
        self.line.iter().for_each(|line| line.end.cut(cut));
        self.abandoned.iter().for_each(|(_, end)| end.cut(cut));
    }

    pub fn stall(&mut self, until: Instant) {
        self.line.iter().for_each(|line| line.end.stall(until));
    }

    /// The process ends at this point of its next turn, and starts again.
    pub fn crash_at(&mut self, crash: Crash) {
        self.crash = Some(crash);
        self.wake();
    }

    /// Leaves its connection as it is, bytes under way and all, and makes another.
    pub fn abandon(&mut self, delay: Duration) {
        let now = self.world.clock.now();
        if let Some(line) = self.line.take() {
            line.end.stall(now + delay);
            self.abandoned.push((now + delay * 2, line.end));
            self.distrust |= !line.is_answered;
        }
        self.forget();
        // No two connections of a device are made at the same moment.
        self.next_try = now + Duration::from_micros(1);
        self.wake();
    }

    /// Loses its connection, and has so little patience that it gives the login on the next one up.
    pub fn give_up_login(&mut self, delay: Duration) {
        self.hasty = Some(delay);
        self.cut(Cut::Reset);
    }

    /// All that it knew is gone; it begins as a new device under its old name.
    pub fn lose_state(&mut self) {
        self.turn_back(Notebook::new(0));
        self.notebook.device_epoch = self.chance.within(1, 1 << 30) as u32;
    }

    /// Its disk shows what it held some time ago.
    pub fn turn_back(&mut self, notebook: Notebook) {
        let mut ledger = self.world.ledger.borrow_mut();
        let (old, new) = (self.notebook.outbox.values(), notebook.outbox.values());
        old.chain(new).for_each(|id| ledger.let_loose(*id));
        drop(ledger);
        self.notebook = notebook;
        self.is_suspect = true;
        self.restart();
    }

    /// Leaves with a farewell and stays away, or comes back.
    pub fn turn_off(&mut self, is_off: bool) {
        let now = self.world.clock.now();
        self.is_off = is_off;
        if let Some(mut line) = self.line.take().filter(|_| is_off) {
            self.round.clear();
            line.connection.close(hongyan_proto::CloseCode::NORMAL, "", now);
            line.out.extend_from_slice(&line.connection.take_output(now));
            turn::write(&mut line, &mut Context::from_waker(Waker::noop()));
            self.distrust |= !line.is_answered;
        }
        self.forget();
        self.next_try = now;
        self.wake();
    }

    /// Nothing bad happens to it any more.
    pub fn heal(&mut self) {
        let now = self.world.clock.now();
        (self.slow_until, self.deaf_until, self.crash, self.hasty) = (now, now, None, None);
        self.road = Road { latency: Duration::from_millis(5), jitter: Duration::ZERO, piece: 4096, capacity: 65536 };
        self.line.iter().for_each(|line| line.end.heal(self.road));
        if self.is_off {
            self.turn_off(false);
        }
        self.wake();
    }

    /// What does not survive the end of a connection.
    fn forget(&mut self) {
        self.round.clear();
        self.held.clear();
        self.leave_at = None;
    }

    /// The process ends, without a word, and starts again.
    fn restart(&mut self) {
        let now = self.world.clock.now();
        self.line = None;
        self.forget();
        // A process that starts knows nothing of the logins of the one before.
        self.distrust = false;
        self.attempts = 0;
        self.next_try = now + self.chance.span(1, 500_000);
        self.wake();
    }

    // ------------------------------------------------------------ connecting

    fn connect(&mut self) {
        let now = self.world.clock.now();
        let (ours, theirs) = network::connect(&self.world.clock, self.chance.fork(), self.road);
        let address = IpAddr::from([10, 0, self.user as u8, self.number as u8]);
        if !self.world.host.accept(theirs, address) {
            return self.pause();
        }
        let Notebook { cursor, last_send_no, .. } = self.notebook;
        let cursor = cursor.unwrap_or(0);
        let first_unanswered = self.notebook.answered() + 1;
        let place = Place { cursor, first_unanswered, last_queued: last_send_no };
        let is_resuming = !self.notebook.resume_token.is_empty();
        let connection = if is_resuming {
            let has_fallback = self.distrust || self.chance.one_in(2);
            let resume = wire::Resume {
                resume_token: self.notebook.resume_token.clone(),
                cursor,
                limits_id: self.notebook.limits.as_ref().map_or(0, |limits| limits.id),
                fallback: has_fallback.then(|| self.hello()),
            };
            Connection::resume(Settings::default(), &resume, place, now)
        } else {
            Connection::hello(Settings::default(), &self.hello(), place, now)
        };
        self.line = Some(Line {
            end: ours,
            connection,
            out: BytesMut::new(),
            tap: Tap::new(cursor),
            opened: now,
            is_resuming,
            is_answered: false,
            reload: Reload::default(),
            asked: None,
            is_over: false,
        });
    }

    /// What it says of itself. In another device epoch than the last time it is another device to the server, also if it
    /// has been in that epoch before.
    fn hello(&mut self) -> wire::Hello {
        let device_epoch = self.notebook.device_epoch;
        if std::mem::replace(&mut self.told_epoch, device_epoch) != device_epoch {
            self.selves += 1;
        }
        wire::Hello {
            uid: conversation::uid(self.user),
            device: self.name.clone(),
            device_epoch,
            credential: Some(hello::Credential::Token(self.world.tokens[self.user].clone())),
            cursor: self.notebook.cursor,
            log_epoch: self.notebook.log_epoch,
            last_send_no: self.notebook.last_send_no,
            answered_send_no: self.notebook.answered(),
            ..Default::default()
        }
    }

    fn pause(&mut self) {
        let most_us = 250_000_u64 << self.attempts.min(5);
        self.attempts += 1;
        self.next_try = self.world.clock.now() + self.chance.span(most_us / 4, most_us);
    }

    /// Does what can be done now. The device is one task, which never ends.
    pub fn poll(&mut self, context: &mut Context<'_>) {
        self.waker = Some(context.waker().clone());
        let mut goes_on = false;
        loop {
            let now = self.world.clock.now();
            self.abandoned.retain(|(until, _)| *until > now);
            if self.stopped.is_some() || self.is_off {
                return;
            }
            if self.line.is_some() {
                if !self.turn(context, goes_on) {
                    return self.wait(context);
                }
                goes_on = self.line.is_some();
            } else if self.next_try <= now {
                self.connect();
            } else {
                return self.wait(context);
            }
        }
    }

    fn wait(&mut self, context: &mut Context<'_>) {
        let now = self.world.clock.now();
        let pauses = [self.slow_until, self.deaf_until].into_iter().filter(|until| *until > now);
        let abandoned = self.abandoned.iter().map(|(until, _)| *until);
        let due = match &self.line {
            Some(line) => line.connection.poll_timeout(),
            None => Some(self.next_try),
        };
        let all = pauses.chain(abandoned).chain(due).chain(self.leave_at);
        if let Some(due) = all.min()
            && let Poll::Ready(()) = self.timer.as_mut().poll_at(due, context)
        {
            context.waker().wake_by_ref();
        }
    }
}
