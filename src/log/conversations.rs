//! Reading conversations as they are stored: who is in them, what two users are to each other, who has reacted.

use hongyan_proto::wire::Role;

use super::{
    keys,
    record::{ContactRecord, ConversationRecord, MemberRecord, MembershipRecord, ReactionsRecord},
    rows::{Log, parse},
};
use crate::{
    base::number::{ConversationNo, UserNo},
    store::{StoreError, Table},
};

impl Log {
    pub async fn conversation(&self, no: ConversationNo) -> Result<Option<ConversationRecord>, StoreError> {
        self.row(Table::Conversations, keys::conversation(no)).await
    }

    /// The conversation of two users; of one with themselves if both are the same.
    pub async fn conversation_between(&self, a: UserNo, b: UserNo) -> Result<Option<ConversationNo>, StoreError> {
        let value = self.engine().get(Table::Pairs, keys::pair(a, b)).await?;
        value.map(|value| keys::parse_u64(&value).map(ConversationNo)).transpose()
    }

    /// A user's conversations behind the position `after`, as the user sees them.
    pub async fn memberships(
        &self,
        user: UserNo,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(ConversationNo, MembershipRecord)>, StoreError> {
        let from = keys::membership(user, ConversationNo(after.saturating_add(1)));
        let rows = self.scan(Table::Memberships, from, keys::after_user(user), limit).await?;
        let parsed = rows
            .into_iter()
            .map(|(key, value)| Ok((ConversationNo(keys::parse_second_of_user(&key)?), parse(&value)?)));
        parsed.collect()
    }

    /// How a user sees a conversation; None: it was never one of theirs.
    pub async fn membership(&self, user: UserNo, no: ConversationNo) -> Result<Option<MembershipRecord>, StoreError> {
        self.row(Table::Memberships, keys::membership(user, no)).await
    }

    pub async fn member(&self, no: ConversationNo, user: UserNo) -> Result<Option<MemberRecord>, StoreError> {
        self.row(Table::Members, keys::member(no, user)).await
    }

    /// Members of a group behind the position `after`, whatever their role.
    pub async fn members(
        &self,
        no: ConversationNo,
        after: u32,
        limit: usize,
    ) -> Result<Vec<(UserNo, MemberRecord)>, StoreError> {
        let from = keys::member(no, UserNo(after.saturating_add(1)));
        let rows = self.scan(Table::Members, from, keys::conversation(ConversationNo(no.0 + 1)), limit).await?;
        rows.into_iter().map(|(key, value)| Ok((keys::parse_member(&key)?, parse(&value)?))).collect()
    }

    pub async fn contact(&self, user: UserNo, other: UserNo) -> Result<Option<ContactRecord>, StoreError> {
        self.row(Table::Contacts, keys::contact(user, other)).await
    }

    /// A user's contacts behind the position `after`.
    pub async fn contacts(
        &self,
        user: UserNo,
        after: u32,
        limit: usize,
    ) -> Result<Vec<(UserNo, ContactRecord)>, StoreError> {
        let from = keys::contact(user, UserNo(after.saturating_add(1)));
        let rows = self.scan(Table::Contacts, from, keys::after_user(user), limit).await?;
        rows.into_iter().map(|(key, value)| Ok((UserNo(keys::parse_device(&key)?.1.0), parse(&value)?))).collect()
    }

    /// The reactions to a message. None: there never was one.
    pub async fn reactions(&self, no: ConversationNo, cseq: u64) -> Result<Option<ReactionsRecord>, StoreError> {
        self.row(Table::Reactions, keys::message(no, cseq)).await
    }
}

/// A role of somebody who is in the group.
pub fn is_member(role: Role) -> bool {
    matches!(role, Role::Member | Role::Admin | Role::Owner)
}
