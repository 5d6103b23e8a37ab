//! What the committer keeps in memory of the conversations it works for: record, head, readers, open run.

use std::time::Instant;

use bytes::Bytes;

use crate::{
    base::number::{ConversationNo, UserNo},
    log::{ConversationRecord, GroupRecord, Log, is_member},
    store::StoreError,
};

/// A conversation in use. Its row in the log is written with every change of the record.
pub struct Conversation {
    pub no: ConversationNo,
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
    pub async fn load(
        log: &Log,
        no: ConversationNo,
        record: ConversationRecord,
        now: Instant,
    ) -> Result<Self, StoreError> {
        let head = log.conversation_head(no).await?;
        let readers = match &record.group {
            None => two(UserNo(record.first_user), UserNo(record.second_user)),
            Some(group) if group.large => Vec::new(),
            Some(_) => {
                let members = log.members(no, 0, usize::MAX).await?.into_iter();
                members.filter(|(_, member)| is_member(member.role())).map(|(user, _)| user).collect()
            }
        };
        Ok(Self { no, record, head, readers, run: Vec::new(), last_used: now })
    }

    /// A conversation that is made by the commit under way.
    pub fn new(no: ConversationNo, record: ConversationRecord, readers: Vec<UserNo>, now: Instant) -> Self {
        Self { no, record, head: 0, readers, run: Vec::new(), last_used: now }
    }

    /// The group, if it is one.
    pub fn group(&self) -> Option<&GroupRecord> {
        self.record.group.as_ref()
    }

    /// The other one of two users, of whom `user` is one; oneself in saved messages. None: it is a group.
    pub fn peer_of(&self, user: UserNo) -> Result<Option<UserNo>, StoreError> {
        match self.record.peer_of(user) {
            Some(_) if ![self.record.first_user, self.record.second_user].contains(&user.0) => {
                Err(StoreError::Corrupt(format!("conversation {} is not one of user {}", self.no.0, user.0)))
            }
            peer => Ok(peer),
        }
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

/// Both users of a conversation, each once.
pub fn two(a: UserNo, b: UserNo) -> Vec<UserNo> {
    if a == b { vec![a] } else { vec![a, b] }
}
