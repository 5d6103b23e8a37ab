//! A conversation of the reference: its lines, and what each user sees of it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use hongyan_proto::wire::{self, Role, act::What};

use super::reference::{Nack, THRESHOLD};

#[derive(Clone, Default)]
pub struct Line {
    pub author: usize,
    /// None: a message.
    pub act: Option<What>,
    pub content: Bytes,
    pub forwarded_from: String,
    pub recalled: u64,
    pub time_ms: u64,
    /// When the body goes; 0: it stays.
    pub expires_ms: u64,
    pub expired: bool,
    pub reactions: BTreeMap<String, String>,
}

#[derive(Clone, Default)]
pub struct View {
    pub first: u64,
    pub last: u64,
    pub joined: u64,
    pub read: u64,
    /// What the other of two was told of it.
    pub told_read: u64,
    pub pinned: bool,
    pub archived: bool,
    /// When this user was in, and whether older things could be seen.
    pub stays: Vec<(u64, u64)>,
    pub saw_history: bool,
}

#[derive(Clone, Default)]
pub struct Group {
    pub settings: wire::GroupSettings,
    pub owner: Option<usize>,
    pub admins: BTreeSet<usize>,
    pub members: BTreeSet<usize>,
    pub pending: BTreeSet<usize>,
    /// When its link was made.
    pub link: Option<u64>,
    pub banned: BTreeSet<usize>,
    pub large: bool,
    pub dissolved: bool,
}

#[derive(Clone, Default)]
pub struct Conversation {
    pub two: Option<(usize, usize)>,
    pub group: Option<Group>,
    pub lines: Vec<Line>,
    pub pins: Vec<u64>,
    pub disappear: u32,
    pub views: BTreeMap<usize, View>,
}

impl Group {
    pub fn role(&self, user: usize) -> Role {
        match user {
            user if self.owner == Some(user) => Role::Owner,
            user if self.admins.contains(&user) => Role::Admin,
            user if self.members.contains(&user) => Role::Member,
            user if self.pending.contains(&user) => Role::Pending,
            user if self.banned.contains(&user) => Role::Banned,
            _ => Role::None,
        }
    }
}

impl Conversation {
    pub fn head(&self) -> u64 {
        self.lines.len() as u64
    }

    pub fn end(&self, user: usize) -> u64 {
        match self.views[&user].last {
            0 => self.head(),
            last => last,
        }
    }

    pub fn peer(&self, user: usize) -> Option<usize> {
        self.two.map(|(a, b)| if a == user { b } else { a })
    }

    pub fn line(&mut self, cseq: u64) -> &mut Line {
        &mut self.lines[cseq as usize - 1]
    }

    pub fn announce(&mut self, author: usize, act: What) -> u64 {
        self.lines.push(Line { author, act: Some(act), ..Line::default() });
        self.head()
    }

    pub fn in_group(&mut self) -> Result<&mut Group, Nack> {
        self.group.as_mut().ok_or(Nack::NackInvalid)
    }

    pub fn add(&mut self, added: &[usize]) {
        let head = self.head();
        for user in added {
            let group = self.group.as_mut().unwrap();
            group.members.insert(*user);
            group.pending.remove(user);
            let open = group.settings.history_for_new;
            let view = self.views.entry(*user).or_default();
            let first = if open { 0 } else { head + 1 };
            view.saw_history |= open;
            (view.first, view.last, view.joined, view.read) = (first, 0, head + 1, head);
            view.stays.push((head + 1, u64::MAX));
        }
    }

    pub fn grow(&mut self, by: usize) {
        let group = self.group.as_mut().unwrap();
        if !group.large && group.members.len() > THRESHOLD {
            group.large = true;
            self.announce(by, What::GroupGrown(wire::GroupGrown {}));
        }
    }

    pub fn take_out(&mut self, user: usize) {
        let head = self.head();
        let group = self.group.as_mut().unwrap();
        group.members.remove(&user);
        group.admins.remove(&user);
        group.owner = group.owner.filter(|owner| *owner != user);
        group.dissolved |= group.members.is_empty();
        let view = self.views.get_mut(&user).unwrap();
        view.last = head;
        view.stays.last_mut().unwrap().1 = head;
    }
}
