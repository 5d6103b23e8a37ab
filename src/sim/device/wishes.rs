//! What the person at a device wants done, as far as it can be done with what the device knows.

use super::state::Device;
use crate::sim::{
    conversation::{Conversation, Deed, User},
    ledger::Sight,
};

#[derive(Clone, Debug)]
pub enum Wish {
    Write(User),
    /// In a group.
    Post,
    /// A group with these others.
    Create(Vec<User>),
    Invite(User),
    Remove(User),
    Join,
    Leave,
    Edit,
    Recall,
    Read,
}

/// Only the newest messages are changed.
const NEWEST: usize = 12;

impl Device {
    /// Asks for it under the next number. `filler` bytes go with what has a content.
    pub fn submit(&mut self, wish: &Wish, filler: usize) {
        if self.is_suspect {
            return;
        }
        let Some((to, deed)) = self.meant(wish) else { return };
        let id = self.world.ledger.borrow_mut().write(self.user, to, deed, filler);
        self.notebook.queue(id);
        let last = self.notebook.last_send_no;
        if let Some(line) = &mut self.line {
            line.connection.queued(last);
        }
        self.wake();
    }

    fn meant(&mut self, wish: &Wish) -> Option<(Option<Conversation>, Option<Deed>)> {
        let in_group = |to: Conversation, deed| Some((Some(to), deed));
        match wish {
            Wish::Write(to) => Some((Some(Conversation::between(self.user, *to)), None)),
            Wish::Create(members) => Some((None, Some(Deed::Create(members.clone())))),
            Wish::Post => in_group(self.a_group()?, None),
            Wish::Invite(user) => in_group(self.a_group()?, Some(Deed::Invite(*user))),
            Wish::Remove(user) if *user != self.user => in_group(self.a_group()?, Some(Deed::Remove(*user))),
            Wish::Remove(_) | Wish::Leave => in_group(self.a_group()?, Some(Deed::Leave)),
            Wish::Join => {
                let groups = self.world.ledger.borrow().groups();
                let group = (!groups.is_empty()).then(|| self.chance.pick(&groups))?;
                in_group(Conversation::Group(group), Some(Deed::Join))
            }
            Wish::Edit => self.a_message().map(|(to, cseq)| (Some(to), Some(Deed::Edit(cseq)))),
            Wish::Recall => self.a_message().map(|(to, cseq)| (Some(to), Some(Deed::Recall(cseq)))),
            Wish::Read => {
                let to = self.a_conversation()?;
                let (newest, _) = self.notebook.shown[&to].last_key_value()?;
                Some((Some(to), Some(Deed::Read(*newest))))
            }
        }
    }

    /// One in which it takes itself for a member.
    fn a_group(&mut self) -> Option<Conversation> {
        let groups = self.notebook.groups.iter().filter(|(_, standing)| standing.is_in);
        let groups: Vec<u64> = groups.map(|(group, _)| *group).collect();
        (!groups.is_empty()).then(|| Conversation::Group(self.chance.pick(&groups)))
    }

    fn a_conversation(&mut self) -> Option<Conversation> {
        let all: Vec<Conversation> = self.notebook.shown.keys().copied().collect();
        (!all.is_empty()).then(|| self.chance.pick(&all))
    }

    /// Mostly one of its own; what is somebody else's is not theirs to change, and must be refused.
    fn a_message(&mut self) -> Option<(Conversation, u64)> {
        let conversation = self.a_conversation()?;
        let meddles = self.chance.one_in(5);
        let ledger = self.world.ledger.borrow();
        let is_meant = |sight: &Sight| match sight {
            Sight::Message { content, .. } => (ledger.author(*content) == self.user) != meddles,
            _ => false,
        };
        let lines = self.notebook.shown[&conversation].iter().rev();
        let meant: Vec<u64> =
            lines.filter(|(_, shown)| is_meant(&shown.sight)).map(|(cseq, _)| *cseq).take(NEWEST).collect();
        drop(ledger);
        (!meant.is_empty()).then(|| (conversation, self.chance.pick(&meant)))
    }
}
