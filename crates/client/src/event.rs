//! What an application sees: the events, and the stream it takes them from.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use hongyan_proto::{
    ConversationId, Uid,
    wire::{self, entry::Item},
};
use tokio::sync::mpsc;

use crate::{
    act::Privacy,
    conversation::Conversation,
    entry::{Changed, Entry, Received},
    error::ClientError,
    group::JoinRequest,
    store::{Outcome, ShownMark, StoredEvent, stored_event::Kind},
};

/// A message or act that the server has made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The number that [`crate::Client::enqueue`] returned.
    pub send_no: u64,
    /// The peer or group; the group that was made, if one was; oneself, if it belongs to no conversation.
    pub conversation: ConversationId,
    /// Its number in the conversation; 0: it has none.
    pub cseq: u64,
    /// Its number in this user's log; 0: it has none. What an act does comes as an entry of its own.
    pub useq: u64,
    /// When the server took it, in milliseconds since 1970.
    pub time_ms: u64,
}

/// How far somebody has received a conversation. Numbers only go up; 0: nothing new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub conversation: ConversationId,
    /// Who: the peer, or a member of the group.
    pub by: Uid,
    /// Everything up to this cseq has reached one of their devices.
    pub delivered_cseq: u64,
    /// Everything up to this cseq has been read by them.
    pub read_cseq: u64,
    /// When, in milliseconds since 1970; 0: not told.
    pub time_ms: u64,
}

/// Somebody on this user's list of contacts, or blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    pub uid: Uid,
    /// Both have agreed.
    pub mutual: bool,
    pub asked_by_me: bool,
    pub asked_by_them: bool,
    pub blocked: bool,
}

/// Whether somebody is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    pub uid: Uid,
    pub online: bool,
    /// When they last were, in milliseconds since 1970; 0: not told.
    pub last_seen_ms: u64,
}

