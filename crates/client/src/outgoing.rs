//! What goes out through the outbox: a message with all it can carry, or an act (`act.rs`, `group.rs`).

use std::time::Duration;

use bytes::Bytes;
use hongyan_proto::{ConversationId, Uid, wire};
use prost::Message as _;

use crate::act::Act;

/// A message or an act, for [`crate::Client::submit`] and [`crate::Client::queue`]. Made of a [`NewMessage`] or an [`Act`].
#[derive(Clone)]
pub struct Outgoing {
    /// Empty: it belongs to no conversation.
    pub(crate) to: String,
    pub(crate) content: Bytes,
    pub(crate) extras: Option<Box<wire::Extras>>,
    pub(crate) act: Option<Box<wire::Act>>,
}

impl Outgoing {
    /// What it needs in a frame besides the content, roughly.
    pub(crate) fn rest_len(&self) -> usize {
        let extras = self.extras.as_ref().map_or(0, |extras| extras.encoded_len());
        extras + self.act.as_ref().map_or(0, |act| act.encoded_len())
    }
}

/// A message to be sent, with what it carries besides its content.
///
/// ```
/// # use hongyan_client::{Content, NewMessage, Uid};
/// # let bob = Uid::new("bob").unwrap();
/// let answer = NewMessage::new(&bob, Content::text("at eight")).reply_to(7).mention(&bob);
/// ```
#[derive(Clone)]
pub struct NewMessage {
    to: ConversationId,
    content: Bytes,
    extras: wire::Extras,
}

impl NewMessage {
    /// `content` is opaque to the server; see [`crate::Content`].
    pub fn new(to: impl Into<ConversationId>, content: Bytes) -> Self {
        Self { to: to.into(), content, extras: wire::Extras::default() }
    }

    /// The message of this conversation that it answers.
    pub fn reply_to(mut self, cseq: u64) -> Self {
        self.extras.reply_to = cseq;
        self
    }

    /// Meant for this member especially; at most 50 of them.
    pub fn mention(mut self, uid: &Uid) -> Self {
        self.extras.mentions.push(uid.to_string());
        self
    }

    /// Meant for every member of the group.
    pub fn mention_all(mut self) -> Self {
        self.extras.mention_all = true;
        self
    }

    /// Its body is gone after this time, in whole seconds, at most a year. Default: as the conversation has it.
    pub fn expires_after(mut self, time: Duration) -> Self {
        self.extras.expires_after_s = time.as_secs().try_into().unwrap_or(u32::MAX);
        self
    }
}

impl From<NewMessage> for Outgoing {
    fn from(NewMessage { to, content, extras }: NewMessage) -> Self {
        let extras = (extras != wire::Extras::default()).then(|| Box::new(extras));
        Self { to: to.to_string(), content, extras, act: None }
    }
}

impl From<Act> for Outgoing {
    fn from(Act { to, what }: Act) -> Self {
        Self { to, content: Bytes::new(), extras: None, act: Some(Box::new(wire::Act { what: Some(what) })) }
    }
}
