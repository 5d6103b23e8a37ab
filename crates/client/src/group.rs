//! Groups: what they are, and the acts on them.

use hongyan_proto::{
    ConversationId, Uid,
    wire::{self, JoinPolicy, Role, act::What},
};

use crate::act::Act;

/// What a group is. A role says who may do a thing at the least; `Role::None` leaves the choice to the server when a
/// group is made: members post, admins do the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// At most 128 bytes.
    pub title: String,
    /// At most 2,048 bytes.
    pub description: String,
    pub join: JoinPolicy,
    /// Whether members see what was written before they joined.
    pub history_for_new: bool,
    pub may_post: Role,
    pub may_invite: Role,
    pub may_pin: Role,
    /// Title and description.
    pub may_describe: Role,
    pub may_mention_all: Role,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            title: String::new(),
            description: String::new(),
            join: JoinPolicy::JoinClosed,
            history_for_new: false,
            may_post: Role::None,
            may_invite: Role::None,
            may_pin: Role::None,
            may_describe: Role::None,
            may_mention_all: Role::None,
        }
    }
}

/// What changes of a group. None: unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupUpdate {
    pub title: Option<String>,
    pub description: Option<String>,
    pub join: Option<JoinPolicy>,
    pub history_for_new: Option<bool>,
    pub may_post: Option<Role>,
    pub may_invite: Option<Role>,
    pub may_pin: Option<Role>,
    pub may_describe: Option<Role>,
    pub may_mention_all: Option<Role>,
}

/// A group as this user sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub id: ConversationId,
    pub settings: GroupSettings,
    pub members: u32,
    /// This user's own.
    pub role: Role,
    pub owner: Option<Uid>,
    /// Numbered by cseq alone.
    pub large: bool,
    pub dissolved: bool,
    /// Only in the answer to [`crate::Client::group`], for those who may invite.
    pub link: Option<String>,
}

/// Somebody in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub uid: Uid,
    pub role: Role,
    pub joined_ms: u64,
    pub invited_by: Option<Uid>,
}

/// Somebody wants to join a group that this user may admit to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRequest {
    pub group: ConversationId,
    pub uid: Uid,
    /// Answered since.
    pub settled: bool,
}

/// The acts on groups. `group` is the group's number, the N of `#N`.
impl Act {
    /// Makes a group with this user as its owner; [`crate::Sent::conversation`] names it. Who may not be added is left out.
    pub fn create_group(settings: GroupSettings, members: &[Uid]) -> Self {
        let members = members.iter().map(Uid::to_string).collect();
        let create = wire::GroupCreate { settings: Some(settings.into()), members };
        Self { to: String::new(), what: What::GroupCreate(create) }
    }

    pub fn update_group(group: u64, update: GroupUpdate) -> Self {
        Self::of_group(group, What::GroupUpdate(update.into()))
    }

    /// Adds people, at most 500 at once. Who does not let this user add them, or is banned, is left out.
    pub fn invite(group: u64, uids: &[Uid]) -> Self {
        Self::of_group(group, What::GroupInvite(wire::GroupInvite { uids: uids.iter().map(Uid::to_string).collect() }))
    }

    /// Joins an open group, or one with a link; where the group admits people one by one this asks for it.
    pub fn join(group: u64, link: Option<&str>) -> Self {
        Self::of_group(group, What::GroupJoin(wire::GroupJoin { link: link.unwrap_or_default().into() }))
    }

    /// The owner must hand the group over first.
    pub fn leave(group: u64) -> Self {
        Self::of_group(group, What::GroupLeave(wire::GroupLeave {}))
    }

    /// `ban`: they cannot come back.
    pub fn remove(group: u64, uid: &Uid, ban: bool) -> Self {
        Self::of_group(group, What::GroupRemove(wire::GroupRemove { uid: uid.to_string(), ban }))
    }

    pub fn unban(group: u64, uid: &Uid) -> Self {
        Self::of_group(group, What::GroupUnban(wire::GroupUnban { uid: uid.to_string() }))
    }

    /// Makes somebody a member or an admin.
    pub fn set_role(group: u64, uid: &Uid, role: Role) -> Self {
        Self::of_group(group, What::GroupRole(wire::GroupRole { uid: uid.to_string(), role: role.into() }))
    }

    /// Makes somebody else the owner.
    pub fn transfer(group: u64, uid: &Uid) -> Self {
        Self::of_group(group, What::GroupTransfer(wire::GroupTransfer { uid: uid.to_string() }))
    }

