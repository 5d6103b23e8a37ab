//! What a group is: made, described, led, ended.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hongyan_proto::wire::{self, NackCode, Role, act::What};

use crate::{
    base::{
        environment::Now,
        number::{ConversationNo, UserNo},
    },
    committer::{
        plan::{Done, Ruled, announced, done, ensure},
        state::Committer,
    },
    log::{ConversationRecord, GroupRecord, MemberRecord, MembershipRecord, Of, is_member, keys},
    store::{StoreError, Table},
};

/// Admins of one group.
const MAX_ADMINS: usize = 100;

impl Committer {
    pub async fn group_create(&mut self, user: UserNo, mut create: wire::GroupCreate, now: Now) -> Ruled<Done> {
        let settings = create.settings.get_or_insert_default();
        let or = |role: i32, default: Role| if role == 0 { default as i32 } else { role };
        settings.may_post = or(settings.may_post, Role::Member);
        settings.may_invite = or(settings.may_invite, Role::Admin);
        settings.may_pin = or(settings.may_pin, Role::Admin);
        settings.may_describe = or(settings.may_describe, Role::Admin);
        settings.may_mention_all = or(settings.may_mention_all, Role::Admin);
        let group = GroupRecord {
            title: settings.title.clone(),
            description: settings.description.clone(),
            join: settings.join,
            history_for_new: settings.history_for_new,
            may_post: settings.may_post,
            may_invite: settings.may_invite,
            may_pin: settings.may_pin,
            may_describe: settings.may_describe,
            may_mention_all: settings.may_mention_all,
            owner: user.0,
            members: 1,
            ..Default::default()
        };
        let invited = self.who_can_be_added(user, None, &create.members, now).await?;
        create.members = invited.iter().map(|(_, uid)| uid.to_string()).collect();
        let record = ConversationRecord { group: Some(group), ..Default::default() };
        let no = self.create_conversation(record, vec![user], now);
        let owner = MemberRecord { role: Role::Owner.into(), joined_ms: now.unix_ms, invited_by: 0 };
        self.put_member(no, user, &owner);
        self.put_membership(user, no, &MembershipRecord::default());
        self.refer(user, Of::Conversation, no, UserNo(0));
        for (member, _) in invited {
            self.add_member(no, member, user, MembershipRecord::default(), now);
        }
        let cseq = self.announce(no, user, What::GroupCreate(create), now);
        self.grow_if_due(no, user, now);
        self.put_conversation(no);
        Ok(Done { cseq, group: no.0 })
    }

    pub async fn group_update(
        &mut self,
        user: UserNo,
        no: ConversationNo,
        update: wire::GroupUpdate,
        now: Now,
    ) -> Ruled<Done> {
        let describes_only =
            wire::GroupUpdate { title: None, description: None, ..update.clone() } == wire::GroupUpdate::default();
        let least = |group: &GroupRecord| if describes_only { group.may_describe } else { Role::Admin as i32 };
        self.may_change(user, no, least, now).await?;
        self.load_readers(no, now).await?;
        let Some(group) = &mut self.in_use(no).record.group else { return done() };
        let before = group.clone();
        let wire::GroupUpdate { title, description, .. } = &update;
        group.title = title.clone().unwrap_or_else(|| before.title.clone());
        group.description = description.clone().unwrap_or_else(|| before.description.clone());
        group.join = update.join.unwrap_or(before.join);
        group.history_for_new = update.history_for_new.unwrap_or(before.history_for_new);
        group.may_post = update.may_post.unwrap_or(before.may_post);
        group.may_invite = update.may_invite.unwrap_or(before.may_invite);
        group.may_pin = update.may_pin.unwrap_or(before.may_pin);
        group.may_describe = update.may_describe.unwrap_or(before.may_describe);
        group.may_mention_all = update.may_mention_all.unwrap_or(before.may_mention_all);
        if *group == before {
            return done();
        }
        self.put_conversation(no);
        announced(self.announce(no, user, What::GroupUpdate(update), now))
    }

