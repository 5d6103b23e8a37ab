//! How a driver comes to be: the store is opened, and all of it made ready.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

use hongyan_proto::Uid;
use tokio::sync::{mpsc, oneshot};

use super::{
    clock::now,
    hello::Login,
    keeper::Keeper,
    large::Large,
    outbox::Outbox,
    queue::{Queue, READY},
    reload::Reload,
    requests::Requests,
    rows::Rows,
    state::{Driver, Next},
};
use crate::{
    backoff::Backoff,
    command::Command,
    error::ClientError,
    event::Events,
    link::Dialer,
    settings::ClientSettings,
    store::{Change, Meta},
};

/// What a driver is started with, besides the settings.
pub(crate) struct Ends {
    pub commands: mpsc::Receiver<Command>,
    pub first: oneshot::Sender<Result<Uid, ClientError>>,
    pub ended: Arc<OnceLock<ClientError>>,
}

impl Driver {
    /// Opens the store and prepares everything; [`Self::run`] begins.
    pub async fn new(
        settings: ClientSettings,
        dialer: Dialer,
        address: String,
        ends: Ends,
    ) -> Result<(Self, Events), ClientError> {
        let login = Login::new(&settings)?;
        let (mark, capacity) = (settings.store.mark(), settings.store.capacity());
        let keeper = Keeper::new(settings.store);
        let loaded = keeper.load().await?;
        let is_new = loaded.meta.is_none();
        let fresh = || Meta {
            device_epoch: rand::random_range(1..=u32::MAX),
            device: login.device.to_string(),
            ..Meta::default()
        };
        let meta = loaded.meta.unwrap_or_else(fresh);
        login.check(&meta)?;
        if is_new {
            keeper.commit(Change { meta: Some(meta.clone()), ..Change::default() }).await?;
        }
        let (sender, receiver) = mpsc::channel(READY);
        let queue = Queue::new(sender, Arc::clone(&mark), capacity, loaded.last_event, loaded.unread);
        let mut driver = Self {
            login,
            dialer,
            address,
            grease: settings.grease,
            keeper,
            meta,
            marks: loaded.conversations.into_iter().collect(),
            outbox: Outbox::new(loaded.outbox),
            requests: Requests::default(),
            reload: Reload::default(),
            rows: Rows::default(),
            large: Large::default(),
            queue,
            commands: ends.commands,
            active: None,
            next: Next::Wait(now()),
            alternatives: VecDeque::new(),
            backoff: Backoff::default(),
            stalls: Backoff::default(),
            stalled: false,
            new_epoch: false,
            distrust: false,
            stray: None,
            held: VecDeque::new(),
            failure: String::new(),
            first: Some(ends.first),
            give_up_at: settings.connect_timeout.map(|timeout| now() + timeout),
            ended: ends.ended,
        };
        driver.refill().await?;
        Ok((driver, Events { receiver, mark, open: 0 }))
    }
}
