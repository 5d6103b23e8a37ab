//! What the messenger should do, said as simply as it can be: everything in memory, one act after the other.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use hongyan_proto::wire::{self, Audience, JoinPolicy, NackCode, Role, act::What};

use super::conversation::{Conversation, Group, Line, View};

pub type Nack = NackCode;
/// (cseq, group)
pub type Outcome = Result<(u64, u64), Nack>;

/// As in the settings of the run.
pub const WITHIN_MS: u64 = 3_600_000;
pub const THRESHOLD: usize = 3;
pub const RECEIPTS_UP_TO: usize = 3;

#[derive(Clone, Default)]
pub struct Person {
    pub write: i32,
    pub add: i32,
    pub silent: bool,
    pub was_silent: bool,
    pub contacts: BTreeMap<usize, wire::Contact>,
}

#[derive(Clone, Debug)]
pub enum Asked {
    Message(Bytes),
    Act(What),
}

#[derive(Clone, Default)]
pub struct Reference {
    pub now_ms: u64,
    pub people: Vec<Person>,
    pub conversations: BTreeMap<u64, Conversation>,
    /// What authors in groups were told: (author, group, reader) → up to where it was read.
    pub told: BTreeMap<(usize, u64, usize), u64>,
}

enum Destination {
    There(u64),
    New(usize),
}

pub fn uid(person: usize) -> String {
    format!("u{person}")
}

pub fn ensure(holds: bool, nack: Nack) -> Result<(), Nack> {
    if holds { Ok(()) } else { Err(nack) }
}

impl Reference {
    pub fn new(people: usize) -> Self {
        Self { people: vec![Person::default(); people], ..Self::default() }
    }

    fn admits(&self, owner: usize, other: usize, audience: i32) -> bool {
        let contact = self.people[owner].contacts.get(&other).cloned().unwrap_or_default();
        let is_in = match Audience::try_from(audience).unwrap() {
            Audience::Contacts => contact.mutual,
            Audience::Nobody => false,
            _ => true,
        };
        is_in && !contact.blocked
    }

    pub fn person(&self, name: &str) -> Option<usize> {
        let number: usize = name.strip_prefix('u')?.parse().ok()?;
        (number < self.people.len()).then_some(number)
    }

    pub fn known(&self, user: usize, to: &str) -> Option<u64> {
        let no = match to.strip_prefix('#') {
            Some(number) => number.parse().ok()?,
            None => self.pair(user, self.person(to)?)?,
        };
        self.conversations.get(&no).is_some_and(|found| found.views.contains_key(&user)).then_some(no)
    }

    fn pair(&self, a: usize, b: usize) -> Option<u64> {
        let pair = Some((a.min(b), a.max(b)));
        self.conversations.iter().find(|(_, found)| found.two == pair).map(|(no, _)| *no)
    }

    /// Where something goes; a conversation with another user that is not there yet is made by `arrive`.
    fn destination(&self, user: usize, to: &str) -> Result<Destination, Nack> {
        if let Some(number) = to.strip_prefix('#') {
            let no = number.parse().unwrap();
            let group = self.conversations.get(&no).filter(|found| found.group.is_some()).ok_or(Nack::NackNotFound)?;
            return match group.group.as_ref().unwrap().members.contains(&user) {
                true => Ok(Destination::There(no)),
                false if group.views.contains_key(&user) => Err(Nack::NackForbidden),
                false => Err(Nack::NackNotFound),
            };
        }
        let peer = self.person(to).ok_or(Nack::NackNotFound)?;
        Ok(self.pair(user, peer).map_or(Destination::New(peer), Destination::There))
    }

    fn arrive(&mut self, user: usize, destination: Destination) -> u64 {
        let peer = match destination {
            Destination::There(no) => return no,
            Destination::New(peer) => peer,
        };
        let no = self.conversations.len() as u64 + 1;
        let views = BTreeMap::from([(user, View::default()), (peer, View::default())]);
        let two = Some((user.min(peer), user.max(peer)));
        self.conversations.insert(no, Conversation { two, views, ..Conversation::default() });
        no
    }

    fn may_write_at(&self, user: usize, destination: &Destination) -> Result<(), Nack> {
        match *destination {
            Destination::There(no) => self.may_write(user, no),
            Destination::New(peer) => self.may_write_to(user, peer),
        }
    }

