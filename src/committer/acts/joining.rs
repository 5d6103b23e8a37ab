//! Coming into a group and going out: invited, joining, let in, leaving, removed, let back.

use hongyan_proto::{
    ConversationId,
    wire::{self, JoinPolicy, NackCode, Role, act::What},
};
use subtle::ConstantTimeEq;

use crate::{
    base::{
        environment::Now,
        number::{ConversationNo, UserNo},
    },
    committer::{
        plan::{Done, Ruled, announced, done, ensure, refused},
        rules::member::{MAX_LARGE_GROUPS, Named},
        state::Committer,
    },
    log::{MemberRecord, Of, is_member, keys},
    store::{StoreError, Table},
};

impl Committer {
    pub async fn group_invite(
        &mut self,
        user: UserNo,
        no: ConversationNo,
        invite: wire::GroupInvite,
        now: Now,
    ) -> Ruled<Done> {
        self.may_change(user, no, |group| group.may_invite, now).await?;
        let invited = self.who_can_be_added(user, Some(no), &invite.uids, now).await?;
        ensure(!invited.is_empty(), NackCode::NackNotFound, "none of them can be added to this group")?;
        self.add_and_announce(user, no, invited, now).await
    }

    async fn add_and_announce(&mut self, by: UserNo, no: ConversationNo, added: Vec<Named>, now: Now) -> Ruled<Done> {
        self.load_readers(no, now).await?;
        let admins = self.load_admins(no, now).await?;
        let mut before = Vec::with_capacity(added.len());
        for (member, _) in &added {
            let has_asked = self.role(no, *member).await? == Role::Pending;
            before.push((has_asked, self.membership(*member, no).await?.unwrap_or_default()));
        }
        for ((member, _), (has_asked, before)) in added.iter().zip(before) {
            if has_asked {
                self.tell_admins(&admins, no, *member);
            }
            self.add_member(no, *member, by, before, now);
        }
        let what = match added.as_slice() {
            [(member, _)] if *member == by => What::GroupJoin(wire::GroupJoin::default()),
            added => {
                What::GroupInvite(wire::GroupInvite { uids: added.iter().map(|(_, uid)| uid.to_string()).collect() })
            }
        };
        let cseq = self.announce(no, by, what, now);
        self.grow_if_due(no, by, now);
        self.put_conversation(no);
        announced(cseq)
    }

    /// Joins by the link, or by the id of an open group; or asks to.
    pub async fn group_join(
        &mut self,
        user: UserNo,
        to: &ConversationId,
        join: wire::GroupJoin,
        now: Now,
    ) -> Ruled<Done> {
        let unknown = || refused(NackCode::NackNotFound, "there is no such group, or its link is another");
        let ConversationId::Group(number) = to else {
            return refused(NackCode::NackInvalid, "to: this act needs a group");
        };
        let no = ConversationNo(*number);
        let Some(group) = self.conversation(no, now).await?.and_then(|found| found.group().cloned()) else {
            return unknown();
        };
        let knows_link = !group.link.is_empty() && bool::from(group.link.as_bytes().ct_eq(join.link.as_bytes()));
        let policy = group.join();
        let role = self.role(no, user).await?;
        if is_member(role) {
            return done();
        }
        let may_come = policy == JoinPolicy::JoinOpen || knows_link && policy != JoinPolicy::JoinClosed;
        if !may_come || group.dissolved || role == Role::Banned {
            return unknown();
        }
        let has_room = (group.members as usize) < self.settings.group_members;
        ensure(has_room, NackCode::NackFull, "this group has as many members as it can")?;
        if policy == JoinPolicy::JoinRequest {
            return self.ask_to_join(user, no, role, now).await;
        }
        let Some(loaded) = self.user(user, now).await? else { return unknown() };
        let has_room = loaded.account.large_groups.len() < MAX_LARGE_GROUPS;
        ensure(has_room, NackCode::NackFull, "you are in as many large groups as you can be")?;
        let uid = loaded.uid.clone();
        self.add_and_announce(user, no, vec![(user, uid)], now).await
    }

