//! The handle that an application holds. Every call becomes a command to the driver, which owns everything else.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use hongyan_proto::{ConversationId, Uid, wire};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::{
    command::{Command, Outcome, SendStatus},
    conversation::Conversation,
    driver::{Driver, Ends},
    error::{ClientError, ErrorKind, SendError},
    event::{Events, Sent},
    link::Dialer,
    outgoing::{NewMessage, Outgoing},
    settings::ClientSettings,
};

/// Requests that may wait for their response at once; further ones wait for a place.
const REQUESTS: usize = 16;
/// Commands that may lie before the driver.
const COMMANDS: usize = 1024;
/// From a request or a ping to giving up, reconnects included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A user's device, logged in. Cheap to clone; the client stops when the last clone is dropped.
#[derive(Clone)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    uid: Uid,
    requests: Arc<Semaphore>,
    /// Why the client has stopped, once it has.
    ended: Arc<OnceLock<ClientError>>,
}

impl Client {
    pub(crate) async fn start(settings: ClientSettings) -> Result<(Client, Events), ClientError> {
        // Reading the certificates blocks.
        let prepared = tokio::task::spawn_blocking(move || Dialer::new(&settings).map(|dialer| (settings, dialer)));
        let (settings, (dialer, address)) = prepared.await.map_err(|_| ClientError::closed())??;
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let (first, logged_in) = oneshot::channel();
        let ended = Arc::new(OnceLock::new());
        let ends = Ends { commands: receiver, first, ended: Arc::clone(&ended) };
        let (driver, events) = Driver::new(settings, dialer, address, ends).await?;
        tokio::spawn(driver.run());
        let uid = logged_in.await.map_err(|_| ClientError::closed())??;
        Ok((Client { commands, uid, requests: Arc::new(Semaphore::new(REQUESTS)), ended }, events))
    }

    /// Who is logged in.
    pub fn uid(&self) -> &Uid {
        &self.uid
    }

    /// Sends a message without more, see [`Self::submit`].
    ///
    /// # Errors
    /// As of [`Self::submit`].
    pub async fn send(&self, to: impl Into<ConversationId>, content: Bytes) -> Result<Sent, SendError> {
        self.submit(NewMessage::new(to, content)).await
    }

    /// Queues a message without more, see [`Self::queue`].
    ///
    /// # Errors
    /// As of [`Self::queue`].
    pub async fn enqueue(&self, to: impl Into<ConversationId>, content: Bytes) -> Result<u64, SendError> {
        self.queue(NewMessage::new(to, content)).await
    }

    /// Queues a message or act and waits for the server's answer, across reconnects, for as long as that takes. If the
    /// future is dropped after its first wait, it may be sent all the same.
    ///
    /// # Errors
    /// See [`SendError`]. After `Closed` it stays in a durable store and is sent later.
    pub async fn submit(&self, what: impl Into<Outgoing>) -> Result<Sent, SendError> {
        let (answer, outcome) = oneshot::channel();
        self.put(what.into(), Some(answer)).await?;
        outcome.await.map_err(|_| self.ended())?
    }

    /// Queues a message or act and returns its number once it is durable in the outbox. It will be sent, under this
    /// number and at most once, however often the connection or this process ends before. Its answer comes as an event.
    /// The one exception: if an end goes back to a backup and so loses the numbers of this device (close code
    /// STATE_LOST), what is unanswered is sent in a new device epoch, and what the server had taken of it already is
    /// taken twice.
    ///
    /// # Errors
    /// TooLarge, OutboxFull (10,000 messages or 32 MiB are unanswered) or Closed; nothing was queued then.
    pub async fn queue(&self, what: impl Into<Outgoing>) -> Result<u64, SendError> {
        self.put(what.into(), None).await
    }

    async fn put(&self, outgoing: Outgoing, answer: Option<oneshot::Sender<Outcome>>) -> Result<u64, SendError> {
        let (queued, number) = oneshot::channel();
        self.command(Command::Enqueue { outgoing, queued, answer }).await?;
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

    /// This user's conversations: those pinned first, then by the time of their newest entry, the newest first. Kept
    /// by this device, and equal on all devices of the user once they have caught up. Waits until the list was loaded for
    /// the first time, or again after a reset, for 30 s at most; from then on it needs no connection.
    pub async fn conversations(&self) -> Result<Vec<Conversation>, ClientError> {
        let (reply, list) = oneshot::channel();
        self.command(Command::Conversations { reply }).await?;
        answered(list).await
    }

    pub(crate) async fn request(&self, op: wire::request::Op) -> Result<wire::response::Result, ClientError> {
        let _place = self.requests.acquire().await.map_err(|_| ClientError::closed())?;
        let (reply, response) = oneshot::channel();
        self.command(Command::Request { op, reply }).await?;
        answered(response).await
    }

    /// Sends passing information, at most 1,024 bytes, to the devices that are online now of another user or of a group.
    /// It is dropped when this client is not connected, or the server does not read what is written to it.
    pub async fn signal(&self, to: impl Into<ConversationId>, body: Bytes) -> Result<(), ClientError> {
        if body.len() > 1024 {
            let what = format!("a signal of {} bytes is larger than the 1,024 allowed", body.len());
            return Err(ClientError::new(ErrorKind::Settings, what));
        }
        self.command(Command::Signal(wire::Signal { to: to.into().to_string(), body, ..Default::default() })).await
    }

    /// Shows the others that this user is writing. Say it again every few seconds; once a second is enough for anybody.
    pub async fn typing(&self, to: impl Into<ConversationId>) -> Result<(), ClientError> {
        self.command(Command::Signal(wire::Signal { to: to.into().to_string(), typing: true, ..Default::default() }))
            .await
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

    pub(crate) async fn command(&self, command: Command) -> Result<(), ClientError> {
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
