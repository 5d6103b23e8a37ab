//! Acts: what people do besides writing. Those of groups are in `group.rs`.
//!
//! An act goes through the outbox like a message: durable, in order, at most once. What others learn of it comes as an
//! entry, also to the device that asked for it: so all devices of a user fold the same entries.

use bytes::Bytes;
use hongyan_proto::{
    ConversationId, Uid,
    wire::{self, Audience, act::What, contact_act::What as ContactWhat},
};

/// Something to be done, for [`crate::Client::submit`] and [`crate::Client::queue`]. The server says who may, and until
/// when; whoever may not gets [`crate::SendError::Refused`].
#[derive(Clone)]
pub struct Act {
    /// Empty: it belongs to no conversation.
    pub(crate) to: String,
    pub(crate) what: What,
}

/// How one's own list shows a conversation. None: unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrangement {
    pub pinned: Option<bool>,
    /// In milliseconds since 1970; 0: not muted.
    pub muted_until_ms: Option<u64>,
    pub archived: Option<bool>,
    /// What is written and not sent, at most 4,096 bytes, opaque to the server; empty: none.
    pub draft: Option<Bytes>,
}

/// Who may do what to this user. In [`Act::privacy`] None and `Unspecified` leave a setting as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privacy {
    /// Who may write to this user.
    pub write: Option<Audience>,
    pub add_to_groups: Option<Audience>,
    /// Who sees whether this user is online, and when they last were.
    pub presence: Option<Audience>,
    /// Tell nobody what was delivered and read.
    pub no_receipts: Option<bool>,
}

impl Act {
    pub(crate) fn of(to: impl Into<ConversationId>, what: What) -> Self {
        Self { to: to.into().to_string(), what }
    }

    /// New content for one's own message. Mentions are replaced too.
    pub fn edit(conversation: impl Into<ConversationId>, cseq: u64, content: Bytes) -> Self {
        Self::of(conversation, What::Edit(wire::Edit { cseq, content, ..Default::default() }))
    }

    /// Takes a message back: its body leaves the server's store.
    pub fn recall(conversation: impl Into<ConversationId>, cseq: u64) -> Self {
        Self::of(conversation, What::Recall(wire::Recall { cseq, author: String::new() }))
    }

    /// Reacts to a message with 1 to 32 bytes of text, in place of an earlier reaction; empty: takes it back.
    pub fn react(conversation: impl Into<ConversationId>, cseq: u64, reaction: &str) -> Self {
        let reaction = reaction.to_owned();
        Self::of(conversation, What::React(wire::React { cseq, reaction, previous: String::new() }))
    }

    pub fn pin(conversation: impl Into<ConversationId>, cseq: u64) -> Self {
        Self::of(conversation, What::Pin(wire::Pin { cseq, unpin: false }))
    }

    pub fn unpin(conversation: impl Into<ConversationId>, cseq: u64) -> Self {
        Self::of(conversation, What::Pin(wire::Pin { cseq, unpin: true }))
    }

    /// Messages from now on disappear so many seconds after they were taken; 0: they stay.
    pub fn disappear(conversation: impl Into<ConversationId>, after_s: u32) -> Self {
        Self::of(conversation, What::Disappear(wire::Disappear { after_s }))
    }

    /// Copies the message `cseq` of the conversation `from` to `to`. It says who wrote it.
    pub fn forward(to: impl Into<ConversationId>, from: impl Into<ConversationId>, cseq: u64) -> Self {
        Self::of(to, What::Forward(wire::Forward { conversation: from.into().to_string(), cseq }))
    }

    /// A person has seen everything up to `cseq`.
    pub fn read(conversation: impl Into<ConversationId>, cseq: u64) -> Self {
        Self::of(conversation, What::Read(wire::Read { cseq }))
    }

    pub fn arrange(conversation: impl Into<ConversationId>, how: Arrangement) -> Self {
        let Arrangement { pinned, muted_until_ms, archived, draft } = how;
        Self::of(conversation, What::Arrange(wire::Arrange { pinned, muted_until_ms, archived, draft }))
    }

    pub fn privacy(settings: Privacy) -> Self {
        let Privacy { write, add_to_groups, presence, no_receipts } = settings;
        let number = |audience: Option<Audience>| audience.unwrap_or(Audience::Unspecified).into();
        let (write, add_to_groups, presence) = (number(write), number(add_to_groups), number(presence));
        Self { to: String::new(), what: What::Privacy(wire::Privacy { write, add_to_groups, presence, no_receipts }) }
    }

    /// Asks somebody to be a contact, or agrees to be one.
    pub fn ask_contact(uid: &Uid) -> Self {
        Self::contact(uid, ContactWhat::Ask)
    }

    /// Says no to being a contact, or is none any more.
    pub fn remove_contact(uid: &Uid) -> Self {
        Self::contact(uid, ContactWhat::Remove)
    }

    /// Somebody who is blocked cannot write, add to groups, or see whether one is online.
    pub fn block(uid: &Uid) -> Self {
        Self::contact(uid, ContactWhat::Block)
    }

    pub fn unblock(uid: &Uid) -> Self {
        Self::contact(uid, ContactWhat::Unblock)
    }

    fn contact(uid: &Uid, what: ContactWhat) -> Self {
        Self::of(uid, What::Contact(wire::ContactAct { what: what.into() }))
    }
}

impl Privacy {
    /// As the server tells them: everything is set.
    pub(crate) fn read(told: wire::Privacy) -> Self {
        let known = |audience: Audience| Some(audience).filter(|audience| *audience != Audience::Unspecified);
        Self {
            write: known(told.write()),
            add_to_groups: known(told.add_to_groups()),
            presence: known(told.presence()),
            no_receipts: Some(told.no_receipts()),
        }
    }
}