    async fn ask_to_join(&mut self, user: UserNo, no: ConversationNo, role: Role, now: Now) -> Ruled<Done> {
        if role != Role::Pending {
            let admins = self.load_admins(no, now).await?;
            self.tell_admins(&admins, no, user);
            let record = MemberRecord { role: Role::Pending.into(), joined_ms: now.unix_ms, invited_by: 0 };
            self.put_member(no, user, &record);
            self.is_urgent = true;
        }
        done()
    }

    /// The admins and the owner of a group, in memory.
    async fn load_admins(&mut self, no: ConversationNo, now: Now) -> Result<Vec<UserNo>, StoreError> {
        let group = self.conversations[&no].group();
        let admins = group.iter().flat_map(|group| group.admins.iter().chain([&group.owner]));
        let admins: Vec<UserNo> = admins.map(|admin| UserNo(*admin)).collect();
        for admin in &admins {
            self.named_user(*admin, now).await?;
        }
        Ok(admins)
    }

    /// Tells them of somebody who wants to join, or has been answered.
    fn tell_admins(&mut self, admins: &[UserNo], no: ConversationNo, about: UserNo) {
        for admin in admins {
            self.refer(*admin, Of::JoinRequest, no, about);
        }
    }

    pub async fn group_admit(
        &mut self,
        user: UserNo,
        no: ConversationNo,
        admit: wire::GroupAdmit,
        now: Now,
    ) -> Ruled<Done> {
        self.may_change(user, no, |_| Role::Admin as i32, now).await?;
        let (asking, role) = self.member_by_name(no, &admit.uid, now).await?;
        ensure(role == Role::Pending, NackCode::NackNotFound, "this user does not ask to join")?;
        if admit.refuse {
            let admins = self.load_admins(no, now).await?;
            self.tell_admins(&admins, no, asking);
            self.batch.remove(Table::Members, keys::member(no, asking));
            return done();
        }
        let members = self.conversations[&no].group().map_or(0, |group| group.members as usize);
        let has_room = members < self.settings.group_members;
        ensure(has_room, NackCode::NackFull, "this group has as many members as it can")?;
        let uid = self.users[&asking].uid.clone();
        self.add_and_announce(user, no, vec![(asking, uid)], now).await
    }

    pub async fn group_leave(&mut self, user: UserNo, no: ConversationNo, now: Now) -> Ruled<Done> {
        let must_stay = self.role(no, user).await? == Role::Owner
            && self.conversations[&no].group().is_some_and(|group| group.members > 1 && !group.dissolved);
        let reason = "the owner makes somebody else the owner first, or dissolves the group";
        ensure(!must_stay, NackCode::NackForbidden, reason)?;
        let before = self.membership(user, no).await?.unwrap_or_default();
        self.load_readers(no, now).await?;
        let cseq = self.announce(no, user, What::GroupLeave(wire::GroupLeave {}), now);
        self.remove_member(no, user, before, false);
        announced(cseq)
    }

    pub async fn group_remove(
        &mut self,
        user: UserNo,
        no: ConversationNo,
        act: wire::GroupRemove,
        now: Now,
    ) -> Ruled<Done> {
        self.may_change(user, no, |_| Role::Admin as i32, now).await?;
        let mine = self.role(no, user).await?;
        let (member, role) = self.member_by_name(no, &act.uid, now).await?;
        ensure(is_member(role), NackCode::NackNotFound, "this user is not in the group")?;
        let is_above = mine as i32 > role as i32;
        ensure(is_above, NackCode::NackForbidden, "your role in this group does not allow it")?;
        let before = self.membership(member, no).await?.unwrap_or_default();
        self.load_readers(no, now).await?;
        let ban = act.ban;
        let cseq = self.announce(no, user, What::GroupRemove(act), now);
        self.remove_member(no, member, before, ban);
        announced(cseq)
    }

    pub async fn group_unban(
        &mut self,
        user: UserNo,
        no: ConversationNo,
        act: wire::GroupUnban,
        now: Now,
    ) -> Ruled<Done> {
        self.may_change(user, no, |_| Role::Admin as i32, now).await?;
        let (banned, role) = self.member_by_name(no, &act.uid, now).await?;
        ensure(role == Role::Banned, NackCode::NackNotFound, "this user is not banned")?;
        self.load_readers(no, now).await?;
        self.batch.remove(Table::Members, keys::member(no, banned));
        announced(self.announce(no, user, What::GroupUnban(act), now))
    }
}
