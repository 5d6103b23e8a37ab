//! What devices see, in whichever order they see it (I2, I3, I5, R1).

use hongyan_proto::wire::{self, Gone};

use super::{
    book::{Ledger, Line},
    sight::{Item, Sight},
};
use crate::sim::conversation::{Conversation, Deed, User, user};

impl Ledger {
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
