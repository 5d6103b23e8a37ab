//! What a device consists of.

use std::{
    collections::VecDeque,
    pin::Pin,
    rc::Rc,
    task::Waker,
    time::{Duration, Instant},
};

use hongyan_proto::wire;

use super::{line::Line, notebook::Notebook, round::Round};
use crate::sim::{
    chance::Chance,
    clock::SimTimer,
    conversation::User,
    network::{End, Road},
    world::World,
};

/// Where in a turn a device's process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    BeforeCommit,
    AfterCommit,
}

pub struct Device {
    pub user: User,
    pub(super) number: usize,
    pub name: String,
    pub notebook: Notebook,
    pub(super) world: Rc<World>,
    pub(super) road: Road,
    /// It comes by requests, not over a connection of its own.
    pub(super) by_requests: bool,
    pub(super) chance: Chance,
    pub(super) timer: Pin<Box<SimTimer>>,
    pub(super) waker: Option<Waker>,
    pub(super) line: Option<Line>,
    /// Connections that were left without a word, until then.
    pub(super) abandoned: Vec<(Instant, End)>,
    pub(super) round: Round,
    /// Entries that the application takes later: neither stored nor acked.
    pub(super) held: VecDeque<wire::Entry>,
    pub(super) next_try: Instant,
    pub(super) attempts: u32,
    pub(super) distrust: bool,
    /// The device epoch that the server was told last, and how many devices it may have taken this one for by now.
    pub(super) told_epoch: u32,
    pub(super) selves: u32,
    /// Its next login is given up at once, and arrives so much later, when the device has logged in anew.
    pub(super) hasty: Option<Duration>,
    /// When to move to another connection, after a GOAWAY.
    pub(super) leave_at: Option<Instant>,
    pub is_off: bool,
    /// The application takes no entries before then.
    pub slow_until: Instant,
    /// Nothing is read before then.
    pub deaf_until: Instant,
    pub(super) crash: Option<Crash>,
    /// Its disk was turned back, and the server has not told it yet what it has forgotten: nothing new is sent.
    pub(super) is_suspect: bool,
    /// The end of this device, which nothing in a run justifies.
    pub stopped: Option<String>,
}

impl Device {
    pub fn new(
        world: &Rc<World>,
        user: User,
        number: usize,
        road: Road,
        by_requests: bool,
        mut chance: Chance,
    ) -> Self {
        let now = world.clock.now();
        Self {
            user,
            number,
            name: format!("d{number}"),
            notebook: Notebook::new(chance.within(1, 1 << 30) as u32),
            world: world.clone(),
            road,
            by_requests,
            chance,
            timer: Box::pin(SimTimer::new(&world.clock)),
            waker: None,
            line: None,
            abandoned: Vec::new(),
            round: Round::default(),
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
}
