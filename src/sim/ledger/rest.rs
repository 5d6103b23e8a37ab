//! What must be true of all conversations once all is quiet.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::{
    book::{Ledger, Line, Sent},
    sight::Sight,
};
use crate::sim::conversation::{Conversation, Deed, Members, User};

impl Ledger {
    /// Places without holes (I3), what was acked is all there (I1), what was refused had to be, everything was asked for
    /// and allowed, and nobody has seen what is not theirs (I5).
    pub fn rest(&mut self) {
        for (conversation, head) in self.heads() {
            let missing = (1..=head).find(|cseq| !self.lines[&conversation].contains_key(cseq));
            self.check(missing.is_none(), || {
                format!("I3: nobody has seen {missing:?} of {conversation:?}, which ends at {head}")
            });
            if let Some(wrong) = self.wrong_in(conversation) {
                self.violated(|| wrong);
            }
        }
        if let Some(wrong) = (0..self.sent.len()).find_map(|id| self.wrong_with(id)) {
            self.violated(|| wrong);
        }
    }

    fn wrong_in(&self, conversation: Conversation) -> Option<String> {
        let lines = &self.lines[&conversation];
        if let Conversation::Group(group) = conversation {
            let members = self.members(group);
            let mut seen = self.seen.iter().filter(|(of, ..)| *of == group);
            if let Some((_, cseq, user)) = seen.find(|(_, cseq, user)| !members.may_see(*user, *cseq)) {
                return Some(format!("I5: u{user} has seen {cseq} of group {group}: {members:?}"));
            }
            if let Some((cseq, line)) = lines.iter().find(|(cseq, line)| !members.may_see(line.from, **cseq)) {
                return Some(format!("I5: {line:?} at {cseq} of group {group}, without being there: {members:?}"));
            }
        }
        lines.iter().find_map(|(cseq, line)| {
            if !is_allowed(lines, line) {
                return Some(format!("I5: {line:?} at {cseq} of {conversation:?} was not allowed"));
            }
            match self.answers.get(&(conversation, *cseq)).map(|id| &self.sent[*id]) {
                Some(sent) => {
                    let is_it = match (&line.deed, &sent.deed) {
                        (Some(done), Some(asked)) => done.fulfils(asked),
                        (done, asked) => done == asked,
                    };
                    (!is_it || sent.from != line.from)
                        .then(|| format!("R1: {line:?} at {cseq} of {conversation:?} was answered as {:?}", sent.deed))
                }
                None => {
                    let is_by_server = line.deed == Some(Deed::Grown);
                    let may_be_loose = self.sent.iter().any(|sent| sent.is_loose && sent.from == line.from);
                    (!is_by_server && !may_be_loose)
                        .then(|| format!("I2: {line:?} at {cseq} of {conversation:?} is more than was asked for"))
                }
            }
        })
    }

    fn wrong_with(&self, id: usize) -> Option<String> {
        let sent = &self.sent[id];
        if !sent.is_answered && !sent.is_loose {
            return Some(format!("I7: {id} of u{} was never answered", sent.from));
        }
        if let Some(unseen) = self.unseen(id) {
            return Some(unseen);
        }
        let to = sent.to.filter(|_| sent.is_refused)?;
        let is_justified = match (to, &sent.deed) {
            (Conversation::Group(group), _) => self.members(group).was_outside(sent.from) || sent.deed.is_some(),
            (_, Some(Deed::Edit(of) | Deed::Recall(of))) => {
                let is_own =
                    self.lines.get(&to).and_then(|lines| lines.get(of)).map(|line| line.from) == Some(sent.from);
                !is_own || self.is_recalled(to, *of) || self.has_time_passed
            }
            _ => false,
        };
        (!is_justified)
            .then(|| format!("I1: {id} of u{}, {:?} to {to:?}, was refused without a reason", sent.from, sent.deed))
    }

    /// Something that was acked, and that nobody has seen: it is on its way to its author's own devices, or lost.
    pub fn any_unseen(&self) -> Option<String> {
        (0..self.sent.len()).find_map(|id| self.unseen(id))
    }