/// What happens, in order.
#[derive(Clone)]
#[non_exhaustive]
pub enum Event {
    /// Logged in: at first, after Disconnected, or on a new connection that the server asked for. `resumed`: with the
    /// resume token, without a credential.
    Connected {
        resumed: bool,
    },
    /// The connection is gone; another one is tried by itself. Queued messages stay queued.
    Disconnected {
        reason: String,
        retry_in: Duration,
    },
    /// A message to this user, or from another device of this user.
    Message(Received),
    /// Something was done in a conversation, by somebody else or on any device of this user.
    Changed(Changed),
    /// A message or act of the outbox is durable at the server. Told only if nobody waits for it in
    /// [`crate::Client::submit`] or [`crate::Client::wait`].
    Sent(Sent),
    /// A message or act of the outbox will never be taken; told as Sent is. `code` is a `NackCode` of the wire.
    Refused {
        send_no: u64,
        conversation: ConversationId,
        code: i32,
        reason: String,
    },
    /// Somebody has received or read what this user wrote.
    Receipt(Receipt),
    /// A line of this user's list is another now, by what was done on one of their devices or by others: read marks,
    /// how it is arranged, membership. (What follows from messages is counted silently: [`crate::Client::conversations`].)
    Conversation(Box<Conversation>),
    Contact(Contact),
    /// This user's settings, as they are now.
    Privacy(Privacy),
    JoinRequest(JoinRequest),
    /// Passing information of another user. `conversation` is them, or a group. Dropped when the application is slow,
    /// like Typing and Presence.
    Signal {
        conversation: ConversationId,
        from: Uid,
        body: Bytes,
    },
    /// Somebody is writing.
    Typing {
        conversation: ConversationId,
        from: Uid,
    },
    /// Of people that this client follows, see [`crate::Client::follow`].
    Presence(Presence),
    /// This device was so far behind in a large group that the messages with after_cseq < cseq < before_cseq are left
    /// to the history.
    Skipped {
        conversation: ConversationId,
        after_cseq: u64,
        before_cseq: u64,
    },
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
            Event::Changed(changed) => write!(f, "{changed:?}"),
            Event::Sent(sent) => write!(f, "Sent({sent:?})"),
            Event::Refused { send_no, code, reason, .. } => write!(f, "Refused({send_no}, {code}, {reason:?})"),
            Event::Receipt(receipt) => write!(f, "{receipt:?}"),
            Event::Conversation(row) => {
                write!(f, "Conversation({}, head {}, unread {})", row.id, row.head_cseq, row.unread)
            }
            Event::Contact(contact) => write!(f, "{contact:?}"),
            Event::Privacy(privacy) => write!(f, "{privacy:?}"),
            Event::JoinRequest(request) => write!(f, "{request:?}"),
            Event::Signal { from, body, .. } => write!(f, "Signal(from {from}, {} bytes)", body.len()),
            Event::Typing { conversation, from } => write!(f, "Typing({from} in {conversation})"),
            Event::Presence(presence) => write!(f, "{presence:?}"),
            Event::Skipped { conversation, after_cseq, before_cseq } => {
                write!(f, "Skipped({conversation}, {after_cseq}..{before_cseq})")
            }
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
/// All but Connected, Disconnected, Signal, Typing, Presence and Stopped are committed to the local store before they come
/// out here, and come out again after a restart until they are *handled*. An event counts as handled when the application asks for the next
/// one, or calls [`Events::handled`]; that mark survives a kill of the process at any moment. So an application that is
/// killed sees at most the one event again that it was handling, and never misses one. (After a power cut the mark may
/// be older, and more events may come again.)
///
/// An application that takes no events does not fill memory: beyond 256 waiting events, or 1 MiB, they are in the store
/// alone and are read back as they are taken. Entries go on being stored and acked, up to [`crate::LocalStore::capacity`]:
/// 10,000 events or 16 MiB in an `SqliteStore`, no more than memory holds in a `MemoryStore`. At that limit nothing more
/// is stored or acked; the server closes such a connection after a while, and the pauses before the next one double up
/// to 30 s, until events are taken again. Sending goes on meanwhile, but for these pauses. Dropping the stream means that nobody will look: answers
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

/// None: an entry that holds nothing an application is told of, or names nobody that can exist.
pub(crate) fn to_event(me: &Uid, stored: StoredEvent) -> Option<Event> {
    match stored.kind? {
        Kind::Entry(entry) => of_entry(me, entry),
        Kind::Answer(answer) => Some(match answer.outcome? {
            Outcome::Sent(ack) => Event::Sent(sent(me, &answer.to, ack)),
            Outcome::Refused(nack) => {
                let conversation = conversation_of(me, &answer.to);
                Event::Refused { send_no: nack.send_no, conversation, code: nack.code, reason: nack.reason }
            }
        }),
        Kind::Reset(_) => Some(Event::Reset),
        Kind::Skipped(skipped) => {
            let conversation = ConversationId::new(&skipped.conversation).ok()?;
            let (after_cseq, before_cseq) = (skipped.after_cseq, skipped.before_cseq);
            Some(Event::Skipped { conversation, after_cseq, before_cseq })
        }
    }
}

fn of_entry(me: &Uid, entry: wire::Entry) -> Option<Event> {
    Some(match entry.item? {
        Item::Message(message) => match Entry::read(me, entry.useq, message)? {
            Entry::Message(message) => Event::Message(message),
            Entry::Changed(changed) => Event::Changed(changed),
        },
        Item::Receipt(receipt) => Event::Receipt(Receipt::read(receipt)?),
        Item::Conversation(row) => Event::Conversation(Conversation::read(me, *row)?.into()),
        Item::Contact(contact) => Event::Contact(Contact::read(contact)?),
        Item::Privacy(privacy) => Event::Privacy(Privacy::read(privacy)),
        Item::JoinRequest(request) => Event::JoinRequest(JoinRequest::read(request)?),
        Item::Hint(_) => return None,
    })
}

/// `to` is empty for what belongs to no conversation.
fn conversation_of(me: &Uid, to: &str) -> ConversationId {
    ConversationId::new(to).unwrap_or_else(|_| me.into())
}

pub(crate) fn sent(me: &Uid, to: &str, ack: wire::SendAck) -> Sent {
    let wire::SendAck { send_no, cseq, useq, time_ms, group } = ack;
    let conversation = if group == 0 { conversation_of(me, to) } else { ConversationId::Group(group) };
    Sent { send_no, conversation, cseq, useq, time_ms }
}

impl Receipt {
    fn read(told: wire::Receipt) -> Option<Self> {
        let conversation = ConversationId::new(&told.conversation).ok()?;
        let by = match &conversation {
            ConversationId::User(peer) => peer.clone(),
            ConversationId::Group(_) => Uid::new(&told.uid).ok()?,
        };
        let wire::Receipt { delivered_cseq, read_cseq, time_ms, .. } = told;
        Some(Self { conversation, by, delivered_cseq, read_cseq, time_ms })
    }
}

impl Contact {
    pub(crate) fn read(told: wire::Contact) -> Option<Self> {
        let wire::Contact { uid, mutual, asked_by_me, asked_by_them, blocked } = told;
        Some(Self { uid: Uid::new(&uid).ok()?, mutual, asked_by_me, asked_by_them, blocked })
    }
}

impl Presence {
    pub(crate) fn read(told: wire::Presence) -> Option<Self> {
        let wire::Presence { uid, online, last_seen_ms } = told;
        Some(Self { uid: Uid::new(&uid).ok()?, online, last_seen_ms })
    }
}
