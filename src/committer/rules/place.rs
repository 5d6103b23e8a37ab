//! Where somebody means to write or to act, and whether they may there.

use hongyan_proto::{
    ConversationId, Uid, canary,
    wire::{Audience, NackCode, Role},
};

use crate::{
    base::{
        environment::Now,
        number::{ConversationNo, UserNo},
    },
    committer::{
        conversation::two,
        plan::{Ruled, ensure, refused},
        state::Committer,
    },
    log::{AccountRecord, ContactRecord, ConversationRecord, MemberRecord, MembershipRecord, is_member, keys},
    store::{StoreError, Table},
};

/// Where something is to be written.
pub enum Destination {
    /// A conversation that is in memory.
    There(ConversationNo),
    /// The first conversation with this user, who is in memory.
    New(UserNo),
    /// The same with somebody who has no account yet.
    NewUser(Uid),
}

impl Committer {
    /// Where `user` means to write, or to do something. What is not there yet is made by [`Self::arrive`].
    pub async fn destination(&mut self, user: UserNo, to: &ConversationId, now: Now) -> Ruled<Destination> {
        let uid = match to {
            ConversationId::User(uid) => uid,
            ConversationId::Group(number) => {
                return self.group_of(user, ConversationNo(*number), now).await.map(Destination::There);
            }
        };
        let known = match self.user_no(uid.as_str(), now).await? {
            Some(no) => Some(no).filter(|no| !self.users[no].account.disabled),
            None if self.settings.accept_unknown_recipients => {
                let reason = "there is no such user, and this server has as many as its operator allows";
                ensure(self.has_room_for_user(), NackCode::NackFull, reason)?;
                return Ok(Destination::NewUser(uid.clone()));
            }
            None => None,
        };
        let Some(peer) = known else { return refused(NackCode::NackNotFound, "there is no such user here") };
        let found = self.conversation_of_two(user, peer, now).await?;
        Ok(found.map_or(Destination::New(peer), Destination::There))
    }

    /// A conversation that is, or was, one of the user's; it is in memory then.
    pub async fn known_conversation(
        &mut self,
        user: UserNo,
        id: &str,
        now: Now,
    ) -> Result<Option<ConversationNo>, StoreError> {
        let no = match ConversationId::new(id) {
            Ok(ConversationId::Group(number)) => Some(ConversationNo(number)),
            Ok(ConversationId::User(uid)) => match self.user_no(uid.as_str(), now).await? {
                Some(peer) => self.conversation_of_two(user, peer, now).await?,
                None => None,
            },
            Err(_) => None,
        };
        let Some(no) = no else { return Ok(None) };
        let Some(conversation) = self.conversation(no, now).await? else { return Ok(None) };
        let peer = conversation.peer_of(user);
        if self.membership(user, no).await?.is_none() {
            return Ok(None);
        }
        // A stranger's is no damage, unless their membership says that it is theirs.
        peer.map(|_| Some(no))
    }

    /// The conversation at a destination, made in this batch if it is new: so nothing may be refused any more.
    pub fn arrive(&mut self, user: UserNo, destination: Destination, now: Now) -> ConversationNo {
        let peer = match destination {
            Destination::There(no) => return no,
            Destination::New(peer) => peer,
            Destination::NewUser(uid) => self.create_user(&uid, None, now),
        };
        self.create_conversation_of_two(user, peer, now)
    }

    fn create_conversation_of_two(&mut self, a: UserNo, b: UserNo, now: Now) -> ConversationNo {
        let (first, second) = (a.min(b), a.max(b));
        let record = ConversationRecord { first_user: first.0, second_user: second.0, ..Default::default() };
        let readers = two(first, second);
        for reader in &readers {
            let no = ConversationNo(self.last_conversation + 1);
            self.put_membership(*reader, no, &MembershipRecord::default());
        }
        let no = self.create_conversation(record, readers, now);
        self.batch.put(Table::Pairs, keys::pair(first, second), keys::number(no.0));
        self.pairs.insert((first, second), no);
        no
    }