    fn unseen(&self, id: usize) -> Option<String> {
        let sent = &self.sent[id];
        let (to, cseq) = (sent.to?, sent.cseq?);
        let is_there = self.lines.get(&to).is_some_and(|lines| lines.contains_key(&cseq));
        (!is_there).then(|| format!("I1: {id} of u{} is not at {cseq} of {to:?}", sent.from))
    }

    /// The message was taken back, or the one that it is an edit of: its content is nowhere any more.
    pub fn is_gone(&self, id: usize) -> bool {
        let sent = self.sent.get(id).filter(|sent| !sent.is_loose);
        let Some(Sent { to: Some(to), deed, cseq: Some(cseq), .. }) = sent else { return false };
        match deed {
            Some(Deed::Edit(of)) => self.is_recalled(*to, *of),
            _ => self.is_recalled(*to, *cseq),
        }
    }

    fn is_recalled(&self, conversation: Conversation, cseq: u64) -> bool {
        self.recalled.contains(&(conversation, cseq))
    }

    /// Every conversation with its newest number.
    pub fn heads(&self) -> Vec<(Conversation, u64)> {
        let newest = |lines: &BTreeMap<u64, Line>| lines.last_key_value().map_or(0, |(cseq, _)| *cseq);
        let mut heads: Vec<_> = self.lines.iter().map(|(conversation, lines)| (*conversation, newest(lines))).collect();
        heads.sort_unstable();
        heads
    }

    /// The newest message of `from` up to `upto`.
    pub fn newest_from(&self, from: User, conversation: Conversation, upto: u64) -> u64 {
        let mine = |sent: &&Sent| sent.from == from && sent.to == Some(conversation) && sent.deed.is_none();
        self.sent.iter().filter(mine).filter_map(|sent| sent.cseq).filter(|cseq| *cseq <= upto).max().unwrap_or(0)
    }

    /// How far `user` has marked a conversation as read, as it was answered.
    pub fn marked(&self, user: User, conversation: Conversation) -> u64 {
        self.marked.get(&(user, conversation)).map_or(0, |marked| marked.1)
    }

    /// What everybody must see of each message in the end. Nobody can say it of those whose device, or whose editor's
    /// device, has lost its state; they are missing.
    pub fn last_sights(&self, conversation: Conversation) -> FxHashMap<u64, Sight> {
        let content_at = |cseq: u64| self.answers.get(&(conversation, cseq)).copied();
        let mut last = FxHashMap::default();
        for (cseq, line) in self.lines.get(&conversation).into_iter().flatten() {
            if let Some(content) = content_at(*cseq) {
                last.insert(*cseq, Sight::Message { content, edited: 0 });
            }
            let Some(Deed::Edit(of) | Deed::Recall(of)) = line.deed else { continue };
            let Some(sight @ Sight::Message { .. }) = last.get_mut(&of) else { continue };
            match (line.deed.as_ref(), content_at(*cseq)) {
                (Some(Deed::Recall(_)), _) => *sight = Sight::Empty { is_recalled: true },
                (_, Some(content)) => *sight = Sight::Message { content, edited: *cseq },
                (_, None) => drop(last.remove(&of)),
            }
        }
        last
    }

    pub fn members(&self, group: u64) -> Members {
        let acts = self.lines.get(&Conversation::Group(group)).into_iter().flatten();
        Members::of(acts.filter_map(|(cseq, line)| Some((*cseq, line.from, line.deed.clone()?))))
    }
}

/// Whether somebody may do this: in these groups there are only an owner and members.
fn is_allowed(lines: &BTreeMap<u64, Line>, line: &Line) -> bool {
    let author_of = |cseq: &u64| lines.get(cseq).filter(|line| line.deed.is_none()).map(|line| line.from);
    let owner = lines.get(&1).filter(|first| matches!(first.deed, Some(Deed::Create(_)))).map(|first| first.from);
    let is_owner = |user: User| owner == Some(user);
    match &line.deed {
        Some(Deed::Edit(of)) => author_of(of) == Some(line.from),
        Some(Deed::Recall(of)) => author_of(of).is_some_and(|author| author == line.from || is_owner(line.from)),
        Some(Deed::Invite(_) | Deed::Remove(_)) => is_owner(line.from),
        Some(Deed::Create(_)) => is_owner(line.from),
        _ => true,
    }
}
