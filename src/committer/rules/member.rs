//! Members of a group: what they may change, who can become one, how one comes in and goes out.

use std::collections::BTreeSet;

use hongyan_proto::{
    Uid, canary,
    wire::{self, NackCode, Role, act::What},
};

use crate::{
    base::{
        environment::Now,
        number::{ConversationNo, UserNo},
    },
    committer::{
        plan::{Ruled, ensure, refused},
        state::Committer,
        user::Change,
    },
    log::{GroupRecord, MemberRecord, MembershipRecord, Of, keys},
    ops::effect::Effect,
    store::{StoreError, Table},
};

/// Large groups one user can be in.
pub const MAX_LARGE_GROUPS: usize = 1000;

/// Whom an act names.
pub type Named = (UserNo, Uid);

impl Committer {
    /// Whether `user` may change what `least` of the group's settings guards; in a conversation of two both may.
    pub async fn may_change(
        &mut self,
        user: UserNo,
        no: ConversationNo,
        least: impl Fn(&GroupRecord) -> i32,
        now: Now,
    ) -> Ruled<()> {
        let Some(group) = self.conversations[&no].group() else { return self.may_write(user, no, now).await };
        let (dissolved, least) = (group.dissolved, least(group));
        ensure(!dissolved, NackCode::NackForbidden, "this group was dissolved")?;
        let is_allowed = self.role(no, user).await? as i32 >= least;
        ensure(is_allowed, NackCode::NackForbidden, "your role in this group does not allow it")
    }

    /// Another member, by name, and what they are.
    pub async fn member_by_name(&mut self, no: ConversationNo, uid: &str, now: Now) -> Ruled<(UserNo, Role)> {
        let missing = || refused(NackCode::NackNotFound, "this user is not in the group");
        let Some(member) = self.user_no(uid, now).await? else { return missing() };
        match self.role(no, member).await? {
            Role::None => missing(),
            role => Ok((member, role)),
        }
    }

    /// Those of `uids` that `by` can add to a group, or to one that is being made. They are in memory then.
    pub async fn who_can_be_added(
        &mut self,
        by: UserNo,
        no: Option<ConversationNo>,
        uids: &[String],
        now: Now,
    ) -> Result<Vec<Named>, StoreError> {
        let group = no.and_then(|no| self.conversations[&no].group());
        let mut room = self.settings.group_members.saturating_sub(group.map_or(1, |group| group.members as usize));
        let (mut found, mut seen) = (Vec::new(), BTreeSet::from([by]));
        for uid in uids {
            if room == 0 {
                break;
            }
            let Some(user) = self.user_no(uid, now).await? else { continue };
            let loaded = &self.users[&user];
            let is_free = !loaded.account.disabled && loaded.account.large_groups.len() < MAX_LARGE_GROUPS;
            let named = (user, loaded.uid.clone());
            if !seen.insert(user) || !is_free {
                continue;
            }
            let role = match no {
                Some(no) => self.role(no, user).await?,
                None => Role::None,
            };
            let outside = matches!(role, Role::None | Role::Pending);
            if outside && self.is_admitted(user, by, |account| account.may_add, now).await? {
                found.push(named);
                room -= 1;
            }
        }
        Ok(found)
    }

    /// Puts a user, who is in memory, into a group. `before`: how they saw it when they were in it last.
    pub fn add_member(
        &mut self,
        no: ConversationNo,
        user: UserNo,
        invited_by: UserNo,
        before: MembershipRecord,
        now: Now,
    ) {
        let invited_by = if invited_by == user { 0 } else { invited_by.0 };
        let record = MemberRecord { role: Role::Member.into(), joined_ms: now.unix_ms, invited_by };
        self.put_member(no, user, &record);
        let conversation = self.in_use(no);
        let (head, is_large) = (conversation.head, conversation.is_large());
        if !is_large {
            conversation.readers.push(user);
        }
        let group = conversation.record.group.get_or_insert_default();
        group.members += 1;
        // The act that adds them is the first thing they see.
        let joined_cseq = head + 1;
        let is_open = group.history_for_new || canary::is("history-before-joining-visible");
        let first_cseq = if is_open { 0 } else { joined_cseq };
        group.hidden_below = group.hidden_below.max(first_cseq);
        let membership = MembershipRecord { first_cseq, last_cseq: 0, read_cseq: head, joined_cseq, ..before };
        self.put_membership(user, no, &membership);
        if is_large {
            self.attend(no, user);
        }
        self.refer(user, Of::Conversation, no, UserNo(0));
    }

    /// From now on a user, who is in memory, gets what is written in a large group while they are online.
    pub fn attend(&mut self, no: ConversationNo, user: UserNo) {
        if let Some(loaded) = self.users.get_mut(&user) {
            loaded.account.large_groups.push(no.0);
            loaded.account_change = Change::Urgent;
        }
        self.touch(user);
        self.effects.push(Effect::Attend { user, no });
    }

    /// Takes a user, who is in memory, out of a group, after the act that says so. `before`: how they saw it.
    pub fn remove_member(&mut self, no: ConversationNo, user: UserNo, before: MembershipRecord, ban: bool) {
        let mut membership = before;
        let conversation = self.in_use(no);
        membership.last_cseq = conversation.head;
        if !canary::is("removed-member-still-gets-it") {
            conversation.readers.retain(|reader| *reader != user);
        }
        let group = conversation.record.group.get_or_insert_default();
        // A damaged count is no reason to let nobody go.
        group.members = group.members.saturating_sub(1);
        group.dissolved |= group.members == 0;
        group.admins.retain(|admin| *admin != user.0);
        if group.owner == user.0 {
            group.owner = 0;
        }
        match ban {
            true => self.put_member(no, user, &MemberRecord { role: Role::Banned.into(), ..Default::default() }),
            false => self.batch.remove(Table::Members, keys::member(no, user)),
        }
        self.put_membership(user, no, &membership);
        self.put_conversation(no);
        if let Some(loaded) = self.users.get_mut(&user) {
            loaded.account.large_groups.retain(|large| *large != no.0);
            loaded.account_change = Change::Urgent;
        }
        self.effects.push(Effect::Depart { user, no });
        self.refer(user, Of::Conversation, no, UserNo(0));
    }

    /// Above the fan-out threshold a group is numbered by cseq alone, from here on and for good. That is the last act that
    /// comes through everybody's log.
    pub fn grow_if_due(&mut self, no: ConversationNo, by: UserNo, now: Now) {
        let conversation = &self.conversations[&no];
        if conversation.is_large() || conversation.readers.len() <= self.settings.fan_out_threshold {
            return;
        }
        self.announce(no, by, What::GroupGrown(wire::GroupGrown {}), now);
        let conversation = self.in_use(no);
        conversation.record.group.get_or_insert_default().large = true;
        let dropped = usize::from(canary::is("crossing-drops-one"));
        for reader in std::mem::take(&mut conversation.readers).into_iter().skip(dropped) {
            self.attend(no, reader);
        }
    }
}
