//! The book of one run, and what may be written into it at all: one thing at each place, and each message once.

use std::collections::{BTreeMap, btree_map::Entry};

use bytes::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};

use super::sight::Item;
use crate::sim::{
    content,
    conversation::{Conversation, Deed, User},
};

/// One thing that some device was told to send.
pub(super) struct Sent {
    pub(super) from: User,
    /// None: a group that is yet to be made.
    pub(super) to: Option<Conversation>,
    /// None: a message.
    pub(super) deed: Option<Deed>,
    /// Of a message and of an edit; it says which of all that was sent it is.
    pub(super) content: Bytes,
    /// Its device has lost or turned back its state since, so it may never arrive, or under two numbers of the device.
    pub(super) is_loose: bool,
    pub(super) is_answered: bool,
    pub(super) is_refused: bool,
    pub(super) cseq: Option<u64>,
}

/// What stands at a place of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) from: User,
    /// None: a message.
    pub(super) deed: Option<Deed>,
}

/// The book of one run.
#[derive(Default)]
pub struct Ledger {
    violation: Option<String>,
    pub(super) sent: Vec<Sent>,
    pub(super) lines: FxHashMap<Conversation, BTreeMap<u64, Line>>,
    /// The messages that lines say were taken back.
    pub(super) recalled: FxHashSet<(Conversation, u64)>,
    /// Which of all that was sent stands there, as its device was told.
    pub(super) answers: FxHashMap<(Conversation, u64), usize>,
    pub(super) timelines: FxHashMap<(User, u64), Item>,
    /// What users have seen of groups.
    pub(super) seen: FxHashSet<(u64, u64, User)>,
    /// How far any device of a user has stored a conversation.
    pub(super) stored: FxHashMap<(User, Conversation), u64>,
    /// Who has a device that was told to load everything anew: what it still loads counts as received.
    pub reloading: FxHashSet<User>,
    /// How far a user has been asked to mark a conversation as read, and was answered.
    pub(super) marked: FxHashMap<(User, Conversation), (u64, u64)>,
    /// The calendar has jumped, so that what has a time limit may have been refused.
    pub has_time_passed: bool,
    /// Messages and acts answered, and entries shown.
    pub answered: u64,
    pub shown: u64,
}

impl Ledger {
    /// Only the first is kept: others follow from it.
    pub fn violated(&mut self, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(what());
        }
    }

    pub fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violated(what);
        }
    }

    pub fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    pub fn author(&self, id: usize) -> User {
        self.sent[id].from
    }

    pub fn conversation(&self, id: usize) -> Option<Conversation> {
        self.sent[id].to
    }

    /// Groups of which somebody has heard.
    pub fn groups(&self) -> Vec<u64> {
        let number = |conversation: &Conversation| match conversation {
            Conversation::Group(group) => Some(*group),
            Conversation::Two(..) => None,
        };
        let mut groups: Vec<u64> = self.lines.keys().filter_map(number).collect();
        groups.sort_unstable();
        groups
    }

    /// Whether it has a content, by which it is known in the store.
    pub fn has_content(&self, id: usize) -> bool {
        !self.sent[id].content.is_empty()
    }

    /// Whether it may come a second time, under another number of its device.
    pub fn is_loose(&self, id: usize) -> bool {
        self.sent[id].is_loose
    }

    pub(super) fn id(&self, content: &[u8]) -> Option<usize> {
        let id = content::number(content)? as usize;
        self.sent.get(id).filter(|sent| sent.content == content).map(|_| id)
    }

    // ------------------------------------------------------------ what stands in conversations

    /// One thing stands at each place of a conversation, whoever looks (I3).
    pub(super) fn stands(&mut self, conversation: Conversation, cseq: u64, line: Line) {
        match self.lines.entry(conversation).or_default().entry(cseq) {
            Entry::Vacant(place) => {
                if let Some(Deed::Recall(of)) = line.deed {
                    self.recalled.insert((conversation, of));
                }
                place.insert(line);
            }
            Entry::Occupied(there) if *there.get() != line => {
                let there = there.get().clone();
                self.violated(|| format!("I3: {there:?} and {line:?} both stand at {cseq} of {conversation:?}"));
            }
            Entry::Occupied(_) => {}
        }
    }

    /// A message stands once in its conversation (I2).
    pub(super) fn on_message(&mut self, id: usize, conversation: Conversation, cseq: u64) {
        let Sent { is_loose, is_refused, from, .. } = self.sent[id];
        let known = self.sent[id].cseq.replace(cseq);
        self.check(known.is_none_or(|known| known == cseq || is_loose), || {
            format!("I2: message {id} stands in {conversation:?} twice, at {known:?} and {cseq}")
        });
        self.check(!is_refused, || format!("R2: message {id} of u{from} was refused, and stands at {cseq}"));
        let other = *self.answers.entry((conversation, cseq)).or_insert(id);
        self.check(other == id, || format!("I3: messages {other} and {id} both have place {cseq} of {conversation:?}"));
    }
}
