//! What stands in conversations: messages, and what was done (acts), each under its cseq.

use std::fmt;

use bytes::Bytes;
use hongyan_proto::{
    ConversationId, Uid,
    wire::{self, Gone, Role, act},
};

use crate::group::{GroupSettings, GroupUpdate};

/// A message of a conversation: pushed live, caught up on, or read from the history.
#[derive(Clone, PartialEq, Eq)]
pub struct Received {
    /// Its number in this user's log; 0 if it was read from the history, or is of a large group.
    pub useq: u64,
    /// The peer, whoever of the two has sent it; or the group.
    pub conversation: ConversationId,
    pub from: Uid,
    /// The recipient, or the group.
    pub to: ConversationId,
    /// Its number in the conversation.
    pub cseq: u64,
    /// When the server took it, in milliseconds since 1970.
    pub time_ms: u64,
    /// Opaque; by agreement an encoded `Content`, see [`crate::Content::as_text`]. Empty if it is gone.
    pub content: Bytes,
    /// This user has sent it, from another device (or, in a history or as a forward, from this one).
    pub own: bool,
    /// The message of the same conversation that this one answers; 0: none.
    pub reply_to: u64,
    /// Whom it is meant for especially.
    pub mentions: Vec<Uid>,
    pub mention_all: bool,
    /// Who wrote what is forwarded here.
    pub forwarded_from: Option<Uid>,
    /// The newest edit, which is in the content already: its cseq, and its time in milliseconds since 1970.
    pub edited: Option<(u64, u64)>,
    /// Why there is no content any more.
    pub gone: Gone,
    /// When the body goes, in milliseconds since 1970; 0: it stays.
    pub expires_ms: u64,
}

impl Received {
    /// Whether it mentions `uid`, by name or with all.
    pub fn mentions(&self, uid: &Uid) -> bool {
        self.mention_all || self.mentions.contains(uid)
    }
}

impl fmt::Debug for Received {
    /// Leaves the content out: what people write belongs into no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("useq", &self.useq)
            .field("from", &self.from)
            .field("to", &self.to)
            .field("cseq", &self.cseq)
            .field("content_len", &self.content.len())
            .finish_non_exhaustive()
    }
}

/// Something that was done in a conversation.
#[derive(Clone, PartialEq, Eq)]
pub struct Changed {
    /// As in [`Received`].
    pub useq: u64,
    pub conversation: ConversationId,
    /// Who has done it.
    pub by: Uid,
    pub cseq: u64,
    pub time_ms: u64,
    /// This user has done it, on whatever device.
    pub own: bool,
    pub what: What,
}

impl fmt::Debug for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Changed({} by {} in {}, {:?})", self.cseq, self.by, self.conversation, self.what)
    }
}

/// What was done. Numbers are cseqs of messages of the same conversation. An edit whose `cseq` is at or below the
/// `edited` of the message it names is in that message already.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// `content` is empty where the message is gone since.
    Edited {
        cseq: u64,
        content: Bytes,
        mentions: Vec<Uid>,
        mention_all: bool,
    },
    /// The message is gone.
    Recalled {
        cseq: u64,
        author: Option<Uid>,
    },
    /// `reaction` empty: taken back. `previous`: what it replaces; empty: nothing.
    Reacted {
        cseq: u64,
        reaction: String,
        previous: String,
    },
    Pinned {
        cseq: u64,
    },
    Unpinned {
        cseq: u64,
    },
    /// Messages disappear so many seconds after they were taken; 0: they stay.
    Disappears {
        after_s: u32,
    },
    GroupCreated {
        settings: GroupSettings,
        members: Vec<Uid>,
    },
    GroupUpdated(GroupUpdate),
    /// These people are members now.
    Invited {
        uids: Vec<Uid>,
    },
    /// Whoever has done it is a member now.
    Joined,
    Left,
    Removed {
        uid: Uid,
        banned: bool,
    },
    Unbanned {
        uid: Uid,
    },
    RoleChanged {
        uid: Uid,
        role: Role,
    },
    /// This member is the owner now.
    Transferred {
        uid: Uid,
    },
    Dissolved,
    /// The group is numbered by cseq alone from here on.
    Grown,
    /// An act of a later version.
    Unknown,
}

