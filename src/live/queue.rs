//! What waits for a live device: one bounded queue of what is passed on, and the facts that stay. What a reader gets of it
//! next is decided here.

use std::{
    borrow::Cow,
    cmp::Ordering,
    collections::VecDeque,
    task::Waker,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hongyan_proto::{CloseCode, canary, wire};

use crate::base::rate::Bucket;

/// Entries that may wait for a link. More, and the device reads them from the log instead.
pub(super) const MAX_WAITING: u32 = 64;
/// Bytes of entries that may wait for a link.
const MAX_WAITING_BYTES: u32 = 32 * 1024;

/// Who looks into a channel, and what it can take now.
#[derive(Clone, Copy, Debug)]
pub struct Glance {
    /// Of the reader.
    pub turn: u32,
    /// It knows that the server goes away.
    pub was_told: bool,
    /// It has everything up to this entry of the log.
    pub after: u64,
    /// So many entries.
    pub entries: u64,
    /// And what has no number: passed things, hints, signals, word that the server goes away.
    pub unnumbered: bool,
}

/// What a look into a channel finds.
#[derive(Debug)]
pub enum Look {
    Take(Outbound),
    /// The next entry stands in the log, which ends at `head`.
    Behind {
        head: u64,
    },
    /// There is no such place: the log ends at `head`.
    Beyond {
        head: u64,
    },
    /// The reader is to hear how far the large groups have come; it counts as told.
    HintsDue,
    /// The server goes away, or the connection is to end.
    Parting(Parting),
    /// A newer reader has the channel.
    Superseded,
    /// The waker will be called when there is something. `is_behind`: what comes next stands in the log.
    Nothing {
        is_behind: bool,
    },
}

/// What a channel carries to its link.
#[derive(Debug)]
pub enum Outbound {
    /// A live entry: the next one of the user's log.
    Entry {
        useq: u64,
        /// The number under which this device sent it itself, where it was answered apart from the channel; 0: it did not.
        own_send_no: u64,
        item: Bytes,
    },
    /// Something in a large group, numbered by its cseq alone.
    Passed {
        item: Bytes,
    },
    Acked(wire::SendAck),
    Refused(wire::SendNack),
    /// Rare, and large.
    Signal(Box<wire::Signal>),
}

impl Outbound {
    /// Of what counts against the bounds.
    fn item(&self) -> Option<&Bytes> {
        match self {
            Self::Entry { item, .. } | Self::Passed { item } => Some(item),
            _ => None,
        }
    }
}

/// Whether the device knows how far its large groups have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hints {
    /// It has shown that it knows, or nothing was ever said of them.
    #[default]
    Settled,
    /// The present reader was told, which proves nothing: the next one is told again, unless it shows that it knows.
    Told,
    /// It must hear it: it has just logged in, or something was dropped.
    Due,
}

/// How a connection comes to its end.
#[derive(Clone, Debug)]
pub enum Parting {
    /// The device is asked to move until then.
    GoAway {
        until: Instant,
        spread: Duration,
    },
    End {
        code: CloseCode,
        reason: Cow<'static, str>,
    },
}

/// What few channels have.
#[derive(Debug, Default)]
pub(super) struct Rare {
    pub signals_sent: Bucket,
    pub parting: Option<Parting>,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub waiting: VecDeque<Outbound>,
    pub entries: u32,
    pub entry_bytes: u32,
    /// The newest entry of the user's log.
    pub head: u64,
    /// The device reads the log; live entries only move the head.
    pub lagging: bool,
    pub hints: Hints,
    /// Boxed, or every idle connection would carry the room for it.
    pub rare: Option<Box<Rare>>,
    /// Something was put in since the reader looked.
    pub rung: bool,
    /// The reader that waits for the bell, and how many have had it before.
    pub reader: Option<Waker>,
    pub turn: u32,
}

impl Queue {
    pub fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub fn parting(&self) -> Option<&Parting> {
        self.rare.as_deref()?.parting.as_ref()
    }

