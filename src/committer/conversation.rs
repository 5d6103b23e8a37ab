//! What the committer keeps in memory of the conversations it works for, and what it may still find in its own batch.

use std::time::Instant;

use bytes::Bytes;
use prost::Message;

use super::{Committer, encode};
use crate::{
    base::{
        environment::Now,
        number::{ConversationNo, UserNo},
    },
    log::{
        ConversationRecord, GroupRecord, MemberRecord, MembershipRecord, is_member,
        keys::{self, meta},
    },
    store::{StoreError, Table},
};

/// A conversation in use. Its row in the log is written with every change of the record.
pub struct Conversation {
    pub record: ConversationRecord,
    /// The newest cseq.
    pub head: u64,
    /// Whose timelines get a reference to what is written here: both users, or the members of a group up to the fan-out
    /// threshold. Nobody's in a large group.
    pub readers: Vec<UserNo>,
    /// What the batch writes here, up to `head`. Empty between commits.
    pub run: Vec<Bytes>,
    pub last_used: Instant,
}

impl Conversation {
    fn new(record: ConversationRecord, head: u64, readers: Vec<UserNo>, now: Now) -> Self {
        Self { record, head, readers, run: Vec::new(), last_used: now.instant }
    }

    /// The group, if it is one.
    pub fn group(&self) -> Option<&GroupRecord> {
        self.record.group.as_ref()
    }

    pub fn is_large(&self) -> bool {
        self.group().is_some_and(|group| group.large)
    }

    /// A message that the batch writes.
    pub fn staged(&mut self, cseq: u64) -> Option<&mut Bytes> {
        let committed = self.head - self.run.len() as u64;
        self.run.get_mut(usize::try_from(cseq.checked_sub(committed + 1)?).ok()?)
    }
}

impl Committer {
    // ------------------------------------------------------------ rows

    /// A row as the batch under way will leave it.
    pub async fn row<T: Message + Default>(&mut self, table: Table, key: Bytes) -> Result<Option<T>, StoreError> {
        let value = match self.batch.find(table, &key) {
            Some(staged) => staged.cloned(),
            None => self.log.engine().get(table, key).await?,
        };
        let decoded = value.map(T::decode).transpose();
        decoded.map_err(|error| StoreError::Corrupt(format!("a row of {} does not decode: {error}", table.name())))
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

    // ------------------------------------------------------------ finding and making

    /// The conversation, loaded if need be. None: there is no such.
    pub async fn conversation(
        &mut self,
        no: ConversationNo,
        now: Now,
    ) -> Result<Option<&mut Conversation>, StoreError> {
        if !self.conversations.contains_key(&no) {
            let Some(record) = self.log.conversation(no).await? else { return Ok(None) };
            let head = self.log.conversation_head(no).await?;
            let readers = match &record.group {
                None => two(UserNo(record.first_user), UserNo(record.second_user)),
                Some(group) if group.large => Vec::new(),
                Some(_) => {
                    let members = self.log.members(no, 0, usize::MAX).await?.into_iter();
                    members.filter(|(_, member)| is_member(member.role())).map(|(user, _)| user).collect()
                }
            };
            self.conversations.insert(no, Conversation::new(record, head, readers, now));
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
        if self.conversation(no, now).await?.is_none() {
            return Ok(None);
        }
        self.pairs.insert(pair, no);
        Ok(Some(no))
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
        self.conversations.insert(no, Conversation::new(record, 0, readers, now));
        self.put_conversation(no);
        no
    }

    // ------------------------------------------------------------ who may
}

/// Both users of a conversation, each once.
pub fn two(a: UserNo, b: UserNo) -> Vec<UserNo> {
    if a == b { vec![a] } else { vec![a, b] }
}
