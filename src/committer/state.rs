//! What the committer has in memory between commits, users and conversations above all: loaded when they are needed, and
//! forgotten when a commit has failed. What the batch under way changes of it is in `draft`; who leaves memory for having
//! nothing to do, in `rules::leaving`.

use std::{collections::HashMap, sync::Arc};

use hongyan_proto::{Uid, canary};
use rustc_hash::FxBuildHasher;

use super::{
    bound::BoundDevices,
    conversation::Conversation,
    due::Due,
    settings::CommitterSettings,
    user::{Ack, User},
};
use crate::{
    base::{
        environment::Now,
        metrics::Metrics,
        number::{ConversationNo, DeviceNo, UserNo},
    },
    log::{Log, keys::meta, missing},
    ops::effect::{Effect, Outlet},
    store::{Batch, StoreError},
};

/// A map by numbers that this server gives, which nobody can choose so that they collide.
pub type NumberMap<K, V> = HashMap<K, V, FxBuildHasher>;

/// The state between commits. See the room's page.
pub struct Committer {
    pub(super) log: Log,
    pub(super) outlet: Outlet,
    pub(super) metrics: Arc<Metrics>,
    pub(super) settings: CommitterSettings,
    pub(super) bound: BoundDevices,
    pub(super) log_epoch: u64,
    pub(super) hours: u64,
    /// As in the log: since when the store's files may hold bodies that are gone; and when the newest one went.
    pub(super) old_bodies_ms: u64,
    pub(super) newest_old_body_ms: u64,
    pub(super) last_user: u32,
    pub(super) last_conversation: u64,
    /// In the table itself, so that a table that has shrunk gives its memory back in one piece.
    pub(super) users: NumberMap<UserNo, User>,
    pub(super) names: HashMap<Uid, UserNo>,
    pub(super) pairs: NumberMap<(UserNo, UserNo), ConversationNo>,
    pub(super) conversations: NumberMap<ConversationNo, Conversation>,
    pub(super) batch: Batch,
    pub(super) effects: Vec<Effect>,
    /// Conversations whose run the batch must write.
    pub(super) written: Vec<ConversationNo>,
    /// Users whose run, devices or account the batch must write.
    pub(super) touched: Vec<UserNo>,
    /// Users whose devices or account have changed in a way that may wait until cursors are due.
    pub(super) touched_lazily: Vec<UserNo>,
    /// Users who have logged in or left with the batch.
    pub(super) visitors: Vec<UserNo>,
    /// The batch holds something that somebody waits for.
    pub(super) is_urgent: bool,
    pub(super) due: Due,
    /// Acks that are not in the log, as it could not be read or written. No device says them again.
    pub(super) lost_acks: NumberMap<(UserNo, DeviceNo), Ack>,
}

impl Committer {
    /// Reads where the log stands.
    pub async fn open(
        log: Log,
        metrics: Arc<Metrics>,
        settings: CommitterSettings,
        outlet: Outlet,
    ) -> Result<Self, StoreError> {
        let due = Due::new(settings.receipt_delay);
        let mut committer = Self {
            log_epoch: log.meta(meta::LOG_EPOCH).await?,
            log,
            metrics,
            settings,
            outlet,
            bound: BoundDevices::default(),
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
            due,
            lost_acks: NumberMap::default(),
        };
        committer.forget_memory().await?;
        Ok(committer)
    }

    /// Empties the caches and reads the store's counters anew.
    pub async fn forget_memory(&mut self) -> Result<(), StoreError> {
        if !canary::is("users-of-a-failed-commit") {
            self.users.clear();
        }
        self.names.clear();
        self.pairs.clear();
        if !canary::is("numbers-of-a-failed-commit") {
            self.conversations.clear();
        }
        self.due.knows_expiry = false;
        self.written.clear();
        self.touched.clear();
        self.touched_lazily.clear();
        self.visitors.clear();
        self.hours = self.log.meta(meta::HOURS).await?;
        self.old_bodies_ms = self.log.meta(meta::OLD_BODIES).await?;
        self.last_user = self.log.meta(meta::LAST_USER).await? as u32;
        self.last_conversation = self.log.meta(meta::LAST_CONVERSATION).await?;
        Ok(())
    }

    /// The user, loaded if need be. None: there is no such user.
    pub async fn user(&mut self, no: UserNo, now: Now) -> Result<Option<&mut User>, StoreError> {
        if !self.users.contains_key(&no) {
            let Some(account) = self.log.account(no).await? else { return Ok(None) };
            let user = User::load(&self.log, no, account, now.instant).await?;
            self.keep(user, now);
        }
        let user = self.users.get_mut(&no).expect("it was there or has just been loaded");
        user.last_used = now.instant;
        Ok(Some(user))
    }

    /// A user whom a row names, loaded if need be: so there is one, unless the store is damaged.
    pub async fn named_user(&mut self, no: UserNo, now: Now) -> Result<&mut User, StoreError> {
        self.user(no, now).await?.ok_or_else(|| missing(format!("user {}", no.0)))
    }

    /// The user of this name, who is in memory then. None: there is no such user.
    pub async fn user_no(&mut self, uid: &str, now: Now) -> Result<Option<UserNo>, StoreError> {
        let known = match self.names.get(uid) {
            Some(no) => Some(*no),
            None => self.log.user_no(uid).await?,
        };
        match known {
            Some(no) => Ok(Some(self.named_user(no, now).await?.no)),
            None => Ok(None),
        }
    }

    pub fn keep(&mut self, user: User, now: Now) {
        self.names.insert(user.uid.clone(), user.no);
        self.users.insert(user.no, user);
        self.due.expect_sweep(now);
    }

    /// Whether one more account may be made.
    pub fn has_room_for_user(&self) -> bool {
        u64::from(self.last_user) < self.settings.accounts
    }

    /// The conversation, loaded if need be. None: there is no such.
    pub async fn conversation(
        &mut self,
        no: ConversationNo,
        now: Now,
    ) -> Result<Option<&mut Conversation>, StoreError> {
        if !self.conversations.contains_key(&no) {
            let Some(record) = self.log.conversation(no).await? else { return Ok(None) };
            let loaded = Conversation::load(&self.log, no, record, now.instant).await?;
            self.conversations.insert(no, loaded);
        }
        let conversation = self.conversations.get_mut(&no).expect("it was there or has just been loaded");
        conversation.last_used = now.instant;
        Ok(Some(conversation))
    }

    /// The conversation of two users, in memory. None: they have none.
    pub async fn conversation_of_two(
        &mut self,
        a: UserNo,
        b: UserNo,
        now: Now,
    ) -> Result<Option<ConversationNo>, StoreError> {
        let pair = (a.min(b), a.max(b));
        let known = match self.pairs.get(&pair) {
            Some(no) => Some(*no),
            None => self.log.conversation_between(a, b).await?,
        };
        let Some(no) = known else { return Ok(None) };
        let conversation = self.conversation(no, now).await?;
        let conversation = conversation.ok_or_else(|| missing(format!("conversation {}", no.0)))?;
        if conversation.peer_of(a)? != Some(b) {
            return Err(StoreError::Corrupt(format!("conversation {} is not that of users {} and {}", no.0, a.0, b.0)));
        }
        self.pairs.insert(pair, no);
        Ok(Some(no))
    }
}
