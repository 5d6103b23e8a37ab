//! What the batch under way changes: rows as it will leave them, and what in memory becomes rows with it.

use bytes::Bytes;
use hongyan_proto::{Uid, canary};
use prost::Message;

use super::{
    conversation::Conversation,
    state::Committer,
    user::{Change, User},
};
use crate::{
    base::{
        environment::Now,
        number::{ConversationNo, UserNo},
    },
    log::{
        AccountRecord, ConversationRecord, MemberRecord, MembershipRecord, RunRecord, decode, encode,
        keys::{self, meta},
    },
    store::{StoreError, Table},
};

impl Committer {
    /// A row as the batch under way will leave it.
    pub async fn row<T: Message + Default>(&mut self, table: Table, key: Bytes) -> Result<Option<T>, StoreError> {
        match self.batch.find(table, &key) {
            Some(staged) => staged.as_ref().map(|row| decode(table, &key, row)).transpose(),
            None => self.log.row(table, key).await,
        }
    }

    /// A conversation that is known to be in memory.
    pub fn in_use(&mut self, no: ConversationNo) -> &mut Conversation {
        self.conversations.get_mut(&no).expect("a conversation in use is in memory")
    }

    pub async fn membership(
        &mut self,
        user: UserNo,
        no: ConversationNo,
    ) -> Result<Option<MembershipRecord>, StoreError> {
        self.row(Table::Memberships, keys::membership(user, no)).await
    }

    pub fn put_membership(&mut self, user: UserNo, no: ConversationNo, record: &MembershipRecord) {
        self.batch.put(Table::Memberships, keys::membership(user, no), encode(record));
    }

    pub fn put_member(&mut self, no: ConversationNo, user: UserNo, record: &MemberRecord) {
        self.batch.put(Table::Members, keys::member(no, user), encode(record));
    }

    /// Writes the record of a conversation in memory.
    pub fn put_conversation(&mut self, no: ConversationNo) {
        let record = encode(&self.conversations[&no].record);
        self.batch.put(Table::Conversations, keys::conversation(no), record);
    }

    pub fn create_conversation(
        &mut self,
        record: ConversationRecord,
        readers: Vec<UserNo>,
        now: Now,
    ) -> ConversationNo {
        self.last_conversation += 1;
        let no = ConversationNo(self.last_conversation);
        self.put_meta(meta::LAST_CONVERSATION, no.0);
        self.conversations.insert(no, Conversation::new(no, record, readers, now.instant));
        self.put_conversation(no);
        no
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
        self.due.put_off(now);
    }

    /// What could wait of this user goes with the batch.
    pub fn hurry(&mut self, no: UserNo) {
        let Some(user) = self.users.get_mut(&no) else { return };
        let changes = user.devices.iter_mut().map(|device| &mut device.change).chain([&mut user.account_change]);
        changes.filter(|change| **change == Change::Lazy).for_each(|change| *change = Change::Urgent);
        self.touched.push(no);
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
