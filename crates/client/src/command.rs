//! What a handle asks of the driver, and how that answers.

use std::time::Duration;

use hongyan_proto::{Uid, wire};
use tokio::sync::oneshot;

use crate::{conversation::Conversation, error::SendError, event::Sent, outgoing::Outgoing};

/// How long [`Command::Close`] waits for the last bytes to leave.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What became of a message of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendStatus {
    /// No such number, or its answer is older than those that are kept: at least the last 1,000.
    Unknown,
    /// In the outbox; it will be sent, or has been and waits for its answer.
    Queued,
    /// Durable at the server.
    Sent(Sent),
    /// At least one device of the peer has stored it.
    Delivered(Sent),
    /// The peer has read it. Of messages to groups the server is asked: [`crate::Client::message_status`].
    Read(Sent),
    /// It will never be taken. `code` is a `NackCode` of the wire.
    Refused { code: i32, reason: String },
}

/// The outcome of a message, for whoever waits.
pub(crate) type Outcome = Result<Sent, SendError>;

/// What a handle asks of the driver.
pub(crate) enum Command {
    Enqueue {
        outgoing: Outgoing,
        /// Told once the item is durable in the outbox.
        queued: oneshot::Sender<Result<u64, SendError>>,
        answer: Option<oneshot::Sender<Outcome>>,
    },
    Wait {
        send_no: u64,
        answer: oneshot::Sender<Outcome>,
    },
    Status {
        send_no: u64,
        reply: oneshot::Sender<SendStatus>,
    },
    Request {
        op: wire::request::Op,
        reply: oneshot::Sender<wire::response::Result>,
    },
    /// The conversation list, once it is known.
    Conversations {
        reply: oneshot::Sender<Vec<Conversation>>,
    },
    /// People to follow, beside those followed so far or in their place.
    Follow {
        uids: Vec<Uid>,
        replace: bool,
    },
    Signal(wire::Signal),
    Ping {
        reply: oneshot::Sender<Duration>,
    },
    Close {
        done: oneshot::Sender<()>,
    },
}
