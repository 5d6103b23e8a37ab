//! Conversations, groups and contacts as one user sees them: what is visible, what is unread, who has received it. What
//! stands in a conversation is seen in `view`.

use std::ops::RangeInclusive;

use hongyan_proto::{ConversationId, canary, wire};

use super::{
    conversations::is_member,
    messages::{HistoryRange, message_of},
    record::{ContactRecord, ConversationRecord, GroupRecord, MembershipRecord},
    rows::{Log, missing},
};
use crate::{
    base::number::{ConversationNo, UserNo},
    store::StoreError,
};

/// Unread messages are counted up to here; then it means: or more.
const MAX_UNREAD: u32 = 1000;
/// Rows that are looked at for it in one step.
const UNREAD_STEP: usize = 256;

impl MembershipRecord {
    /// The cseqs that the user may see of a conversation that ends at `head`.
    pub fn visible(&self, head: u64) -> RangeInclusive<u64> {
        let last = if self.last_cseq == 0 { head } else { self.last_cseq.min(head) };
        self.first_cseq.max(1)..=last
    }

    pub fn is_former(&self) -> bool {
        self.last_cseq != 0
    }
}

impl ConversationRecord {
    /// The other one of two users; oneself in saved messages. Nobody in groups.
    pub fn peer_of(&self, user: UserNo) -> Option<UserNo> {
        let other = if self.first_user == user.0 { self.second_user } else { self.first_user };
        (self.group.is_none()).then_some(UserNo(other))
    }
}

impl ContactRecord {
    pub fn as_seen(&self, uid: String) -> wire::Contact {
        wire::Contact {
            uid,
            mutual: self.is_mutual(),
            asked_by_me: self.asked_by_me,
            asked_by_them: self.asked_by_them,
            blocked: self.blocked,
        }
    }

    pub fn is_mutual(&self) -> bool {
        self.asked_by_me && self.asked_by_them && !self.blocked
    }
}

impl GroupRecord {
    pub fn settings(&self) -> wire::GroupSettings {
        wire::GroupSettings {
            title: self.title.clone(),
            description: self.description.clone(),
            join: self.join,
            history_for_new: self.history_for_new,
            may_post: self.may_post,
            may_invite: self.may_invite,
            may_pin: self.may_pin,
            may_describe: self.may_describe,
            may_mention_all: self.may_mention_all,
        }
    }
}

impl Log {
    /// The row of a user's conversation list, without the newest message. None: it is not one of theirs.
    pub async fn conversation_as_seen(
        &self,
        user: UserNo,
        no: ConversationNo,
    ) -> Result<Option<wire::Conversation>, StoreError> {
        // Every number is as of one head: what is written meanwhile comes to the user as an act that is still to be counted.
        let mut head = self.conversation_head(no).await?;
        let (membership, record) = loop {
            let Some(membership) = self.membership(user, no).await? else { return Ok(None) };
            let record = self.conversation(no).await?.ok_or_else(|| missing(format!("conversation {}", no.0)))?;
            match self.conversation_head(no).await? {
                same if same == head => break (membership, record),
                newer => head = newer,
            }
        };
        let visible = membership.visible(head);
        let head_cseq = *visible.end();
        let mut row = wire::Conversation {
            conversation: self.conversation_id(user, no, &record).await?,
            head_cseq,
            read_cseq: membership.read_cseq,
            unread: self.unread(user, no, membership.read_cseq.max(visible.start() - 1), head_cseq).await?,
            pinned: membership.pinned,
            muted_until_ms: membership.muted_until_ms,
            archived: membership.archived,
            draft: membership.draft.clone(),
            disappear_after_s: record.disappear_after_s,
            pins: record.pins.iter().copied().filter(|cseq| visible.contains(cseq)).collect(),
            former: membership.is_former(),
            first_cseq: membership.first_cseq,
            ..Default::default()
        };
        if row.former {
            // These may have been changed since, which is not theirs to know.
            (row.pins, row.disappear_after_s) = (Vec::new(), 0);
        }
        if let Some(peer) = record.peer_of(user) {
            (row.peer_delivered_cseq, row.peer_read_cseq) = self.received_by(peer, no).await?;
        } else if !row.former {
            row.group = self.group_as_seen(user, no, &record).await?;
        }
        Ok(Some(row))
    }

    /// What a user calls a conversation.
    pub async fn conversation_id(
        &self,
        user: UserNo,
        no: ConversationNo,
        record: &ConversationRecord,
    ) -> Result<String, StoreError> {
        match record.peer_of(user) {
            Some(peer) => self.uid(peer).await,
            None => Ok(ConversationId::Group(no.0).to_string()),
        }
    }

    /// How far a user has received and read a conversation, as the other one was told. So it agrees with the receipts,
    /// also where the user tells nothing any more.
    pub async fn received_by(&self, user: UserNo, no: ConversationNo) -> Result<(u64, u64), StoreError> {
        let membership = self.membership(user, no).await?.unwrap_or_default();
        let (delivered, read) = (membership.told_delivered_cseq, membership.told_read_cseq);
        Ok((delivered.max(read), read))
    }

    /// What another user is to this one.
    pub async fn contact_as_seen(&self, user: UserNo, other: UserNo) -> Result<wire::Contact, StoreError> {
        let record = self.contact(user, other).await?.unwrap_or_default();
        Ok(record.as_seen(self.uid(other).await?))
    }

    /// A group as one of its members sees it.
    pub async fn group_as_seen(
        &self,
        user: UserNo,
        no: ConversationNo,
        record: &ConversationRecord,
    ) -> Result<Option<wire::Group>, StoreError> {
        let Some(group) = &record.group else { return Ok(None) };
        let role = self.member(no, user).await?.map_or(wire::Role::None, |member| member.role());
        let shows_link = is_member(role) && role as i32 >= group.may_invite;
        // The owner of a dissolved group may have left it.
        let owner = if group.owner == 0 { String::new() } else { self.uid(UserNo(group.owner)).await? };
        Ok(Some(wire::Group {
            group: ConversationId::Group(no.0).to_string(),
            settings: Some(group.settings()),
            members: group.members,
            role: role.into(),
            owner,
            large: group.large,
            dissolved: group.dissolved,
            link: if shows_link { group.link.clone() } else { String::new() },
        }))
    }

    /// Messages of others with `after < cseq <= upto` that count as unread: acts do not, nor what had been taken back.
    async fn unread(&self, user: UserNo, no: ConversationNo, after: u64, upto: u64) -> Result<u32, StoreError> {
        if after >= upto {
            return Ok(0);
        }
        let uid = self.uid(user).await?;
        let (mut after, mut unread) = (after, 0);
        while unread < MAX_UNREAD && after < upto {
            let range = HistoryRange { after, before: upto + 1, limit: UNREAD_STEP, forward: true };
            let rows = self.history(no, range).await?;
            let Some((last, _)) = rows.last() else { break };
            after = *last;
            for (_, row) in rows {
                unread += u32::from(is_unread(&message_of(row)?, &uid, upto));
            }
        }
        Ok(unread.min(MAX_UNREAD))
    }
}

/// Whether `message` counts as unread for `uid`, looking no further than `upto`.
fn is_unread(message: &wire::Message, uid: &str, upto: u64) -> bool {
    let recalled = message.extras.as_ref().is_some_and(|extras| (1..=upto).contains(&extras.recalled_cseq));
    let is_own = message.from == uid && !canary::is("own-messages-unread");
    message.act.is_none() && !is_own && (!recalled || canary::is("recalled-stays-unread"))
}
