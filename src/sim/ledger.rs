//! What has been promised and what has been seen, by everybody together; and the checks of it (I1-I5).

mod rest;

use std::collections::{BTreeMap, btree_map::Entry};

use bytes::{BufMut, Bytes, BytesMut};
use hongyan_proto::wire::{self, Gone, NackCode};
use rustc_hash::{FxHashMap, FxHashSet};

use super::conversation::{Conversation, Deed, Members, User, user};

/// What every content begins with; its number follows.
pub const MARK: [u8; 4] = [0xFE, 0xED, 0xF0, 0x0D];

/// One entry of a timeline, as far as devices must agree about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    Line(Conversation, u64),
    Receipt {
        conversation: Conversation,
        by: User,
        delivered: u64,
        read: u64,
    },
    /// The line of the list, as it is when it is pushed.
    Row(Conversation),
}

/// One thing that some device was told to send.
struct Sent {
    from: User,
    /// None: a group that is yet to be made.
    to: Option<Conversation>,
    /// None: a message.
    deed: Option<Deed>,
    /// Of a message and of an edit; it says which of all that was sent it is.
    content: Bytes,
    /// Its device has lost or turned back its state since, so it may never arrive, or under two numbers of the device.
    is_loose: bool,
    is_answered: bool,
    is_refused: bool,
    cseq: Option<u64>,
}

/// What stands at a place of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    from: User,
    /// None: a message.
    deed: Option<Deed>,
}

/// A message, an act, or what has become of a message, as somebody sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// The message or edit whose content it is, and the cseq of that edit; 0: never edited.
    Message {
        content: usize,
        edited: u64,
    },
    /// Taken back, or kept from a former member.
    Empty {
        is_recalled: bool,
    },
    /// The content of an edit, if it can be seen.
    Edit {
        of: u64,
        content: Option<usize>,
    },
    Recall {
        of: u64,
    },
    Grown,
    Act,
}

/// The book of one run.
#[derive(Default)]
pub struct Ledger {
    violation: Option<String>,
    sent: Vec<Sent>,
    lines: FxHashMap<Conversation, BTreeMap<u64, Line>>,
    /// The messages that lines say were taken back.
    recalled: FxHashSet<(Conversation, u64)>,
    /// Which of all that was sent stands there, as its device was told.
    answers: FxHashMap<(Conversation, u64), usize>,
    timelines: FxHashMap<(User, u64), Item>,
    /// What users have seen of groups.
    seen: FxHashSet<(u64, u64, User)>,
    /// How far any device of a user has stored a conversation.
    stored: FxHashMap<(User, Conversation), u64>,
    /// Who has a device that was told to load everything anew: what it still loads counts as received.
    pub reloading: FxHashSet<User>,
    /// How far a user has been asked to mark a conversation as read, and was answered.
    marked: FxHashMap<(User, Conversation), (u64, u64)>,
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

    // ------------------------------------------------------------ what is sent

    /// A message or edit that has never been before, or another act. The number says which it is from now on.
    pub fn write(&mut self, from: User, to: Option<Conversation>, deed: Option<Deed>, filler: usize) -> usize {
        let id = self.sent.len();
        let mut content = BytesMut::new();
        if matches!(deed, None | Some(Deed::Edit(_))) {
            content.put_slice(&MARK);
            content.put_u32(id as u32);
            content.put_bytes(b'.', filler);
        }
        if let (Some(Deed::Read(cseq)), Some(conversation)) = (&deed, to) {
            let asked = &mut self.marked.entry((from, conversation)).or_default().0;
            *asked = (*cseq).max(*asked);
        }
        let (content, cseq) = (content.freeze(), None);
        let flags = (false, false, false);
        let (is_loose, is_answered, is_refused) = flags;
        self.sent.push(Sent { from, to, deed, content, is_loose, is_answered, is_refused, cseq });
        id
    }

