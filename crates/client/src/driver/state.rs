//! Everything that a driver owns. What happens to it is in the files above, one for each kind of thing that happens.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    time::Instant,
};

use hongyan_proto::{Uid, client::Connection, wire};
use tokio::sync::{mpsc, oneshot};

use super::{
    hello::Login, keeper::Keeper, large::Large, outbox::Outbox, queue::Queue, reload::Reload, requests::Requests,
    rows::Rows,
};
use crate::{
    backoff::Backoff,
    command::Command,
    error::ClientError,
    link::{Dialer, Link},
    store::{ConversationMark, Meta},
};

/// Bytes that may wait for the peer to take them before no more messages are written, and passing things are dropped.
pub(super) const MAX_OUT: usize = 256 * 1024;

/// A link and the protocol's state of it.
pub(super) struct Line {
    pub link: Link,
    pub connection: Connection,
    pub opened: Instant,
    /// It began with a RESUME, and no HELLO has followed.
    pub resuming: bool,
    /// The server has answered the login, one way or the other.
    pub answered: bool,
}

/// The way to the next connection.
///
/// ```text
///            pause over           connected              WELCOME, RESUMED
///   Wait ───────────────▶ Dial ─────────────▶ Login ───────────────────────▶ active, Idle
///    ▲                      │                   │                                  │
///    └──────────────────────┴───────────────────┴──────── lost, or GOAWAY ─────────┘
/// ```
///
/// After a GOAWAY the old connection stays active beside this until a login elsewhere begins; from then on it is left
/// unread, so that nothing it brings can be missed or doubled: it all comes again on the new one, after the cursor.
pub(super) enum Next {
    /// The active one is good.
    Idle,
    Wait(Instant),
    Dial(Pin<Box<dyn Future<Output = io::Result<Link>> + Send>>),
    Login(Box<Line>),
}

/// Why the loop ends.
pub(super) enum Stop {
    Closed(Option<oneshot::Sender<()>>),
    Failed(ClientError),
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Self {
        Stop::Failed(error)
    }
}

/// One client's state. Nothing else changes it, and nothing is shared but `ended`.
pub(crate) struct Driver {
    pub(super) login: Login,
    pub(super) dialer: Dialer,
    /// `host:port`
    pub(super) address: String,
    pub(super) grease: bool,
    pub(super) keeper: Keeper,
    pub(super) meta: Meta,
    pub(super) marks: HashMap<String, ConversationMark>,
    pub(super) outbox: Outbox,
    pub(super) requests: Requests,
    pub(super) reload: Reload,
    pub(super) rows: Rows,
    pub(super) large: Large,
    pub(super) queue: Queue,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) active: Option<Line>,
    pub(super) next: Next,
    /// Where the server said to go instead, until one of them or the own address has answered.
    pub(super) alternatives: VecDeque<String>,
    pub(super) backoff: Backoff,
    /// Pauses after the server has found this device too slow.
    pub(super) stalls: Backoff,
    /// The pause under way is such a one, and the application is to blame.
    pub(super) stalled: bool,
    /// The last login got no answer, so its resume token may be used up.
    pub(super) distrust: bool,
    /// When a login was last given up: it may still arrive, and replace a later one of this client.
    pub(super) stray: Option<Instant>,
    /// A new device epoch was begun, and no message has been answered since.
    pub(super) new_epoch: bool,
    /// Entries that the store has no room for, as the application is too slow. They are neither stored nor acked, and
    /// come again after a cut.
    pub(super) held: VecDeque<wire::Entry>,
    /// Why there was no connection last.
    pub(super) failure: String,
    /// Whoever waits for the first login.
    pub(super) first: Option<oneshot::Sender<Result<Uid, ClientError>>>,
    /// When the first login must have succeeded.
    pub(super) give_up_at: Option<Instant>,
    pub(super) ended: Arc<OnceLock<ClientError>>,
}

impl Driver {
    /// The line that is read and written now: while a login is under way, that one alone.
    pub(super) fn line(&mut self) -> Option<&mut Line> {
        match &mut self.next {
            Next::Login(line) => Some(line),
            _ => self.active.as_mut(),
        }
    }
}
