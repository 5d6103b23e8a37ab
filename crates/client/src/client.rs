//! The handle that an application holds. Every call becomes a command to the driver, which owns everything else.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use hongyan_proto::{Uid, wire};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::{
    Builder, ClientError, ErrorKind, Events, Received, SendError, Sent,
    driver::{Driver, Ends},
    event::message,
    link::Dialer,
};

/// Requests that may wait for their response at once; further ones wait for a place.
const REQUESTS: usize = 16;
/// Commands that may lie before the driver.
const COMMANDS: usize = 1024;
/// From a request or a ping to giving up, reconnects included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long [`Client::close`] waits for the last bytes to leave.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A user's device, logged in. Cheap to clone; the client stops when the last clone is dropped.
#[derive(Clone)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    uid: Uid,
    requests: Arc<Semaphore>,
    /// Why the client has stopped, once it has.
    ended: Arc<OnceLock<ClientError>>,
}

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
    /// It will never be taken. `code` is a `NackCode` of the wire.
    Refused { code: i32, reason: String },
}

/// Which messages of a conversation: those with after < cseq < before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    /// 0: no lower bound.
    pub after: u64,
    /// 0: no upper bound.
    pub before: u64,
    /// 1-200; 0 means 50.
    pub limit: u32,
    /// Oldest first from `after`; otherwise the newest below `before`. Pages are in rising order either way.
    pub forward: bool,
}

/// A part of a conversation's history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryPage {
    /// In rising cseq.
    pub messages: Vec<Received>,
    /// The newest cseq of the conversation; 0: it has none.
    pub head_cseq: u64,
    /// Whether more messages follow in the direction that was asked for.
    pub more: bool,
}

/// One conversation of this user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// The peer.
    pub conversation: Uid,
    pub head_cseq: u64,
}

/// Some of this user's conversations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConversationsPage {
    pub conversations: Vec<Conversation>,
    /// Use as `after` for the next page; 0: that was all.
    pub next: u64,
}

/// What the server knows about this user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub uid: Uid,
    /// The number of the newest entry of the user's log.
    pub head: u64,
    pub devices: Vec<Device>,
}

/// One of this user's devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub device: String,
    /// How far it has acked.
    pub cursor: u64,
    pub online: bool,
    pub ephemeral: bool,
}

/// The outcome of a message, for whoever waits.
pub(crate) type Outcome = Result<Sent, SendError>;

/// What a handle asks of the driver.
pub(crate) enum Command {
    Enqueue {
        to: Uid,
        content: Bytes,
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
    Signal {
        to: Uid,
        body: Bytes,
    },
    Ping {
        reply: oneshot::Sender<Duration>,
    },
    Close {
        done: oneshot::Sender<()>,
    },
}

impl Client {
    /// Begins to set up a client for the server at `host:port`, or `tls://host:port` for TLS 1.3. The plain form shows
    /// credentials and messages to everybody on the way: use it on one machine only.
    pub fn builder(server: &str) -> Builder {
        Builder::new(server)
    }

    pub(crate) async fn start(builder: Builder) -> Result<(Client, Events), ClientError> {
        if let Some(invalid) = builder.invalid {
            return Err(invalid);
        }
        // Reading the certificates blocks.
        let prepared = tokio::task::spawn_blocking(move || Dialer::new(&builder).map(|dialer| (builder, dialer)));
        let (builder, (dialer, address)) = prepared.await.map_err(|_| ClientError::closed())??;
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let (first, logged_in) = oneshot::channel();
        let ended = Arc::new(OnceLock::new());
        let ends = Ends { commands: receiver, first, ended: Arc::clone(&ended) };
        let (driver, events) = Driver::new(builder, dialer, address, ends).await?;
        tokio::spawn(driver.run());
        let uid = logged_in.await.map_err(|_| ClientError::closed())??;
        Ok((Client { commands, uid, requests: Arc::new(Semaphore::new(REQUESTS)), ended }, events))
    }

    /// Who is logged in.
    pub fn uid(&self) -> &Uid {
        &self.uid
    }

    /// Queues a message and waits for the server's answer, across reconnects, for as long as that takes. If the future
    /// is dropped after its first wait, the message may be sent all the same.
    ///
    /// # Errors
    /// See [`SendError`]. After `Closed` the message stays in a durable store and is sent later.
    pub async fn send(&self, to: &Uid, content: Bytes) -> Result<Sent, SendError> {
        let (answer, outcome) = oneshot::channel();
        self.queue(to, content, Some(answer)).await?;
        outcome.await.map_err(|_| self.ended())?
    }

    /// Queues a message and returns its number once it is durable in the outbox. It will be sent, under this number
    /// and at most once, however often the connection or this process ends before. Its answer comes as an event. The
    /// one exception: if an end goes back to a backup and so loses the numbers of this device (close code STATE_LOST),
    /// what is unanswered is sent in a new device epoch, and what the server had taken of it already is taken twice.
    ///
    /// # Errors
    /// TooLarge, OutboxFull (10,000 messages or 32 MiB are unanswered) or Closed; nothing was queued then.
    pub async fn enqueue(&self, to: &Uid, content: Bytes) -> Result<u64, SendError> {
        self.queue(to, content, None).await
    }

    async fn queue(
        &self,
        to: &Uid,
        content: Bytes,
        answer: Option<oneshot::Sender<Outcome>>,
    ) -> Result<u64, SendError> {
        let (queued, number) = oneshot::channel();
        self.command(Command::Enqueue { to: to.clone(), content, queued, answer }).await?;
        number.await.map_err(|_| self.ended())?
    }

