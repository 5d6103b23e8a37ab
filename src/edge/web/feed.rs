//! One reader of a device's log: entries after a number, from the channel while it is live, out of the log where it is
//! behind. Event streams and polls of every kind read through this.

use std::{future::poll_fn, time::Duration};

use hongyan_proto::{CloseCode, wire, wire::entry::Item};
use prost::Message;
use tokio_util::sync::CancellationToken;

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
    Closed(CloseCode, &'static str),
    /// A newer reader of the same device has taken its place. The feed is over.
    Superseded,
}

/// A cursor over the log of one device. A device has one at a time: the newest, because a client that has lost its
/// connection cannot say so.
pub struct Feed {
    device: Present,
    after: u64,
    turn: CancellationToken,
    /// To be told before anything else.
    pending: Option<Next>,
}

impl Feed {
    /// Begins after `after`; ends the device's older feed.
    pub fn begin(device: Present, after: Position) -> Self {
        let turn = device.take_turn();
        let head = device.session().channel().head();
        let is_foreign = after.log_epoch.is_some_and(|epoch| epoch != device.log_epoch());
        let reset = (is_foreign || after.useq > head).then(|| wire::SyncReset {
            log_epoch: device.log_epoch(),
            low: head,
            head,
        });
        let after = if reset.is_some() { head } else { after.useq };
        Self { device, after, turn, pending: reset.map(Next::Reset) }
    }

    /// Behind the last entry that was given out.
    pub fn position(&self) -> Position {
        self.behind(self.after)
    }

    /// Behind the entry with this number.
    pub fn behind(&self, useq: u64) -> Position {
        Position { log_epoch: Some(self.device.log_epoch()), useq }
    }

    /// Whether there is nothing to give out now, as far as can be said without reading the log.
    pub fn is_at_head(&self) -> bool {
        self.pending.is_none() && self.device.session().channel().head() == self.after
    }

    /// Waits for what comes next. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Next {
        if let Some(pending) = self.pending.take() {
            return pending;
        }
        loop {
            if self.turn.is_cancelled() {
                return Next::Superseded;
            }
            if let Some((code, reason)) = self.device.ended() {
                return Next::Closed(code, reason);
            }
            if let Some(next) = self.take_live() {
                return next;
            }
            // Reading the log is rare while a reader waits, so that its room is not kept.
            match Box::pin(self.read_log()).await {
                Some(next) => return next,
                None => self.rung().await,
            }
        }
    }

    async fn rung(&self) {
        let channel = self.device.session().channel();
        tokio::select! {
            () = self.turn.cancelled() => {}
            () = poll_fn(|context| channel.poll_rung(context)) => {}
        }
    }

    /// What the channel holds, as far as it follows on what was given out.
    fn take_live(&mut self) -> Option<Next> {
        let channel = self.device.session().channel().clone();
        let mut entries = Vec::new();
        while entries.len() < PAGE_ENTRIES as usize
            && let Some(outbound) = channel.take(true)
        {
            let other = match outbound {
                Outbound::Entry { useq, .. } if useq <= self.after => continue,
                Outbound::Entry { useq, item } if useq == self.after + 1 => match self.live_entry(useq, &item) {
                    Some(entry) => {
                        self.after = useq;
                        entries.push(entry);
                        continue;
                    }
                    None => {
                        channel.fall_behind();
                        break;
                    }
                },
                Outbound::Entry { .. } => {
                    channel.fall_behind();
                    break;
                }
                Outbound::Passed { item } => Next::Passed(vec![wire::Entry::decode(item).unwrap_or_default()]),
                Outbound::Signal(signal) => Next::Signal(*signal),
                Outbound::GoAway { deadline, spread } => {
                    let ms = |span: Duration| span.as_millis() as u32;
                    let (deadline_ms, spread_ms) = (ms(deadline), ms(spread));
                    Next::GoAway(wire::GoAway { deadline_ms, spread_ms, alternatives: Vec::new() })
                }
                // Whoever sends by HTTP waits for the answer elsewhere.
                Outbound::Acked(_) | Outbound::Refused(_) => continue,
            };
            if entries.is_empty() {
                return Some(other);
            }
            self.pending = Some(other);
            break;
        }
        (!entries.is_empty()).then_some(Next::Entries(entries))
    }

    /// None: an own message. Whether this device sent it stands in the log only.
    fn live_entry(&self, useq: u64, item: &bytes::Bytes) -> Option<wire::Entry> {
        let entry = wire::Entry::decode(item.clone()).ok()?;
        let is_own =
            matches!(&entry.item, Some(Item::Message(message)) if message.from == self.device.session().uid().as_str());
        (!is_own).then_some(wire::Entry { useq, ..entry })
    }

    /// None: everything has been given out, and what comes next comes live.
    async fn read_log(&mut self) -> Option<Next> {
        let session = self.device.session();
        match session.next_page(self.after, PAGE_ENTRIES, PAGE_BYTES).await {
            Ok(Page::CaughtUp) if !session.channel().take_hints_due() => None,
            Ok(Page::CaughtUp) => {
                let hints = session.hints().await.unwrap_or_default().into_iter();
                let hints: Vec<_> = hints.map(|hint| wire::Entry::decode(hint).unwrap_or_default()).collect();
                (!hints.is_empty()).then_some(Next::Passed(hints))
            }
            Ok(Page::Reset(reset)) => {
                self.after = reset.head;
                Some(Next::Reset(reset))
            }
            Ok(Page::Entries(entries)) => {
                self.after = entries.last().map_or(self.after, |entry| entry.useq);
                Some(Next::Entries(entries.into_iter().map(logged_entry).collect()))
            }
            Err(error) => {
                tracing::error!(%error, uid = %session.uid(), "the log cannot be read");
                Some(Next::Closed(CloseCode::UNAVAILABLE, "the log cannot be read now"))
            }
        }
    }
}

fn logged_entry(entry: Entry) -> wire::Entry {
    // What the store holds was encoded here. An entry that does not decode is shown as one of an unknown kind.
    let item = wire::Entry::decode(entry.item).unwrap_or_default().item;
    wire::Entry { useq: entry.useq, own_send_no: entry.own_send_no, item }
}
