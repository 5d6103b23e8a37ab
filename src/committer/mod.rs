//! The committer: the one place where messages get their numbers and become durable.
//!
//! It takes whatever has been handed over since the last commit, stages all of it (numbers, rows), commits once, and then
//! lets the effects happen in the order of the commit. While it waits for the disk the next batch gathers by itself, so
//! one sync serves one message when there is little to do and thousands when there is much. Where messages come one by one
//! and quickly, commits begin a moment apart (`gathering`), since a sync costs as much for one as for many.
//!
//! ```text
//!   CommitQueue ──▶ stage: submit, login, account, upkeep ──▶ Engine::commit ──▶ effects: answer, offer, bind
//!                        numbers and rows, nothing visible        durable             visible
//! ```
//!
//! If a commit fails, nothing of it has happened: whoever waits is told so, and what is in memory is read anew from the
//! log. Time comes in as an argument, randomness with the operations, so a simulator can run it.
//!
//! *Architecture Invariant*: nobody else writes to the store, and nobody else binds and unbinds channels.

mod acts;
mod conversation;
mod effect;
mod gathering;
mod memory;
pub mod op;
mod plan;
mod queue;
mod rules;
mod submit;
mod syncing;
#[cfg(test)]
mod tests;
mod user;

use std::{
    collections::{HashMap, VecDeque},
    future::{Future, pending, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hongyan_proto::{Uid, canary, wire};
use prost::Message;
use rustc_hash::FxBuildHasher;

use crate::{
    base::{
        environment::{Environment, Now, Timer},
        metrics::Metrics,
        number::{ConversationNo, DeviceNo, UserNo},
    },
    live::sessions::Sessions,
    log::{Log, keys::meta},
    store::{Batch, Durability, StoreError},
};
use conversation::Conversation;
use effect::Effect;
use gathering::Gathering;
use op::Op;
use rules::receipts::Ack;
use user::User;

pub use queue::CommitQueue;
pub use syncing::Syncing;

/// A map by numbers that this server gives, which nobody can choose so that they collide.
type NumberMap<K, V> = HashMap<K, V, FxBuildHasher>;

/// What the committer decides by.
#[derive(Clone, Debug)]
pub struct CommitterSettings {
    pub syncing: Syncing,
    /// Commits begin at least so far apart, while there is more to gather.
    pub gather: Duration,
    pub limits: wire::Limits,
    /// SENDs a device may have unanswered; as many answers are kept for repetition.
    pub send_window: usize,
    /// Make an account for an unknown recipient instead of refusing the message.
    pub accept_unknown_recipients: bool,
    pub accounts: u64,
    pub devices_per_user: usize,
    pub channels_per_user: usize,
    pub resume_ttl: Duration,
    /// Delivered receipts of one user are gathered for this long.
    pub receipt_delay: Duration,
    /// Entries of a timeline that are kept even if every device has them.
    pub timeline_entries: u64,
    pub edit_within: Duration,
    pub recall_within: Duration,
    /// Members above which a group writes nothing into their timelines.
    pub fan_out_threshold: usize,
    pub group_members: usize,
    /// Members up to which the authors in a group learn what each has received and read.
    pub receipts_up_to: usize,
    /// Who may write to a user, or add them to groups, who has not said so.
    pub default_audience: wire::Audience,
    /// What the links to groups are drawn from.
    pub link_key: [u8; 32],
}

/// How long a changed cursor may stay in memory only. After a crash the device names a newer one itself.
const CURSOR_DELAY: Duration = Duration::from_secs(1);
/// How long acks and receipts may wait for what somebody waits for, to go with its commit; no longer than receipts may.
const PATIENCE: Duration = Duration::from_millis(20);

/// The state between commits. See the module's page.
pub struct Committer {
    log: Log,
    sessions: Arc<Sessions>,
    metrics: Arc<Metrics>,
    settings: CommitterSettings,
    log_epoch: u64,
    hours: u64,
    /// As in the log: since when the store's files may hold bodies that are gone; and when the newest one went.
    old_bodies_ms: u64,
    newest_old_body_ms: u64,
    last_user: u32,
    last_conversation: u64,
    /// In the table itself, so that a table that has shrunk gives its memory back in one piece.
    users: NumberMap<UserNo, User>,
    names: HashMap<Uid, UserNo>,
    pairs: NumberMap<(UserNo, UserNo), ConversationNo>,
    conversations: NumberMap<ConversationNo, Conversation>,
    batch: Batch,
    effects: Vec<Effect>,
    /// Conversations whose run the batch must write.
    written: Vec<ConversationNo>,
    /// Users whose run, devices or account the batch must write.
    touched: Vec<UserNo>,
    /// Users whose devices or account have changed in a way that may wait until `cursors_due`.
    touched_lazily: Vec<UserNo>,
    /// Users who have logged in or left with the batch.
    visitors: Vec<UserNo>,
    /// The batch holds something that somebody waits for.
    is_urgent: bool,
    /// When changed cursors must be written.
    cursors_due: Option<Instant>,
    /// When what was committed since the last sync must be synced.
    sync_due: Option<Instant>,
    /// Acks that are not in the log, as it could not be read or written. No device says them again.
    lost_acks: NumberMap<(UserNo, DeviceNo), Ack>,
    /// Whose delivered receipts are written when; each user once, in rising time.
    receipts_due: VecDeque<(Instant, UserNo)>,
    /// When to look for users who have had nothing to do for a while. None: no user is in memory.
    sweep_due: Option<Instant>,
    /// When the next message expires.
    expiry_due: Option<Instant>,
    /// `expiry_due` has been read from the log.
    knows_expiry: bool,
}

impl Committer {
    /// Reads where the log stands.
    pub async fn open(
        log: Log,
        sessions: Arc<Sessions>,
        metrics: Arc<Metrics>,
        settings: CommitterSettings,
    ) -> Result<Self, StoreError> {
        let mut committer = Self {
            log_epoch: log.meta(meta::LOG_EPOCH).await?,
            log,
            sessions,
            metrics,
            settings,
            hours: 0,
            old_bodies_ms: 0,
            newest_old_body_ms: 0,
            last_user: 0,
            last_conversation: 0,
            users: NumberMap::default(),
            names: HashMap::new(),
            pairs: NumberMap::default(),
            conversations: NumberMap::default(),
            batch: Batch::default(),
            effects: Vec::new(),
            written: Vec::new(),
            touched: Vec::new(),
            touched_lazily: Vec::new(),
            visitors: Vec::new(),
            is_urgent: false,
            cursors_due: None,
            sync_due: None,
            lost_acks: NumberMap::default(),
            receipts_due: VecDeque::new(),
            sweep_due: None,
            expiry_due: None,
            knows_expiry: false,
        };
        committer.forget_memory().await?;
        Ok(committer)
    }

    /// Works through `ops` and everything that has fallen due: one commit.
    pub async fn process(&mut self, ops: Vec<Op>, now: Now) {
        self.recover_acks(now).await;
        if let Err(error) = self.stage_expired(now).await {
            tracing::error!(%error, "messages that have expired could not be read");
        }
        for op in ops {
            self.stage(op, now).await;
        }
        self.stage_receipts(now).await;
        if self.is_urgent || self.cursors_are_due(now) {
            self.commit(now).await;
        } else {
            // Nothing durable is waited for; what there is to say does not depend on a commit.
            self.apply_effects();
        }
        if self.sync_due.is_some_and(|due| due <= now.instant) {
            self.sync(now).await;
        }
        self.let_go_of_visitors(now);
        self.let_go_of_idle_users(now);
    }

    /// When to call [`Self::process`] even if nothing is handed over.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let receipts = self.receipts_due.front().map(|(due, _)| *due + self.patience());
        [receipts, self.cursors_due, self.sync_due, self.sweep_due, self.expiry_due].into_iter().flatten().min()
    }

    fn patience(&self) -> Duration {
        PATIENCE.min(self.settings.receipt_delay)
    }

    async fn stage(&mut self, op: Op, now: Now) {
        match op {
            Op::Submit(submit) => self.submit(submit, now).await,
            Op::Acked { channel, useq } => self.acked(Ack::new(&channel, useq), now).await,
            Op::Login(login) => self.log_in(*login, now).await,
            Op::Left(channel) => self.left(&channel, now).await,
            Op::Account(change) => self.change_account(*change, now).await,
            Op::Forget { user, device, last_seen_hour } => self.forget_device(user, device, last_seen_hour, now).await,
            Op::Hour => self.count_hour(now),
            Op::Purged { began_ms } => self.note_purge(began_ms),
        }
    }

    fn cursors_are_due(&self, now: Now) -> bool {
        self.cursors_due.is_some_and(|due| due <= now.instant)
    }

    async fn commit(&mut self, now: Now) {
        let cursors_are_due = self.cursors_are_due(now);
        self.write_messages();
        let touched = self.write_touched(cursors_are_due);
        if cursors_are_due {
            self.cursors_due = None;
        }
        let batch = self.batch.take();
        let is_urgent = std::mem::take(&mut self.is_urgent);
        if batch.is_empty() && !is_urgent {
            return self.apply_effects();
        }
        let durability = self.settings.syncing.durability(is_urgent);
        if canary::is("effects-before-commit") {
            self.apply_effects();
        }
        match self.commit_rows(batch, durability).await {
            Ok(()) => {
                self.schedule_sync(now);
                self.apply_effects();
            }
            Err(error) => self.fail(&error, touched, now).await,
        }
    }

    /// One commit of the engine, measured.
    async fn commit_rows(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        let rows = batch.writes.len();
        let started = Instant::now();
        let committed = self.log.engine().commit(batch, durability).await;
        match committed {
            Ok(()) => self.metrics.on_commit(rows, started.elapsed()),
            Err(_) => self.metrics.on_commit_failed(),
        }
        committed
    }

    fn apply_effects(&mut self) {
        for effect in self.effects.drain(..) {
            effect.apply(&self.sessions);
        }
    }

    /// The commit failed: everybody who waits is told, and memory is made to agree with the log again.
    async fn fail(&mut self, error: &StoreError, mut touched: Vec<UserNo>, now: Now) {
        tracing::error!(%error, "a commit failed, nothing of it was acknowledged");
        if canary::is("effects-of-a-failed-commit") {
            self.apply_effects();
        }
        for effect in self.effects.drain(..) {
            effect.fail(error);
        }
        touched.append(&mut self.touched_lazily);
        self.remember_acks(&touched, now);
        if let Err(error) = self.forget_memory().await {
            tracing::error!(%error, "the log cannot be read");
        }
        self.expiry_due = Some(now.instant + rules::expiry::TRY_AGAIN);
    }
}

fn encode(record: &impl Message) -> Bytes {
    record.encode_to_vec().into()
}

/// Runs a committer until its queue is closed. True: everything is on stable storage.
pub async fn run(
    mut committer: Committer,
    queue: &CommitQueue,
    environment: &dyn Environment,
    mut timer: Pin<&mut impl Timer>,
) -> bool {
    // What has expired while the server was not running.
    committer.process(Vec::new(), Now::by(environment)).await;
    let mut gathering = Gathering::new(committer.settings.gather);
    loop {
        // Asleep through it: nobody rings for what comes meanwhile.
        if let Some(until) = gathering.poll_timeout(environment.now()) {
            wait(pending(), Some(until), timer.as_mut()).await;
            gathering.on_waited(queue.urgent_len());
        }
        let due = committer.poll_timeout();
        wait(queue.filled(), due, timer.as_mut()).await;
        let patience = environment.now() + committer.patience();
        wait(queue.urgent(), Some(due.map_or(patience, |due| due.min(patience))), timer.as_mut()).await;
        if queue.urgent_len() > 0 {
            gathering.on_begun(environment.now());
        }
        let Some(ops) = queue.take() else { break };
        committer.process(ops, Now::by(environment)).await;
    }
    committer.finish(Now::by(environment)).await
}

/// Waits for `event`, at the longest until `due`.
async fn wait(event: impl Future<Output = ()>, due: Option<Instant>, mut timer: Pin<&mut impl Timer>) {
    let mut event = pin!(event);
    poll_fn(|context| match (event.as_mut().poll(context), due) {
        (Poll::Pending, Some(due)) => timer.as_mut().poll_at(due, context),
        (ready, _) => ready,
    })
    .await;
}