    /// Waits for the server's answer to a message that was queued before, also before a restart.
    pub async fn wait(&self, send_no: u64) -> Result<Sent, SendError> {
        let (answer, outcome) = oneshot::channel();
        self.command(Command::Wait { send_no, answer }).await?;
        outcome.await.map_err(|_| self.ended())?
    }

    /// What became of a message, as far as this device knows. [`SendStatus::Unknown`] too if the client has stopped.
    pub async fn status(&self, send_no: u64) -> SendStatus {
        let (reply, status) = oneshot::channel();
        if self.command(Command::Status { send_no, reply }).await.is_err() {
            return SendStatus::Unknown;
        }
        status.await.unwrap_or(SendStatus::Unknown)
    }

    /// A page of the conversation with `peer`, from the server.
    pub async fn history(&self, peer: &Uid, query: HistoryQuery) -> Result<HistoryPage, ClientError> {
        let HistoryQuery { after, before, limit, forward } = query;
        let conversation = peer.to_string();
        let request = wire::HistoryRequest { conversation, after, before, limit, forward, around: 0 };
        let page = match self.request(wire::request::Op::History(request)).await? {
            wire::response::Result::History(page) => page,
            other => return Err(unexpected(other)),
        };
        let messages = page.entries.into_iter().filter_map(|entry| message(&self.uid, 0, entry)).collect();
        Ok(HistoryPage { messages, head_cseq: page.head_cseq, more: page.more })
    }

    /// This user's conversations after the position `after` (0: the first), at most `limit` (1-200; 0 means 50).
    pub async fn conversations(&self, after: u64, limit: u32) -> Result<ConversationsPage, ClientError> {
        let request = wire::ConversationsRequest { after, limit, ..Default::default() };
        let page = match self.request(wire::request::Op::Conversations(request)).await? {
            wire::response::Result::Conversations(page) => page,
            other => return Err(unexpected(other)),
        };
        let read = |item: wire::Conversation| {
            Some(Conversation { conversation: Uid::new(&item.conversation).ok()?, head_cseq: item.head_cseq })
        };
        Ok(ConversationsPage {
            conversations: page.conversations.into_iter().filter_map(read).collect(),
            next: page.next,
        })
    }

    /// What the server knows about this user and their devices.
    pub async fn account(&self) -> Result<Account, ClientError> {
        let account = match self.request(wire::request::Op::Account(wire::AccountRequest {})).await? {
            wire::response::Result::Account(account) => account,
            other => return Err(unexpected(other)),
        };
        let read = |wire::Device { device, cursor, online, ephemeral }| Device { device, cursor, online, ephemeral };
        let devices = account.devices.into_iter().map(read).collect();
        Ok(Account { uid: self.uid.clone(), head: account.head, devices })
    }

    async fn request(&self, op: wire::request::Op) -> Result<wire::response::Result, ClientError> {
        let _place = self.requests.acquire().await.map_err(|_| ClientError::closed())?;
        let (reply, response) = oneshot::channel();
        self.command(Command::Request { op, reply }).await?;
        answered(response).await
    }

    /// Sends passing information, at most 1,024 bytes, to another user's devices that are online now. It is dropped
    /// when this client is not connected.
    pub async fn signal(&self, to: &Uid, body: Bytes) -> Result<(), ClientError> {
        if body.len() > 1024 {
            let what = format!("a signal of {} bytes is larger than the 1,024 allowed", body.len());
            return Err(ClientError::new(ErrorKind::Settings, what));
        }
        self.command(Command::Signal { to: to.clone(), body }).await
    }

    /// The time of one round trip to the server, on the connection that is there or the next one.
    pub async fn ping(&self) -> Result<Duration, ClientError> {
        let _place = self.requests.acquire().await.map_err(|_| ClientError::closed())?;
        let (reply, response) = oneshot::channel();
        self.command(Command::Ping { reply }).await?;
        answered(response).await
    }

    /// Acks what is stored, says goodbye and stops; returns when that is done, within a few seconds.
    /// Events that came before can still be read; those that memory had no room for come from the next client that
    /// opens the store.
    pub async fn close(&self) {
        let (done, finished) = oneshot::channel();
        if self.command(Command::Close { done }).await.is_ok() {
            let _ = finished.await;
        }
    }

    async fn command(&self, command: Command) -> Result<(), ClientError> {
        self.commands.send(command).await.map_err(|_| self.ended())
    }

    fn ended(&self) -> ClientError {
        self.ended.get().cloned().unwrap_or_else(ClientError::closed)
    }
}

async fn answered<T>(response: oneshot::Receiver<T>) -> Result<T, ClientError> {
    match tokio::time::timeout(REQUEST_TIMEOUT, response).await {
        Ok(result) => result.map_err(|_| ClientError::closed()),
        Err(_) => Err(ClientError::new(ErrorKind::Timeout, format!("no response within {REQUEST_TIMEOUT:?}"))),
    }
}

fn unexpected(result: wire::response::Result) -> ClientError {
    match result {
        wire::response::Result::Failure(failure) => {
            let text = crate::error::reason_text(&failure.reason);
            let kind = ErrorKind::RequestFailed { code: failure.code };
            ClientError::new(kind, format!("the server refused the request: {}{text}", failure.code().as_str_name()))
        }
        _ => ClientError::new(
            ErrorKind::RequestFailed { code: 0 },
            "the server answered another question than was asked",
        ),
    }
}