    pub async fn group_role(
        &mut self,
        user: UserNo,
        no: ConversationNo,
        act: wire::GroupRole,
        now: Now,
    ) -> Ruled<Done> {
        self.may_change(user, no, |_| Role::Owner as i32, now).await?;
        let (member, role) = self.member_by_name(no, &act.uid, now).await?;
        let is_below_owner = is_member(role) && role != Role::Owner;
        ensure(is_below_owner, NackCode::NackInvalid, "uid: name a member or an admin")?;
        if role == act.role() {
            return done();
        }
        self.load_readers(no, now).await?;
        let before = self.member_record(no, member).await?;
        let admins = &mut self.in_use(no).record.group.get_or_insert_default().admins;
        let has_room = act.role() != Role::Admin || admins.len() < MAX_ADMINS;
        ensure(has_room, NackCode::NackFull, "this group has as many admins as it can")?;
        admins.retain(|admin| *admin != member.0);
        if act.role() == Role::Admin {
            admins.push(member.0);
        }
        self.put_member(no, member, &MemberRecord { role: act.role, ..before });
        self.put_conversation(no);
        self.refer(member, Of::Conversation, no, UserNo(0));
        announced(self.announce(no, user, What::GroupRole(act), now))
    }

    async fn member_record(&mut self, no: ConversationNo, member: UserNo) -> Result<MemberRecord, StoreError> {
        Ok(self.row(Table::Members, keys::member(no, member)).await?.unwrap_or_default())
    }

    pub async fn group_transfer(
        &mut self,
        user: UserNo,
        no: ConversationNo,
        act: wire::GroupTransfer,
        now: Now,
    ) -> Ruled<Done> {
        self.may_change(user, no, |_| Role::Owner as i32, now).await?;
        let (member, role) = self.member_by_name(no, &act.uid, now).await?;
        ensure(is_member(role) && member != user, NackCode::NackInvalid, "uid: name another member")?;
        self.load_readers(no, now).await?;
        let new = MemberRecord { role: Role::Owner.into(), ..self.member_record(no, member).await? };
        let old = MemberRecord { role: Role::Admin.into(), ..self.member_record(no, user).await? };
        self.put_member(no, member, &new);
        self.put_member(no, user, &old);
        let group = self.in_use(no).record.group.get_or_insert_default();
        group.owner = member.0;
        group.admins.retain(|admin| *admin != member.0);
        group.admins.push(user.0);
        self.put_conversation(no);
        for changed in [user, member] {
            self.refer(changed, Of::Conversation, no, UserNo(0));
        }
        announced(self.announce(no, user, What::GroupTransfer(act), now))
    }

    pub async fn group_dissolve(&mut self, user: UserNo, no: ConversationNo, now: Now) -> Ruled<Done> {
        self.may_change(user, no, |_| Role::Owner as i32, now).await?;
        self.load_readers(no, now).await?;
        let group = self.in_use(no).record.group.get_or_insert_default();
        group.dissolved = true;
        group.link.clear();
        self.put_conversation(no);
        announced(self.announce(no, user, What::GroupDissolve(wire::GroupDissolve {}), now))
    }

    /// A new link, or none. Nobody is told: whoever may invite asks for it.
    pub async fn group_link(&mut self, user: UserNo, no: ConversationNo, revoke: bool, now: Now) -> Ruled<Done> {
        self.may_change(user, no, |group| group.may_invite, now).await?;
        let link = if revoke { String::new() } else { self.draw_link(no, now) };
        self.in_use(no).record.group.get_or_insert_default().link = link;
        self.put_conversation(no);
        done()
    }

    /// 128 bits that nobody can guess who does not know this server's key.
    pub(in crate::committer) fn draw_link(&self, no: ConversationNo, now: Now) -> String {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &self.settings.link_key);
        let mut context = ring::hmac::Context::with_key(&key);
        context.update(&no.0.to_be_bytes());
        context.update(&now.unix_ms.to_be_bytes());
        URL_SAFE_NO_PAD.encode(&context.sign().as_ref()[..16])
    }
}
