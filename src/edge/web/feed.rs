//! One reader of a device's log: entries after a number, from the channel while it is live, out of the log where it is
//! behind. Event streams and polls of every kind read through this.

use std::{borrow::Cow, cmp::Ordering, fmt::Display, future::poll_fn, time::Duration};

use hongyan_proto::{CloseCode, wire};
use prost::Message;

use super::{devices::Present, position::Position};
use crate::session::{Entry, Outbound, Page};

/// Entries read at once.
const PAGE_ENTRIES: u64 = 64;
/// Bytes read from the log at once.
const PAGE_BYTES: usize = 16 * 1024;

/// What comes next.
pub enum Next {
    /// One or more, in order, without a hole behind what came before.
    Entries(Vec<wire::Entry>),
    /// Of large groups: numbered by cseq alone, or how far they have come. They do not move the place in the log.
    Passed(Vec<wire::Entry>),
    Signal(wire::Signal),
    /// The place asked for is not in the log: goes on from `head`.
    Reset(wire::SyncReset),
    GoAway(wire::GoAway),
    /// The feed is over.
    Closed(CloseCode, Cow<'static, str>),
    /// A newer reader of the same device has taken its place. The feed is over.
    Superseded,
}

/// A cursor over the log of one device. A device has one at a time: the newest, because a client that has lost its
/// connection cannot say so.
pub struct Feed {
    device: Present,
    after: u64,
    /// By which the channel knows that a newer one has come.
    turn: u32,
    /// To be told before anything else.
    reset: Option<wire::SyncReset>,
}

impl Feed {
    /// Begins after `after`; ends the device's older feed.
    pub fn begin(device: Present, after: Position) -> Self {
        let turn = device.session().channel().attach();
        let head = device.session().channel().head();
        let is_foreign = after.log_epoch.is_some_and(|epoch| epoch != device.log_epoch());
        let reset = (is_foreign || after.useq > head).then(|| wire::SyncReset {
            log_epoch: device.log_epoch(),
            low: head,
            head,
        });
        let after = if reset.is_some() { head } else { after.useq };
        Self { device, after, turn, reset }
    }

    /// Behind the last entry that was given out.
    pub fn position(&self) -> Position {
        self.behind(self.after)
    }

    /// Behind the entry with this number.
    pub fn behind(&self, useq: u64) -> Position {
        Position { log_epoch: Some(self.device.log_epoch()), useq }
    }

    /// Waits for what comes next. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Next {
        loop {
            match self.now().await {
                Some(next) => return next,
                None => self.rung().await,
            }
        }
    }

    /// What there is now; at the most the log has to be read for it.
    pub async fn now(&mut self) -> Option<Next> {
        if let Some(reset) = self.reset.take() {
            return Some(Next::Reset(reset));
        }
        if self.device.session().channel().is_superseded(self.turn) {
            return Some(Next::Superseded);
        }
        if let Some((code, reason)) = self.device.ended() {
            return Some(Next::Closed(code, reason));
        }
        match self.take_live() {
            Some(next) => Some(next),
            // Reading the log is rare while a reader waits, so that its room is not kept.
            None => Box::pin(self.read_log()).await,
        }
    }

    async fn rung(&self) {
        let channel = self.device.session().channel();
        poll_fn(|context| channel.poll_rung(self.turn, context)).await;
    }

    /// What the channel holds: entries as far as they follow on what was given out, or one thing of another kind. What is not
    /// given out stays there, for whoever reads next.
    fn take_live(&mut self) -> Option<Next> {
        let channel = self.device.session().channel().clone();
        let mut entries = Vec::new();
        while entries.len() < PAGE_ENTRIES as usize
            && let Some(Outbound::Entry { useq, own_send_no, item }) = channel.take_entry()
        {
            match useq.cmp(&(self.after + 1)) {
                Ordering::Less => {}
                Ordering::Equal => {
                    self.after = useq;
                    entries.push(to_wire(Entry { useq, own_send_no, item }));
                }
                Ordering::Greater => {
                    channel.fall_behind();
                    break;
                }
            }
        }
        if !entries.is_empty() {
            return Some(Next::Entries(entries));
        }
        Some(match channel.take(false)? {
            Outbound::Passed { item } => Next::Passed(vec![wire::Entry::decode(item).unwrap_or_default()]),
            Outbound::Signal(signal) => Next::Signal(*signal),
            Outbound::GoAway { deadline, spread } => {
                let ms = |span: Duration| span.as_millis() as u32;
                let (deadline_ms, spread_ms) = (ms(deadline), ms(spread));
                Next::GoAway(wire::GoAway { deadline_ms, spread_ms, alternatives: Vec::new() })
            }
            // Entries are taken above, and whoever sends by HTTP is answered apart from the channel.
            Outbound::Entry { .. } | Outbound::Acked(_) | Outbound::Refused(_) => return None,
        })
    }

    /// None: everything has been given out, and what comes next comes live.
    async fn read_log(&mut self) -> Option<Next> {
        let session = self.device.session();
        match session.next_page(self.after, PAGE_ENTRIES, PAGE_BYTES).await {
            Ok(Page::CaughtUp) if !session.channel().take_hints_due() => None,
            Ok(Page::CaughtUp) => match session.hints().await {
                Ok(hints) => {
                    let hints = hints.into_iter().map(|hint| wire::Entry::decode(hint).unwrap_or_default());
                    let hints: Vec<_> = hints.collect();
                    (!hints.is_empty()).then_some(Next::Passed(hints))
                }
                Err(error) => {
                    // They are owed still, to whoever reads next.
                    session.channel().owe_hints();
                    Some(self.cannot_read(&error))
                }
            },
            Ok(Page::Reset(reset)) => {
                self.after = reset.head;
                Some(Next::Reset(reset))
            }
            Ok(Page::Entries(entries)) => {
                self.after = entries.last().map_or(self.after, |entry| entry.useq);
                Some(Next::Entries(entries.into_iter().map(to_wire).collect()))
            }
            Err(error) => Some(self.cannot_read(&error)),
        }
    }

    fn cannot_read(&self, error: &dyn Display) -> Next {
        tracing::error!(%error, uid = %self.device.session().uid(), "the log cannot be read");
        Next::Closed(CloseCode::UNAVAILABLE, "the log cannot be read now".into())
    }
}

fn to_wire(entry: Entry) -> wire::Entry {
    // What the store holds was encoded here. An entry that does not decode is shown as one of an unknown kind.
    let item = wire::Entry::decode(entry.item).unwrap_or_default().item;
    wire::Entry { useq: entry.useq, own_send_no: entry.own_send_no, item }
}

#[cfg(test)]
mod tests;
