//! Conversations as the simulation knows them, what is done in them, and who may see what of a group.

use std::collections::BTreeMap;

use bytes::Bytes;
use hongyan_proto::wire::{self, JoinPolicy, act::What};

/// Users are numbered here; `u0`, `u1` … are their names.
pub type User = usize;

pub fn uid(user: User) -> String {
    format!("u{user}")
}

pub fn user(uid: &str) -> Option<User> {
    uid.strip_prefix('u')?.parse().ok()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Conversation {
    /// The lower number first.
    Two(User, User),
    Group(u64),
}

impl Conversation {
    pub fn between(a: User, b: User) -> Self {
        Self::Two(a.min(b), a.max(b))
    }

    /// What `user` calls `name`.
    pub fn named(user: User, name: &str) -> Option<Self> {
        match name.strip_prefix('#') {
            Some(group) => Some(Self::Group(group.parse().ok()?)),
            None => Some(Self::between(user, self::user(name)?)),
        }
    }

    pub fn name_for(self, user: User) -> String {
        match self {
            Self::Group(group) => format!("#{group}"),
            Self::Two(a, b) => uid(if a == user { b } else { a }),
        }
    }

    pub fn is_group(self) -> bool {
        matches!(self, Self::Group(_))
    }
}

/// What people do in conversations besides writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    Edit(u64),
    Recall(u64),
    Read(u64),
    Create(Vec<User>),
    Invite(User),
    Remove(User),
    Join,
    Leave,
    /// By the server: the group is large from here on.
    Grown,
}

impl Deed {
    /// `content` is what an edit puts in the place of what was there.
    pub fn asked(&self, content: Bytes) -> wire::Act {
        let what = match self {
            Deed::Edit(cseq) => What::Edit(wire::Edit { cseq: *cseq, content, ..Default::default() }),
            Deed::Recall(cseq) => What::Recall(wire::Recall { cseq: *cseq, ..Default::default() }),
            Deed::Read(cseq) => What::Read(wire::Read { cseq: *cseq }),
            Deed::Create(members) => {
                // Whoever was removed may come back.
                let settings = wire::GroupSettings { join: JoinPolicy::JoinOpen.into(), ..Default::default() };
                let members = members.iter().map(|member| uid(*member)).collect();
                What::GroupCreate(wire::GroupCreate { settings: Some(settings), members })
            }
            Deed::Invite(member) => What::GroupInvite(wire::GroupInvite { uids: vec![uid(*member)] }),
            Deed::Remove(member) => What::GroupRemove(wire::GroupRemove { uid: uid(*member), ban: false }),
            Deed::Join => What::GroupJoin(wire::GroupJoin::default()),
            Deed::Leave => What::GroupLeave(wire::GroupLeave {}),
            Deed::Grown => What::GroupGrown(wire::GroupGrown {}),
        };
        wire::Act { what: Some(what) }
    }

    /// What was done, and the new content of an edit.
    pub fn told(act: &wire::Act) -> Option<(Self, Bytes)> {
        let deed = match act.what.as_ref()? {
            What::Edit(edit) => return Some((Deed::Edit(edit.cseq), edit.content.clone())),
            What::Recall(recall) => Deed::Recall(recall.cseq),
            What::GroupCreate(create) => {
                Deed::Create(create.members.iter().map(|uid| user(uid)).collect::<Option<_>>()?)
            }
            What::GroupInvite(invite) => match invite.uids.as_slice() {
                [uid] => Deed::Invite(user(uid)?),
                _ => return None,
            },
            What::GroupRemove(remove) => Deed::Remove(user(&remove.uid)?),
            What::GroupJoin(_) => Deed::Join,
            What::GroupLeave(_) => Deed::Leave,
            What::GroupGrown(_) => Deed::Grown,
            _ => return None,
        };
        Some((deed, Bytes::new()))
    }

    /// Whether this may be what became of what was `asked`: not everybody can be made a member.
    pub fn fulfils(&self, asked: &Self) -> bool {
        match (self, asked) {
            (Deed::Create(added), Deed::Create(asked)) => added.iter().all(|user| asked.contains(user)),
            _ => self == asked,
        }
    }
}

/// When somebody was in a group: the act that brought them in, and the one that ended it, if it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stay {
    pub from: u64,
    pub to: Option<u64>,
}

impl Stay {
    pub const ALWAYS: Self = Self { from: 1, to: None };

    pub fn holds(self, cseq: u64) -> bool {
        cseq >= self.from && self.to.is_none_or(|to| cseq <= to)
    }
}

/// The stays of everybody in one group, from its acts in their order.
#[derive(Default, Debug)]
pub struct Members(BTreeMap<User, Vec<Stay>>);

impl Members {
    pub fn of(acts: impl Iterator<Item = (u64, User, Deed)>) -> Self {
        let mut members = Self::default();
        for (cseq, by, deed) in acts {
            match deed {
                Deed::Create(others) => others.into_iter().chain([by]).for_each(|user| members.enter(user, cseq)),
                Deed::Invite(user) => members.enter(user, cseq),
                Deed::Join => members.enter(by, cseq),
                Deed::Remove(user) => members.exit(user, cseq),
                Deed::Leave => members.exit(by, cseq),
                _ => {}
            }
        }
        members
    }

    fn enter(&mut self, user: User, cseq: u64) {
        self.0.entry(user).or_default().push(Stay { from: cseq, to: None });
    }

    fn exit(&mut self, user: User, cseq: u64) {
        if let Some(stay) = self.0.get_mut(&user).and_then(|stays| stays.last_mut()) {
            stay.to.get_or_insert(cseq);
        }
    }

    pub fn last_stays(&self) -> Vec<(User, Stay)> {
        self.0.iter().filter_map(|(user, stays)| Some((*user, *stays.last()?))).collect()
    }

    pub fn last_stay(&self, user: User) -> Option<Stay> {
        self.0.get(&user)?.last().copied()
    }

    pub fn may_see(&self, user: User, cseq: u64) -> bool {
        self.0.get(&user).is_some_and(|stays| stays.iter().any(|stay| stay.holds(cseq)))
    }

    /// Whether somebody was outside at some time after the group was made.
    pub fn was_outside(&self, user: User) -> bool {
        self.0.get(&user).is_none_or(|stays| stays.len() > 1 || stays[0].to.is_some() || stays[0].from > 1)
    }
}