    /// What a device puts on the wire.
    pub fn send(&self, id: usize, send_no: u64) -> wire::Send {
        let Sent { from, to, deed, content, .. } = &self.sent[id];
        let to = to.map_or(String::new(), |to| to.name_for(*from));
        match deed {
            None => wire::Send { send_no, to, content: content.clone(), ..Default::default() },
            Some(deed) => {
                wire::Send { send_no, to, act: Some(Box::new(deed.asked(content.clone()))), ..Default::default() }
            }
        }
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

    /// The device that was to send it cannot vouch for it any more.
    pub fn let_loose(&mut self, id: usize) {
        // That it was refused holds for the number that it had.
        (self.sent[id].is_loose, self.sent[id].is_refused) = (true, false);
    }

    /// Whether it may come a second time, under another number of its device.
    pub fn is_loose(&self, id: usize) -> bool {
        self.sent[id].is_loose
    }

    fn id(&self, content: &[u8]) -> Option<usize> {
        let id = u32::from_be_bytes(content.get(4..8)?.try_into().ok()?) as usize;
        self.sent.get(id).filter(|sent| sent.content == content).map(|_| id)
    }

    // ------------------------------------------------------------ what is answered

    /// A device was told that what it sent is durable.
    pub fn on_answered(&mut self, id: usize, ack: &wire::SendAck) {
        let sent = &mut self.sent[id];
        sent.is_answered = true;
        if ack.group != 0 {
            sent.to = Some(Conversation::Group(ack.group));
        }
        self.answered += 1;
        let (from, deed) = (sent.from, sent.deed.clone());
        let Some(to) = sent.to else { return };
        if let Some(Deed::Read(cseq)) = deed {
            let done = &mut self.marked.entry((from, to)).or_default().1;
            *done = cseq.max(*done);
        }
        if ack.cseq == 0 {
            return self.check(deed.is_some(), || format!("R1: message {id} has no number"));
        }
        if deed.is_none() {
            self.on_message(id, to, ack.cseq);
            self.stands(to, ack.cseq, Line { from, deed });
        }
        self.sent[id].cseq = Some(ack.cseq);
        let other = *self.answers.entry((to, ack.cseq)).or_insert(id);
        self.check(other == id || self.sent[other].is_loose, || {
            format!("I3: {other} and {id} were both answered to be at {} of {to:?}", ack.cseq)
        });
    }

    /// A device was told that what it sent is refused for good.
    pub fn on_refused(&mut self, id: usize, nack: &wire::SendNack) {
        let sent = &mut self.sent[id];
        sent.is_answered = true;
        let is_between_two = sent.to.is_some_and(|to| !to.is_group());
        let may_be = match nack.code() {
            // It was taken before, and comes out of the log.
            NackCode::NackAnswerExpired => {
                sent.is_loose = true;
                true
            }
            NackCode::NackNotFound | NackCode::NackForbidden => {
                !is_between_two || matches!(sent.deed, Some(Deed::Edit(_) | Deed::Recall(_)))
            }
            // A calendar may have jumped meanwhile.
            NackCode::NackTooLate => sent.deed.is_some() && self.has_time_passed,
            _ => false,
        };
        sent.is_refused = !sent.is_loose;
        self.check(may_be, || format!("I1: what is good was refused: {nack:?}"));
    }

    // ------------------------------------------------------------ what is seen

    /// A message or act is seen at a place of a conversation, by whomever (I2, I3, I5).
    pub fn on_line(&mut self, seen_by: User, message: &wire::Message) -> Option<(Conversation, Sight)> {
        let wire::Message { from, to, cseq, .. } = message;
        let named = user(from).and_then(|from| Some((from, Conversation::named(from, to)?)));
        let Some((from, conversation)) = named.filter(|(_, named)| match named {
            Conversation::Two(a, b) => [a, b].contains(&&seen_by),
            Conversation::Group(_) => true,
        }) else {
            self.violated(|| format!("I5: u{seen_by} sees something from {from} to {to}"));
            return None;
        };
        if let Conversation::Group(group) = conversation {
            self.seen.insert((group, *cseq, seen_by));
        }
        let told = message.act.as_ref().map(|act| Deed::told(act));
        let (deed, sight) = match told {
            Some(Some((deed, content))) => {
                let sight = self.sight_of_act(&deed, &content);
                (Some(deed), sight)
            }
            Some(None) => {
                self.violated(|| format!("I5: u{seen_by} sees an act that nobody did: {message:?}"));
                return None;
            }
            None => (None, self.sight_of_message(conversation, message)?),
        };
        self.stands(conversation, *cseq, Line { from, deed });
        Some((conversation, sight))
    }

    /// One thing stands at each place of a conversation, whoever looks (I3).
    fn stands(&mut self, conversation: Conversation, cseq: u64, line: Line) {
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

    fn sight_of_act(&self, deed: &Deed, content: &[u8]) -> Sight {
        match deed {
            Deed::Edit(of) => Sight::Edit { of: *of, content: self.id(content) },
            Deed::Recall(of) => Sight::Recall { of: *of },
            Deed::Grown => Sight::Grown,
            _ => Sight::Act,
        }
    }

    fn sight_of_message(&mut self, conversation: Conversation, message: &wire::Message) -> Option<Sight> {
        let wire::Message { cseq, content, extras, .. } = message;
        let (gone, edited) = extras.as_ref().map_or((Gone::Not, 0), |extras| (extras.gone(), extras.edited_cseq));
        if content.is_empty() && (gone == Gone::Recalled || edited > 0) {
            return Some(Sight::Empty { is_recalled: gone == Gone::Recalled });
        }
        let real = self.id(content).map(|id| (id, &self.sent[id]));
        let (id, real) = match real.filter(|_| gone == Gone::Not) {
            Some((id, sent)) => (id, (sent.from, sent.to, sent.deed.clone())),
            None => {
                self.violated(|| {
                    format!("I5: a message that nobody sent, or took back, at {cseq} of {conversation:?}")
                });
                return None;
            }
        };
        let deed = (edited > 0).then_some(Deed::Edit(*cseq));
        let named = (user(&message.from), Some(conversation), deed);
        if (Some(real.0), real.1, real.2.clone()) != named {
            self.violated(|| format!("I5: {id}, {real:?}, came as {named:?}"));
            return None;
        }
        if edited == 0 {
            self.on_message(id, conversation, *cseq);
        }
        Some(Sight::Message { content: id, edited })
    }

    /// A message stands once in its conversation (I2).
    fn on_message(&mut self, id: usize, conversation: Conversation, cseq: u64) {
        let Sent { is_loose, is_refused, from, .. } = self.sent[id];
        let known = self.sent[id].cseq.replace(cseq);
        self.check(known.is_none_or(|known| known == cseq || is_loose), || {
            format!("I2: message {id} stands in {conversation:?} twice, at {known:?} and {cseq}")
        });
        self.check(!is_refused, || format!("R2: message {id} of u{from} was refused, and stands at {cseq}"));
        let other = *self.answers.entry((conversation, cseq)).or_insert(id);
        self.check(other == id, || format!("I3: messages {other} and {id} both have place {cseq} of {conversation:?}"));
    }

    /// An entry of a user's log, as one of the devices has it (I3).
    pub fn on_entry(&mut self, user: User, useq: u64, item: Item) {
        let known = *self.timelines.entry((user, useq)).or_insert(item);
        self.check(known == item, || {
            format!("I3: entry {useq} of u{user} is {known:?} to one and {item:?} to another")
        });
    }

    /// A device has stored a message.
    pub fn on_stored(&mut self, user: User, conversation: Conversation, cseq: u64) {
        let stored = self.stored.entry((user, conversation)).or_default();
        *stored = cseq.max(*stored);
        self.shown += 1;
    }

    /// `user` learns how far somebody else has received and read a conversation.
    pub fn on_receipt(&mut self, user: User, conversation: Conversation, by: User, delivered: u64, read: u64) {
        let stored = self.stored.get(&(by, conversation)).copied().unwrap_or(0);
        let marked = self.marked.get(&(by, conversation)).map_or(0, |marked| marked.0);
        let is_received = delivered <= stored || self.reloading.contains(&by);
        self.check(is_received && read <= marked && by != user, || {
            format!(
                "R1: u{user} is told that u{by} has received {delivered} of {conversation:?} and read {read}, \
                 who has stored {stored} and read {marked}"
            )
        });
        let mut lines = self.lines.get(&conversation).into_iter().flat_map(|lines| lines.range(..=delivered.max(read)));
        // Where a device was told to load everything anew, nobody may have shown the line yet.
        let is_shown = [user, by].iter().all(|user| !self.reloading.contains(user));
        let is_author = !conversation.is_group() || !is_shown || lines.any(|(_, line)| line.from == user);
        self.check(is_author, || format!("R1: u{user} is told who reads {conversation:?}, and has done nothing there"));
    }
}