impl fmt::Debug for What {
    /// The name alone: what people write belongs into no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl What {
    /// A name in lower case, such as `edited`.
    pub fn name(&self) -> &'static str {
        match self {
            What::Edited { .. } => "edited",
            What::Recalled { .. } => "recalled",
            What::Reacted { .. } => "reacted",
            What::Pinned { .. } => "pinned",
            What::Unpinned { .. } => "unpinned",
            What::Disappears { .. } => "disappears",
            What::GroupCreated { .. } => "group_created",
            What::GroupUpdated(_) => "group_updated",
            What::Invited { .. } => "invited",
            What::Joined => "joined",
            What::Left => "left",
            What::Removed { .. } => "removed",
            What::Unbanned { .. } => "unbanned",
            What::RoleChanged { .. } => "role_changed",
            What::Transferred { .. } => "transferred",
            What::Dissolved => "dissolved",
            What::Grown => "grown",
            What::Unknown => "unknown",
        }
    }
}

/// A line of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Message(Received),
    Changed(Changed),
}

impl Entry {
    pub fn cseq(&self) -> u64 {
        match self {
            Entry::Message(message) => message.cseq,
            Entry::Changed(changed) => changed.cseq,
        }
    }

    /// The message, if it is one.
    pub fn into_message(self) -> Option<Received> {
        match self {
            Entry::Message(message) => Some(message),
            Entry::Changed(_) => None,
        }
    }

    /// As it was told to the user `me`; None: it names nobody that can exist.
    pub(crate) fn read(me: &Uid, useq: u64, told: wire::Message) -> Option<Self> {
        let (from, to) = (Uid::new(&told.from).ok()?, ConversationId::new(&told.to).ok()?);
        let own = from == *me;
        let conversation = if own || matches!(to, ConversationId::Group(_)) { to.clone() } else { from.clone().into() };
        let wire::Message { cseq, time_ms, content, extras, act, .. } = told;
        if let Some(act) = act {
            let what = what(act.what)?;
            return Some(Entry::Changed(Changed { useq, conversation, by: from, cseq, time_ms, own, what }));
        }
        let extras = extras.map(|extras| *extras).unwrap_or_default();
        Some(Entry::Message(Received {
            useq,
            conversation,
            from,
            to,
            cseq,
            time_ms,
            content,
            own,
            reply_to: extras.reply_to,
            gone: extras.gone(),
            forwarded_from: Uid::new(&extras.forwarded_from).ok(),
            edited: (extras.edited_cseq != 0).then_some((extras.edited_cseq, extras.edited_ms)),
            expires_ms: extras.expires_ms,
            mention_all: extras.mention_all,
            mentions: uids(extras.mentions),
        }))
    }
}

fn uids(names: Vec<String>) -> Vec<Uid> {
    names.iter().filter_map(|name| Uid::new(name).ok()).collect()
}

/// None: it names nobody that can exist.
fn what(told: Option<act::What>) -> Option<What> {
    let uid = |name: &str| Uid::new(name).ok();
    Some(match told {
        Some(act::What::Edit(edit)) => {
            let wire::Edit { cseq, content, mentions, mention_all } = edit;
            What::Edited { cseq, content, mentions: uids(mentions), mention_all }
        }
        Some(act::What::Recall(recall)) => What::Recalled { cseq: recall.cseq, author: uid(&recall.author) },
        Some(act::What::React(wire::React { cseq, reaction, previous })) => What::Reacted { cseq, reaction, previous },
        Some(act::What::Pin(wire::Pin { cseq, unpin: false })) => What::Pinned { cseq },
        Some(act::What::Pin(wire::Pin { cseq, unpin: true })) => What::Unpinned { cseq },
        Some(act::What::Disappear(disappear)) => What::Disappears { after_s: disappear.after_s },
        Some(act::What::GroupCreate(create)) => {
            What::GroupCreated { settings: create.settings.unwrap_or_default().into(), members: uids(create.members) }
        }
        Some(act::What::GroupUpdate(update)) => What::GroupUpdated(update.into()),
        Some(act::What::GroupInvite(invite)) => What::Invited { uids: uids(invite.uids) },
        Some(act::What::GroupJoin(_)) => What::Joined,
        Some(act::What::GroupLeave(_)) => What::Left,
        Some(act::What::GroupRemove(remove)) => What::Removed { uid: uid(&remove.uid)?, banned: remove.ban },
        Some(act::What::GroupUnban(unban)) => What::Unbanned { uid: uid(&unban.uid)? },
        Some(act::What::GroupRole(role)) => What::RoleChanged { uid: uid(&role.uid)?, role: role.role() },
        Some(act::What::GroupTransfer(transfer)) => What::Transferred { uid: uid(&transfer.uid)? },
        Some(act::What::GroupDissolve(_)) => What::Dissolved,
        Some(act::What::GroupGrown(_)) => What::Grown,
        _ => What::Unknown,
    })
}
