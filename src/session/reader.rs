//! The one reader of a user's log: turns a device at a place into what comes next for it, out of its channel while it keeps
//! up and out of the log where it is behind. Every way in reads through this.
//!
//! What a reader can lose is in the log (entries), is a fact that stays (the end, a server that goes away, hints that are
//! owed), or may be lost (signals). And the place is an argument, not state: to be given entries again, ask with a smaller
//! [`Want::after`].

use std::{
    borrow::Cow,
    task::{Context, Poll},
    time::Duration,
    vec,
};

use bytes::Bytes;
use hongyan_proto::{CloseCode, wire};

use super::{
    catch_up::{Entry, Page, Read},
    dispatch::Session,
    place::Place,
};
use crate::live::queue::{Glance, Look, Outbound, Parting};

/// What a way in can take now.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    /// It has everything up to this entry of the log.
    pub after: u64,
    /// So many entries.
    pub entries: u64,
    /// And what has no number: passed things, hints, signals, word that the server goes away.
    pub unnumbered: bool,
}

/// What comes next.
#[derive(Debug)]
pub enum Next {
    /// The one after the last that the reader has.
    Entry(Entry),
    /// A SEND of this device is answered; never behind entries for which there is no room.
    Acked(wire::SendAck),
    Refused(wire::SendNack),
    /// Something in a large group, numbered by its cseq alone: an encoded entry.
    Passed(Bytes),
    /// How far large groups have come: encoded entries.
    Hints(Vec<Bytes>),
    Signal(Box<wire::Signal>),
    /// The place is not in the log, or not any more: it goes on from `head`.
    Reset(wire::SyncReset),
    GoAway {
        deadline: Duration,
        spread: Duration,
    },
    /// The session is over, or cannot go on. The last.
    End {
        code: CloseCode,
        reason: Cow<'static, str>,
    },
    /// A newer reader of the same device has taken its place. The last.
    Superseded,
}

/// A place in the reading of one device. A device has one reader at a time, the newest, because a client that has lost its
/// connection cannot say so. Every idle connection carries one.
pub struct Reader {
    /// By which the channel knows that a newer one has come.
    turn: u32,
    /// Told that the server goes away.
    was_told: bool,
    /// Its place was in another log.
    owes_reset: bool,
    is_behind: bool,
    reading: Option<Box<Reading>>,
}

enum Reading {
    Page(Read<Page>),
    /// What of a page has not been given yet.
    Rest(vec::IntoIter<Entry>),
    Hints(Read<Vec<Bytes>>),
}

impl Reader {
    /// Begins at `at`; ends the device's older reader.
    pub fn begin(session: &Session, at: Place) -> Self {
        let (channel, log_epoch) = (session.channel(), session.log_epoch());
        let turn = channel.attach(at.proves.and_then(|proof| turn_of(proof, channel.id.conn_epoch)));
        let owes_reset = at.log_epoch.is_some_and(|epoch| epoch != log_epoch);
        Self { turn, was_told: false, owes_reset, is_behind: true, reading: None }
    }

    /// What a device may bring to show that it has got what this reader gave, also what has no number.
    pub fn proof(&self, session: &Session) -> u64 {
        proof_of(self.turn, session.channel().id.conn_epoch)
    }

    /// What comes next of what is wanted.
    pub fn poll_next(&mut self, session: &Session, want: Want, context: &mut Context<'_>) -> Poll<Next> {
        if std::mem::take(&mut self.owes_reset) {
            return Poll::Ready(reset(session, session.channel().head()));
        }
        let Want { after, entries, unnumbered } = want;
        loop {
            let glance = Glance { turn: self.turn, was_told: self.was_told, after, entries, unnumbered };
            match session.channel().look(glance, context.waker()) {
                Look::Take(outbound) => return Poll::Ready(outbound.into()),
                Look::Superseded => return Poll::Ready(Next::Superseded),
                Look::Parting(Parting::End { code, reason }) => return Poll::Ready(Next::End { code, reason }),
                Look::Beyond { head } => return Poll::Ready(reset(session, head)),
                Look::Parting(Parting::GoAway { until, spread }) => {
                    self.was_told = true;
                    let deadline = until.saturating_duration_since(session.now());
                    return Poll::Ready(Next::GoAway { deadline, spread });
                }
                Look::HintsDue => self.reading = Some(Reading::Hints(session.read_hints()).into()),
                Look::Behind { head } => {
                    self.is_behind = true;
                    if self.reading.is_none() {
                        let page = session.read_page(after, head, entries);
                        self.reading = Some(Reading::Page(page).into());
                    }
                }
                Look::Nothing { is_behind } => {
                    self.is_behind = is_behind;
                    let Some(Reading::Hints(_)) = self.reading.as_deref() else {
                        self.reading = None;
                        return Poll::Pending;
                    };
                    if !unnumbered {
                        return Poll::Pending;
                    }
                }
            }
            match self.poll_read(session, after, context) {
                Poll::Ready(None) => {}
                Poll::Ready(Some(next)) => return Poll::Ready(next),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Goes on with what is being read. None: it is over, and the channel is to be asked again.
    fn poll_read(&mut self, session: &Session, after: u64, context: &mut Context<'_>) -> Poll<Option<Next>> {
        let Some(reading) = self.reading.as_deref_mut() else { return Poll::Ready(None) };
        let read = match reading {
            Reading::Rest(rest) => match rest.next().filter(|entry| entry.useq == after + 1) {
                Some(entry) => return Poll::Ready(Some(Next::Entry(entry))),
                None => Ok(None),
            },
            Reading::Page(page) => match page.as_mut().poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Page::Entries(entries))) => {
                    *reading = Reading::Rest(entries.into_iter());
                    return Poll::Ready(None);
                }
                Poll::Ready(Ok(Page::Reset(reset))) => Ok(Some(Next::Reset(reset))),
                Poll::Ready(Err(error)) => Err(error),
            },
            Reading::Hints(hints) => match hints.as_mut().poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(hints)) => Ok((!hints.is_empty()).then_some(Next::Hints(hints))),
                Poll::Ready(Err(error)) => {
                    session.channel().owe_hints();
                    Err(error)
                }
            },
        };
        self.reading = None;
        Poll::Ready(read.unwrap_or_else(|error| {
            tracing::error!(%error, uid = %session.uid(), "the log cannot be read");
            let reason = "the log cannot be read now".into();
            Some(Next::End { code: CloseCode::UNAVAILABLE, reason })
        }))
    }

    /// Whether the log is being read.
    pub fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Whether the next entry stands in the log, as the last look found.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }
}

impl From<Outbound> for Next {
    fn from(outbound: Outbound) -> Self {
        match outbound {
            Outbound::Entry { useq, own_send_no, item } => Self::Entry(Entry { useq, own_send_no, item }),
            Outbound::Passed { item } => Self::Passed(item),
            Outbound::Acked(ack) => Self::Acked(ack),
            Outbound::Refused(nack) => Self::Refused(nack),
            Outbound::Signal(signal) => Self::Signal(signal),
        }
    }
}

fn reset(session: &Session, head: u64) -> Next {
    Next::Reset(wire::SyncReset { log_epoch: session.log_epoch(), low: head, head })
}

/// Turns begin anew with every channel, so a proof says of which it is.
fn proof_of(turn: u32, conn_epoch: u64) -> u64 {
    conn_epoch << 32 | u64::from(turn)
}

fn turn_of(proof: u64, conn_epoch: u64) -> Option<u32> {
    (proof >> 32 == conn_epoch & u64::from(u32::MAX)).then_some(proof as u32)
}