    pub fn ring(&mut self) {
        if !std::mem::replace(&mut self.rung, true)
            && !canary::is("nobody-rings")
            && let Some(reader) = &self.reader
        {
            reader.wake_by_ref();
        }
    }

    pub fn listen(&mut self, waker: &Waker) {
        self.rung = false;
        if !self.reader.as_ref().is_some_and(|reader| reader.will_wake(waker)) {
            self.reader = Some(waker.clone());
        }
    }

    /// The next thing that waits, if it is wanted: an entry only if it is the one after the last. Answers to SENDs do not wait
    /// behind entries for which there is no room.
    pub fn next_for(&mut self, glance: Glance) -> Option<Outbound> {
        loop {
            match self.waiting.front() {
                Some(Outbound::Entry { useq, .. }) => match useq.cmp(&(glance.after + 1)) {
                    Ordering::Less => drop(self.take(0)),
                    Ordering::Equal if glance.entries > 0 => return self.take(0),
                    Ordering::Equal => return self.take_answer(),
                    Ordering::Greater => self.lag(),
                },
                Some(Outbound::Acked(_) | Outbound::Refused(_)) => return self.take(0),
                Some(Outbound::Passed { .. } | Outbound::Signal(_)) if !glance.unnumbered => return None,
                Some(Outbound::Passed { .. }) => {
                    self.hints = self.hints.max(Hints::Told);
                    return self.take(0);
                }
                Some(Outbound::Signal(_)) => return self.take(0),
                None => {
                    self.lagging = glance.after < self.head && !canary::is("caught-up-too-soon");
                    return None;
                }
            }
        }
    }

    /// What is to be said or done though nothing wanted waits.
    pub fn due(&mut self, glance: Glance) -> Look {
        let head = self.head;
        if glance.after > head {
            return Look::Beyond { head };
        }
        if let Some(going_away @ Parting::GoAway { .. }) = self.parting()
            && glance.unnumbered
            && !glance.was_told
        {
            return Look::Parting(going_away.clone());
        }
        let is_behind = self.lagging && glance.after < head;
        if is_behind && glance.entries > 0 {
            return Look::Behind { head };
        }
        if !is_behind && glance.unnumbered && self.hints == Hints::Due {
            self.hints = Hints::Told;
            return Look::HintsDue;
        }
        Look::Nothing { is_behind }
    }

    /// Puts something in, and counts what counts.
    pub fn put(&mut self, outbound: Outbound) {
        if let Some(item) = outbound.item() {
            self.entries += 1;
            self.entry_bytes += item.len() as u32;
        }
        self.waiting.push_back(outbound);
    }

    pub fn take_answer(&mut self) -> Option<Outbound> {
        let is_answer = |waiting: &Outbound| matches!(waiting, Outbound::Acked(_) | Outbound::Refused(_));
        let answer = self.waiting.iter().position(is_answer)?;
        self.take(answer)
    }

    pub fn take(&mut self, index: usize) -> Option<Outbound> {
        let next = self.waiting.remove(index)?;
        if let Some(item) = next.item() {
            self.entries -= 1;
            self.entry_bytes -= item.len() as u32;
        }
        if self.waiting.is_empty() && self.waiting.capacity() > 16 {
            self.waiting = VecDeque::new();
        }
        Some(next)
    }

    pub fn is_full_for(&self, item: &Bytes) -> bool {
        self.entries >= MAX_WAITING || self.entry_bytes + item.len() as u32 > MAX_WAITING_BYTES
    }

    pub fn lag(&mut self) {
        self.lagging = true;
        if self.entries == 0 {
            return;
        }
        self.waiting.retain(|outbound| !matches!(outbound, Outbound::Entry { .. }));
        let items = self.waiting.iter().filter_map(Outbound::item);
        (self.entries, self.entry_bytes) =
            items.fold((0, 0), |(entries, bytes), item| (entries + 1, bytes + item.len() as u32));
    }
}
