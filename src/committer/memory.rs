//! What the committer has in memory of users: loaded when they are needed, changed by the batch, turned into rows for the
//! commit, and forgotten when a commit has failed. Conversations are in `conversation`; letting go of what is idle in
//! `upkeep`.

use bytes::Bytes;
use hongyan_proto::{Uid, canary};

use super::{
    CURSOR_DELAY, Committer, encode,
    rules::leaving,
    user::{Change, User},
};
use crate::{
    base::{environment::Now, number::UserNo},
    log::{
        AccountRecord, RunRecord,
        keys::{self, meta},
    },
    store::{StoreError, Table},
};

impl Committer {
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

    pub async fn user_no(&mut self, uid: &str, now: Now) -> Result<Option<UserNo>, StoreError> {
        if let Some(no) = self.names.get(uid) {
            return Ok(Some(*no));
        }
        let Some(no) = self.log.user_no(uid).await? else { return Ok(None) };
        Ok(self.user(no, now).await?.map(|user| user.no))
    }

    pub fn keep(&mut self, user: User, now: Now) {
        self.names.insert(user.uid.clone(), user.no);
        self.users.insert(user.no, user);
        self.sweep_due.get_or_insert(now.instant + leaving::SWEEP_EVERY);
    }

    /// Whether one more account may be made.
    pub fn has_room_for_user(&self) -> bool {
        u64::from(self.last_user) < self.settings.accounts
    }

    /// Makes an account, in this batch.
    pub fn create_user(&mut self, uid: &Uid, password_hash: Option<String>, now: Now) -> UserNo {
        self.last_user += 1;
        let no = UserNo(self.last_user);
        let account = AccountRecord {
            uid: uid.as_str().into(),
            password_hash: password_hash.unwrap_or_default(),
            created_ms: now.unix_ms,
            ..Default::default()
        };
        let name = Bytes::copy_from_slice(uid.as_str().as_bytes());
        self.batch.put(Table::UserNames, name, keys::user(no));
        self.put_meta(meta::LAST_USER, u64::from(self.last_user));
        self.keep(User::new(no, uid.clone(), account, now.instant), now);
        self.touch(no);
        no
    }

    pub fn put_meta(&mut self, key: &'static str, value: u64) {
        self.batch.put(Table::Meta, Bytes::from_static(key.as_bytes()), keys::number(value));
    }

    /// Somebody waits for the change of this user.
    pub fn touch(&mut self, no: UserNo) {
        self.is_urgent = true;
        self.touched.push(no);
    }

    /// The change of this user may wait a little.
    pub fn touch_lazily(&mut self, no: UserNo, now: Now) {
        if let Some(user) = self.users.get_mut(&no)
            && !std::mem::replace(&mut user.touched_lazily, true)
        {
            self.touched_lazily.push(no);
        }
        self.cursors_due.get_or_insert(now.instant + CURSOR_DELAY);
    }

    /// What could wait of this user goes with the batch.
    pub fn hurry(&mut self, no: UserNo) {
        let Some(user) = self.users.get_mut(&no) else { return };
        let changes = user.devices.iter_mut().map(|device| &mut device.change).chain([&mut user.account_change]);
        changes.filter(|change| **change == Change::Lazy).for_each(|change| *change = Change::Urgent);
        self.touched.push(no);
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
        self.knows_expiry = false;
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

    /// Turns what has changed in memory into rows: one run, one account and one row a device for each touched user; what
    /// may wait only if it has waited long enough, for a cursor moves with every message. Says whose they are.
    pub fn write_touched(&mut self, lazy_ones_too: bool) -> Vec<UserNo> {
        let mut touched = std::mem::take(&mut self.touched);
        if lazy_ones_too {
            touched.append(&mut self.touched_lazily);
        }
        let least = if lazy_ones_too { Change::Lazy } else { Change::Urgent };
        for no in touched.iter().copied() {
            let Some(user) = self.users.get_mut(&no) else { continue };
            user.touched_lazily &= !lazy_ones_too;
            if !user.run.is_empty() {
                let first = user.bounds.head + 1 - user.run.len() as u64;
                let run = RunRecord { refs: std::mem::take(&mut user.run) };
                self.batch.put(Table::Timelines, keys::run(no, first), encode(&run));
            }
            if user.account_change >= least {
                user.account_change = Change::None;
                self.batch.put(Table::Users, keys::user(no), encode(&user.account));
            }
            if canary::is("answers-apart-from-messages") && self.is_urgent {
                continue;
            }
            for device in user.devices.iter_mut().filter(|device| device.change >= least) {
                device.change = Change::None;
                self.batch.put(Table::Devices, keys::device(no, device.no), encode(&device.to_record()));
            }
        }
        touched
    }
}