    /// Ends the group: what was written stays to be read.
    pub fn dissolve(group: u64) -> Self {
        Self::of_group(group, What::GroupDissolve(wire::GroupDissolve {}))
    }

    /// Lets somebody in who has asked.
    pub fn admit(group: u64, uid: &Uid) -> Self {
        Self::of_group(group, What::GroupAdmit(wire::GroupAdmit { uid: uid.to_string(), refuse: false }))
    }

    /// Does not let somebody in who has asked.
    pub fn refuse(group: u64, uid: &Uid) -> Self {
        Self::of_group(group, What::GroupAdmit(wire::GroupAdmit { uid: uid.to_string(), refuse: true }))
    }

    /// Makes a new link, which [`crate::Client::group`] tells; older ones end.
    pub fn new_link(group: u64) -> Self {
        Self::of_group(group, What::GroupLink(wire::GroupLink { revoke: false }))
    }

    pub fn revoke_link(group: u64) -> Self {
        Self::of_group(group, What::GroupLink(wire::GroupLink { revoke: true }))
    }

    fn of_group(group: u64, what: What) -> Self {
        Self::of(ConversationId::Group(group), what)
    }
}

impl From<GroupSettings> for wire::GroupSettings {
    fn from(settings: GroupSettings) -> Self {
        Self {
            title: settings.title,
            description: settings.description,
            join: settings.join.into(),
            history_for_new: settings.history_for_new,
            may_post: settings.may_post.into(),
            may_invite: settings.may_invite.into(),
            may_pin: settings.may_pin.into(),
            may_describe: settings.may_describe.into(),
            may_mention_all: settings.may_mention_all.into(),
        }
    }
}

impl From<wire::GroupSettings> for GroupSettings {
    fn from(told: wire::GroupSettings) -> Self {
        Self {
            join: told.join(),
            history_for_new: told.history_for_new,
            may_post: told.may_post(),
            may_invite: told.may_invite(),
            may_pin: told.may_pin(),
            may_describe: told.may_describe(),
            may_mention_all: told.may_mention_all(),
            title: told.title,
            description: told.description,
        }
    }
}

impl From<GroupUpdate> for wire::GroupUpdate {
    fn from(update: GroupUpdate) -> Self {
        let role = |role: Option<Role>| role.map(Into::into);
        Self {
            title: update.title,
            description: update.description,
            join: update.join.map(Into::into),
            history_for_new: update.history_for_new,
            may_post: role(update.may_post),
            may_invite: role(update.may_invite),
            may_pin: role(update.may_pin),
            may_describe: role(update.may_describe),
            may_mention_all: role(update.may_mention_all),
        }
    }
}

impl From<wire::GroupUpdate> for GroupUpdate {
    fn from(told: wire::GroupUpdate) -> Self {
        let role = |role: Option<i32>| role.and_then(|role| Role::try_from(role).ok());
        Self {
            join: told.join.and_then(|join| JoinPolicy::try_from(join).ok()),
            history_for_new: told.history_for_new,
            may_post: role(told.may_post),
            may_invite: role(told.may_invite),
            may_pin: role(told.may_pin),
            may_describe: role(told.may_describe),
            may_mention_all: role(told.may_mention_all),
            title: told.title,
            description: told.description,
        }
    }
}

impl Group {
    /// None: it names nothing that can exist.
    pub(crate) fn read(told: wire::Group) -> Option<Self> {
        Some(Self {
            id: ConversationId::new(&told.group).ok()?,
            role: told.role(),
            members: told.members,
            owner: Uid::new(&told.owner).ok(),
            large: told.large,
            dissolved: told.dissolved,
            settings: told.settings.unwrap_or_default().into(),
            link: Some(told.link).filter(|link| !link.is_empty()),
        })
    }
}

impl Member {
    pub(crate) fn read(told: wire::Member) -> Option<Self> {
        let (role, joined_ms) = (told.role(), told.joined_ms);
        Some(Self { uid: Uid::new(&told.uid).ok()?, role, joined_ms, invited_by: Uid::new(&told.invited_by).ok() })
    }
}

impl JoinRequest {
    pub(crate) fn read(told: wire::JoinRequest) -> Option<Self> {
        let (group, uid) = (ConversationId::new(&told.group).ok()?, Uid::new(&told.uid).ok()?);
        Some(Self { group, uid, settled: told.settled })
    }
}