    fn may_write_to(&self, user: usize, peer: usize) -> Result<(), Nack> {
        ensure(peer == user || self.admits(peer, user, self.people[peer].write), Nack::NackForbidden)
    }

    pub fn may_write(&self, user: usize, no: u64) -> Result<(), Nack> {
        let conversation = &self.conversations[&no];
        match (&conversation.group, conversation.peer(user)) {
            (Some(group), _) => {
                let allowed = !group.dissolved && group.role(user) as i32 >= group.settings.may_post;
                ensure(allowed, Nack::NackForbidden)
            }
            (None, peer) => self.may_write_to(user, peer.unwrap()),
        }
    }

    pub fn may_change(&self, user: usize, no: u64, least: impl Fn(&Group) -> i32) -> Result<(), Nack> {
        match &self.conversations[&no].group {
            Some(group) => ensure(!group.dissolved && group.role(user) as i32 >= least(group), Nack::NackForbidden),
            None => self.may_write(user, no),
        }
    }

    pub fn seen(&self, user: usize, no: u64, cseq: u64) -> Result<&Line, Nack> {
        let conversation = &self.conversations[&no];
        let (first, last) = (conversation.views[&user].first.max(1), conversation.end(user));
        ensure((first..=last).contains(&cseq), Nack::NackNotFound)?;
        let line = &conversation.lines[cseq as usize - 1];
        ensure(line.act.is_none() && line.recalled == 0 && !line.expired, Nack::NackNotFound)?;
        Ok(line)
    }

    fn post(&mut self, user: usize, no: u64, content: Bytes, forwarded_from: String) -> Outcome {
        let conversation = self.conversations.get_mut(&no).unwrap();
        let (time_ms, stay) = (self.now_ms, u64::from(conversation.disappear) * 1000);
        let expires_ms = if stay == 0 { 0 } else { time_ms + stay };
        conversation.lines.push(Line { author: user, content, forwarded_from, time_ms, expires_ms, ..Line::default() });
        Ok((conversation.head(), 0))
    }

    /// It is later now: what has fallen due is gone.
    pub fn on_time(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        for line in self.conversations.values_mut().flat_map(|conversation| &mut conversation.lines) {
            if line.expires_ms > 0 && line.expires_ms <= now_ms && line.recalled == 0 {
                line.expired = true;
                line.content.clear();
                line.reactions.clear();
            }
        }
    }

    /// One SEND that is new.
    pub fn apply(&mut self, user: usize, to: &str, asked: &Asked) -> Outcome {
        match asked {
            Asked::Message(content) => {
                let destination = self.destination(user, to)?;
                self.may_write_at(user, &destination)?;
                let no = self.arrive(user, destination);
                self.post(user, no, content.clone(), String::new())
            }
            Asked::Act(What::Forward(forward)) => {
                let destination = self.destination(user, to)?;
                self.may_write_at(user, &destination)?;
                let source = self.known(user, &forward.conversation).ok_or(Nack::NackNotFound)?;
                let line = self.seen(user, source, forward.cseq)?;
                let (content, from) = (line.content.clone(), line.forwarded_from.clone());
                let from = if from.is_empty() { uid(line.author) } else { from };
                let no = self.arrive(user, destination);
                self.post(user, no, content, from)
            }
            Asked::Act(What::GroupCreate(create)) => self.create(user, create),
            Asked::Act(What::Privacy(privacy)) => {
                let person = &mut self.people[user];
                person.write = if privacy.write == 0 { person.write } else { privacy.write };
                person.add = if privacy.add_to_groups == 0 { person.add } else { privacy.add_to_groups };
                person.silent = privacy.no_receipts.unwrap_or(person.silent);
                person.was_silent |= person.silent;
                Ok((0, 0))
            }
            Asked::Act(What::Contact(act)) => self.contact(user, to, act.what()),
            Asked::Act(What::GroupJoin(join)) => self.join(user, to, join),
            Asked::Act(what) => self.act(user, to, what),
        }
    }