    /// A group that `user` is in. To a stranger it looks as if there were none.
    async fn group_of(&mut self, user: UserNo, no: ConversationNo, now: Now) -> Ruled<ConversationNo> {
        let is_group = self.conversation(no, now).await?.is_some_and(|conversation| conversation.group().is_some());
        if is_group && (is_member(self.role(no, user).await?) || canary::is("outsiders-may-act")) {
            return Ok(no);
        }
        match is_group && self.membership(user, no).await?.is_some() {
            true => refused(NackCode::NackForbidden, "you are not in this group any more"),
            false => refused(NackCode::NackNotFound, "there is no such group"),
        }
    }

    /// What somebody is in a group that is in memory.
    pub async fn role(&mut self, no: ConversationNo, user: UserNo) -> Result<Role, StoreError> {
        let Some(conversation) = self.conversations.get(&no) else { return Ok(Role::None) };
        let Some(group) = conversation.group() else { return Ok(Role::None) };
        if canary::is("role-before-the-batch") {
            return Ok(self.log.member(no, user).await?.map_or(Role::None, |member| member.role()));
        }
        if group.owner == user.0 && group.members > 0 {
            return Ok(Role::Owner);
        }
        if group.admins.contains(&user.0) {
            return Ok(Role::Admin);
        }
        if !group.large && conversation.readers.contains(&user) {
            return Ok(Role::Member);
        }
        let member: Option<MemberRecord> = self.row(Table::Members, keys::member(no, user)).await?;
        Ok(member.map_or(Role::None, |member| member.role()))
    }

    /// Whether `user` may write at a destination.
    pub async fn may_write_at(&mut self, user: UserNo, destination: &Destination, now: Now) -> Ruled<()> {
        match destination {
            Destination::There(no) => self.may_write(user, *no, now).await,
            Destination::New(peer) => self.may_write_to(user, *peer, now).await,
            Destination::NewUser(_) => Ok(()),
        }
    }

    /// Whether `user` may write in this conversation.
    pub async fn may_write(&mut self, user: UserNo, no: ConversationNo, now: Now) -> Ruled<()> {
        let conversation = &self.conversations[&no];
        if let Some(group) = conversation.group() {
            let (least, dissolved) = (group.may_post, group.dissolved);
            ensure(!dissolved, NackCode::NackForbidden, "this group was dissolved")?;
            let is_allowed = self.role(no, user).await? as i32 >= least;
            return ensure(is_allowed, NackCode::NackForbidden, "your role in this group does not allow it");
        }
        let peer = conversation.peer_of(user)?.unwrap_or(user);
        self.may_write_to(user, peer, now).await
    }

    async fn may_write_to(&mut self, user: UserNo, peer: UserNo, now: Now) -> Ruled<()> {
        let allowed = peer == user || self.is_admitted(peer, user, |account| account.may_write, now).await?;
        ensure(allowed, NackCode::NackForbidden, "this person takes no messages from you")
    }

    /// Whether `owner` lets `other` do what `audience` of their account says, and has not blocked them.
    pub async fn is_admitted(
        &mut self,
        owner: UserNo,
        other: UserNo,
        audience: impl Fn(&AccountRecord) -> i32,
        now: Now,
    ) -> Result<bool, StoreError> {
        let Some(user) = self.user(owner, now).await? else { return Ok(false) };
        let (asked, has_contacts) = (audience(&user.account), user.account.has_contacts);
        let contact: ContactRecord = match has_contacts {
            true => self.row(Table::Contacts, keys::contact(owner, other)).await?.unwrap_or_default(),
            false => ContactRecord::default(),
        };
        let audience = Audience::try_from(asked).unwrap_or_default();
        let audience = if audience == Audience::Unspecified { self.settings.default_audience } else { audience };
        let is_in = match audience {
            Audience::Contacts => contact.is_mutual(),
            Audience::Nobody => false,
            Audience::Everybody | Audience::Unspecified => true,
        };
        Ok(is_in && (!contact.blocked || canary::is("blocked-may-write")))
    }
}
