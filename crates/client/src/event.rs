//! What an application sees: the events, and the stream it takes them from.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use hongyan_proto::{
    Uid,
    wire::{self, entry::Item},
};
use tokio::sync::mpsc;

use crate::{ClientError, store::ShownMark};

/// A message that the server has made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The number that [`crate::Client::enqueue`] returned.
    pub send_no: u64,
    /// The peer.
    pub conversation: Uid,
    /// Its number in the conversation.
    pub cseq: u64,
    /// Its number in this user's log.
    pub useq: u64,
    /// When the server took it, in milliseconds since 1970.
    pub time_ms: u64,
}

/// A message of a conversation: pushed live, caught up on, or read from the history.
#[derive(Clone, PartialEq, Eq)]
pub struct Received {
    /// Its number in this user's log; 0 if it was read from the history.
    pub useq: u64,
    /// The peer, whoever of the two has sent it.
    pub conversation: Uid,
    pub from: Uid,
    pub to: Uid,
    /// Its number in the conversation.
    pub cseq: u64,
    /// When the server took it, in milliseconds since 1970.
    pub time_ms: u64,
    /// Opaque; by agreement an encoded `Content`, see [`crate::Content::as_text`].
    pub content: Bytes,
    /// This user has sent it, from another device (or, in a history, from this one).
    pub own: bool,
}

impl fmt::Debug for Received {
    /// Leaves the content out: what people write belongs into no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("useq", &self.useq)
            .field("from", &self.from)
            .field("to", &self.to)
            .field("cseq", &self.cseq)
            .field("content_len", &self.content.len())
            .finish_non_exhaustive()
    }
}

/// What happens, in order.
#[derive(Clone)]
#[non_exhaustive]
pub enum Event {
    /// Logged in: at first, after Disconnected, or on a new connection that the server asked for. `resumed`: with the
    /// resume token, without a credential.
    Connected { resumed: bool },
    /// The connection is gone; another one is tried by itself. Queued messages stay queued.
    Disconnected { reason: String, retry_in: Duration },
    /// A message to this user, or from another device of this user.
    Message(Received),
    /// A message of the outbox is durable at the server. Told only if nobody waits for it in [`crate::Client::send`] or
    /// [`crate::Client::wait`].
    Sent(Sent),
    /// A message of the outbox will never be taken; told as Sent is. `code` is a `NackCode` of the wire.
    Refused { send_no: u64, conversation: Uid, code: i32, reason: String },
    /// The peer's devices have received everything up to this cseq of the conversation.
    Delivered { conversation: Uid, up_to_cseq: u64 },
    /// Passing information of another user, such as typing. Dropped when the application is slow.
    Signal { from: Uid, body: Bytes },
    /// The server's log could not be continued from this device's place. The newest messages of each conversation that
    /// this device has not seen follow as Message events with useq 0; older ones are in the history.
    Reset,
    /// The client has stopped for good; the last event.
    Stopped(ClientError),
}

impl fmt::Debug for Event {
    /// Leaves contents and bodies out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Connected { resumed } => write!(f, "Connected {{ resumed: {resumed} }}"),
            Event::Disconnected { reason, retry_in } => write!(f, "Disconnected({reason:?}, retry in {retry_in:?})"),
            Event::Message(message) => write!(f, "Message({message:?})"),
            Event::Sent(sent) => write!(f, "Sent({sent:?})"),
            Event::Refused { send_no, code, reason, .. } => write!(f, "Refused({send_no}, {code}, {reason:?})"),
            Event::Delivered { conversation, up_to_cseq } => write!(f, "Delivered({conversation}, {up_to_cseq})"),
            Event::Signal { from, body } => write!(f, "Signal(from {from}, {} bytes)", body.len()),
            Event::Reset => f.write_str("Reset"),
            Event::Stopped(error) => write!(f, "Stopped({error:?})"),
        }
    }
}

/// An event on its way to the application. `number` is 0 for what is not kept in the store.
pub(crate) struct Numbered {
    pub number: u64,
    pub event: Event,
}

/// The stream of events, for one reader.
///
/// Message, Sent, Refused, Delivered and Reset are committed to the local store before they come out here, and come out
/// again after a restart until they are *handled*. An event counts as handled when the application asks for the next
/// one, or calls [`Events::handled`]; that mark survives a kill of the process at any moment. So an application that is
/// killed sees at most the one event again that it was handling, and never misses one. (After a power cut the mark may
/// be older, and more events may come again.)
///
/// An application that takes no events slows the server down instead of filling memory: beyond 256 waiting events
/// nothing more is stored or acked. Sending goes on meanwhile. Dropping the stream means that nobody will look: answers
/// and receipts make no events then, and an ephemeral device takes messages and forgets them.
pub struct Events {
    pub(crate) receiver: mpsc::Receiver<Numbered>,
    pub(crate) mark: Arc<dyn ShownMark>,
    /// The last kept event that was given out and is not marked yet; 0: none.
    pub(crate) open: u64,
}

impl Events {
    /// The next event; None after [`Event::Stopped`]. Marks the one before as handled. May be cancelled without loss.
    pub async fn next(&mut self) -> Option<Event> {
        self.handled();
        let Numbered { number, event } = self.receiver.recv().await?;
        self.open = number;
        Some(event)
    }

    /// The event that came last is done with, and must not come again after a restart.
    pub fn handled(&mut self) {
        if self.open != 0 {
            self.mark.set(self.open);
            self.open = 0;
        }
    }
}

/// The message in an entry of the user `uid`'s log; None if the entry holds none, or names nobody that can exist.
pub(crate) fn message(uid: &Uid, useq: u64, entry: wire::Entry) -> Option<Received> {
    let Some(Item::Message(message)) = entry.item else { return None };
    let (from, to) = (Uid::new(&message.from).ok()?, Uid::new(&message.to).ok()?);
    let own = from == *uid;
    let conversation = if own { to.clone() } else { from.clone() };
    let wire::Message { cseq, time_ms, content, .. } = message;
    Some(Received { useq, conversation, from, to, cseq, time_ms, content, own })
}
