//! What a request or a stream of the web takes of its device's reader at once: entries in a run, or one thing of another
//! kind, as they are written in JSON.

use std::{
    borrow::Cow,
    future::poll_fn,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hongyan_proto::{CloseCode, wire};
use prost::Message;

use crate::session::{Entry, Next as One, Place, Present, Reader, Want};

/// The most entries in a run.
const RUN_ENTRIES: usize = 64;
/// And their bytes, roughly.
const RUN_BYTES: usize = 16 * 1024;

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

/// A device, its reader and how far that has come.
pub struct Feed {
    device: Present,
    reader: Reader,
    after: u64,
    /// What was given last has no number.
    is_unproved: bool,
}

impl Feed {
    /// Begins at `at`; ends the device's older feed.
    pub fn begin(device: Present, at: Place) -> Self {
        let reader = Reader::begin(device.session(), at);
        Self { device, reader, after: at.useq, is_unproved: false }
    }

    /// Behind the last entry that was given out; whoever brings it has got all that was.
    pub fn place(&self) -> Place {
        let proves = self.is_unproved.then(|| self.reader.proof(self.device.session()));
        Place { proves, ..self.behind(self.after) }
    }

    /// Behind the entry with this number.
    pub fn behind(&self, useq: u64) -> Place {
        Place { log_epoch: Some(self.device.session().log_epoch()), ..Place::behind(useq) }
    }

    /// Waits for what comes next. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Next {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// What there is now; at the most the log has to be read for it.
    pub async fn now(&mut self) -> Option<Next> {
        poll_fn(|context| match self.poll_next(context) {
            Poll::Ready(next) => Poll::Ready(Some(next)),
            Poll::Pending if self.reader.is_reading() => Poll::Pending,
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// What comes next, as [`Self::next`].
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        let want = Want { after: self.after, entries: RUN_ENTRIES as u64, unnumbered: true };
        loop {
            let next = match ready!(self.reader.poll_next(self.device.session(), want, context)) {
                One::Entry(first) => Next::Entries(self.run(first, context)),
                One::Passed(item) => Next::Passed(vec![decode(item)]),
                One::Hints(hints) => Next::Passed(hints.into_iter().map(decode).collect()),
                One::Signal(signal) => Next::Signal(*signal),
                One::Reset(reset) => {
                    self.after = reset.head;
                    Next::Reset(reset)
                }
                One::GoAway { deadline, spread } => {
                    let ms = |span: Duration| span.as_millis() as u32;
                    let (deadline_ms, spread_ms) = (ms(deadline), ms(spread));
                    Next::GoAway(wire::GoAway { deadline_ms, spread_ms, alternatives: Vec::new() })
                }
                One::End { code, reason } => Next::Closed(code, reason),
                One::Superseded => Next::Superseded,
                // Whoever sends by HTTP is answered apart from the channel.
                One::Acked(_) | One::Refused(_) => continue,
            };
            self.is_unproved = matches!(next, Next::Passed(_));
            return Poll::Ready(next);
        }
    }

    /// The entries that follow on the first one at once. What is not given out stays, for whoever reads next.
    fn run(&mut self, first: Entry, context: &mut Context<'_>) -> Vec<wire::Entry> {
        self.after = first.useq;
        let mut bytes = first.item.len();
        let mut entries = vec![to_wire(first)];
        while entries.len() < RUN_ENTRIES && bytes < RUN_BYTES {
            let room = (RUN_ENTRIES - entries.len()) as u64;
            let want = Want { after: self.after, entries: room, unnumbered: false };
            let next = self.reader.poll_next(self.device.session(), want, context);
            let Poll::Ready(One::Entry(entry)) = next else { break };
            self.after = entry.useq;
            bytes += entry.item.len();
            entries.push(to_wire(entry));
        }
        entries
    }
}

fn to_wire(entry: Entry) -> wire::Entry {
    wire::Entry { useq: entry.useq, own_send_no: entry.own_send_no, item: decode(entry.item).item }
}

/// What the store holds was encoded here. An entry that does not decode is shown as one of an unknown kind.
fn decode(item: Bytes) -> wire::Entry {
    wire::Entry::decode(item).unwrap_or_default()
}

#[cfg(test)]
mod tests;