    fn contact(&mut self, user: usize, to: &str, what: wire::contact_act::What) -> Outcome {
        use wire::contact_act::What as Do;
        let other = self.person(to).ok_or(Nack::NackNotFound)?;
        ensure(other != user, Nack::NackInvalid)?;
        let of = |this: &Self, a: usize, b: usize| this.people[a].contacts.get(&b).cloned().unwrap_or_default();
        let (mut mine, mut theirs) = (of(self, user, other), of(self, other, user));
        match what {
            Do::Ask => {
                mine.asked_by_me = true;
                mine.asked_by_them |= theirs.asked_by_me;
                theirs.asked_by_them |= !theirs.blocked;
            }
            Do::Remove => {
                (mine.asked_by_me, mine.asked_by_them) = (false, false);
                (theirs.asked_by_me, theirs.asked_by_them) = (false, false);
            }
            Do::Block | Do::Unblock => mine.blocked = what == Do::Block,
            Do::Unspecified => return Err(Nack::NackInvalid),
        }
        for (owner, about, mut contact) in [(user, other, mine), (other, user, theirs)] {
            contact.uid = uid(about);
            contact.mutual = contact.asked_by_me && contact.asked_by_them && !contact.blocked;
            self.people[owner].contacts.insert(about, contact);
        }
        Ok((0, 0))
    }

    pub fn addable(&self, by: usize, group: Option<&Group>, uids: &[String]) -> Vec<usize> {
        let mut found = Vec::new();
        for user in uids.iter().filter_map(|name| self.person(name)) {
            let outside = group.is_none_or(|group| matches!(group.role(user), Role::None | Role::Pending));
            if user != by && !found.contains(&user) && outside && self.admits(user, by, self.people[user].add) {
                found.push(user);
            }
        }
        found
    }

    fn create(&mut self, user: usize, create: &wire::GroupCreate) -> Outcome {
        let mut settings = create.settings.clone().unwrap_or_default();
        settings.may_post = settings.may_post.max(Role::Member as i32);
        for role in
            [&mut settings.may_invite, &mut settings.may_pin, &mut settings.may_describe, &mut settings.may_mention_all]
        {
            *role = if *role == 0 { Role::Admin as i32 } else { *role };
        }
        let added = self.addable(user, None, &create.members);
        let members = added.iter().map(|user| uid(*user)).collect();
        let group = Group {
            settings: settings.clone(),
            owner: Some(user),
            members: BTreeSet::from([user]),
            ..Group::default()
        };
        let owner = View { stays: vec![(1, u64::MAX)], ..View::default() };
        let views = BTreeMap::from([(user, owner)]);
        let mut conversation = Conversation { group: Some(group), views, ..Conversation::default() };
        conversation.add(&added);
        let cseq =
            conversation.announce(user, What::GroupCreate(wire::GroupCreate { settings: Some(settings), members }));
        conversation.grow(user);
        let no = self.conversations.len() as u64 + 1;
        self.conversations.insert(no, conversation);
        Ok((cseq, no))
    }

    /// In the reference a link is the time when it was made.
    fn join(&mut self, user: usize, to: &str, join: &wire::GroupJoin) -> Outcome {
        let number = to.strip_prefix('#').ok_or(Nack::NackInvalid)?;
        let no = number.parse().unwrap();
        let found = self.conversations.get_mut(&no).ok_or(Nack::NackNotFound)?;
        let group = found.group.as_ref().ok_or(Nack::NackNotFound)?;
        let role = group.role(user);
        if group.members.contains(&user) {
            return Ok((0, 0));
        }
        let policy = group.settings.join();
        let knows_link = group.link.is_some_and(|made| join.link == made.to_string());
        let may_come = policy == JoinPolicy::JoinOpen || knows_link && policy != JoinPolicy::JoinClosed;
        ensure(may_come && !group.dissolved && role != Role::Banned, Nack::NackNotFound)?;
        if policy == JoinPolicy::JoinRequest {
            found.group.as_mut().unwrap().pending.insert(user);
            return Ok((0, 0));
        }
        found.add(&[user]);
        let cseq = found.announce(user, What::GroupJoin(wire::GroupJoin::default()));
        found.grow(user);
        Ok((cseq, 0))
    }

    fn act(&mut self, user: usize, to: &str, what: &What) -> Outcome {
        let no = match what {
            What::Arrange(_) if !to.starts_with('#') => {
                let destination = self.destination(user, to)?;
                self.arrive(user, destination)
            }
            What::Read(_) | What::Arrange(_) => self.known(user, to).ok_or(Nack::NackNotFound)?,
            _ if to.starts_with('#') => {
                let destination = self.destination(user, to)?;
                self.arrive(user, destination)
            }
            _ => self.known(user, to).ok_or(Nack::NackNotFound)?,
        };
        super::rules::act(self, user, no, what.clone())
    }
}
