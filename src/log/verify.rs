//! Checking a whole store: whether what the rows say agrees. The engine's own checksums are checked by reading at all.

use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
};

use bytes::Bytes;
use hongyan_proto::wire::{Entry, entry::Item};
use prost::Message;

use super::{
    keys,
    messages::MessageRun,
    record::{
        AccountRecord, ContactRecord, ConversationRecord, DeviceRecord, MemberRecord, MembershipRecord,
        ReactionsRecord, RunRecord,
    },
};
use crate::store::{Engine, StoreError, Table};

/// Problems that are described one by one; more are only counted.
const MAX_DESCRIBED: usize = 100;

/// What a check has seen.
#[derive(Debug, Default)]
pub struct Report {
    pub users: u64,
    pub messages: u64,
    pub entries: u64,
    /// How many things are wrong.
    pub found: u64,
    /// The first of them, in words.
    pub problems: Vec<String>,
}

/// Walks over one moment of the store in the order of its tables. Memory: some dozens of bytes for each user and
/// conversation. Blocks the thread.
pub fn verify(engine: &dyn Engine) -> Result<Report, StoreError> {
    let mut checker = Checker::default();
    engine.dump(&mut |table, key, value| {
        if checker.row(table, key, &Bytes::copy_from_slice(value)).is_none() {
            checker.wrong(format!("a row of table {} does not decode, key {key:02x?}", table.name()));
        }
        ControlFlow::Continue(())
    })?;
    checker.finish();
    Ok(checker.report)
}

#[derive(Default)]
struct Checker {
    report: Report,
    last_user: u64,
    last_conversation: u64,
    uids: HashMap<u32, String>,
    names: u64,
    /// The two users of each conversation; nobody where it is a group.
    members: HashMap<u64, (u32, u32)>,
    groups: HashSet<u64>,
    memberships: u64,
    pairs: u64,
    /// The highest cseq that a timeline refers to.
    wanted: HashMap<u64, u64>,
    cursors: Vec<(u32, u64)>,
    /// The timeline under way: user, next useq.
    timeline: Option<(u32, u64)>,
    heads: HashMap<u32, u64>,
    /// The conversation under way: number, next cseq.
    messages: Option<(u64, u64)>,
}

impl Checker {
    fn wrong(&mut self, problem: String) {
        self.report.found += 1;
        if self.report.problems.len() < MAX_DESCRIBED {
            self.report.problems.push(problem);
        }
    }

    /// None: the row does not decode.
    fn row(&mut self, table: Table, key: &[u8], value: &Bytes) -> Option<()> {
        match table {
            Table::Meta => self.meta(key, value),
            Table::Users => self.user(key, value),
            Table::UserNames => self.user_name(key, value),
            Table::Devices => self.device(key, value),
            Table::Conversations => self.conversation(key, value),
            Table::Memberships => self.membership(key, value),
            Table::Pairs => self.pair(key, value),
            Table::Timelines => self.run(key, value),
            Table::Messages => self.messages(key, value),
            Table::Members => self.member(key, value),
            Table::Reactions => self.reactions(key, value),
            Table::Contacts => self.contact(key, value),
            Table::Expiry => keys::parse_expiry(key).map(|_| ()).ok(),
        }
    }

    fn meta(&mut self, key: &[u8], value: &Bytes) -> Option<()> {
        let number = keys::parse_u64(value).ok()?;
        match std::str::from_utf8(key).ok()? {
            keys::meta::LAST_USER => self.last_user = number,
            keys::meta::LAST_CONVERSATION => self.last_conversation = number,
            _ => {}
        }
        Some(())
    }

    fn user(&mut self, key: &[u8], value: &Bytes) -> Option<()> {
        let no = keys::parse_u32(key).ok()?;
        let account = AccountRecord::decode(value.clone()).ok()?;
        self.report.users += 1;
        if u64::from(no) > self.last_user {
            self.wrong(format!("user number {no} is above the newest, {}", self.last_user));
        }
        self.uids.insert(no, account.uid);
        Some(())
    }

    fn user_name(&mut self, key: &[u8], value: &Bytes) -> Option<()> {
        let (uid, no) = (std::str::from_utf8(key).ok()?, keys::parse_u32(value).ok()?);
        self.names += 1;
        if self.uids.get(&no).is_none_or(|found| found != uid) {
            self.wrong(format!("the name {uid} points to user number {no}, who has another or none"));
        }
        Some(())
    }

    fn device(&mut self, key: &[u8], value: &Bytes) -> Option<()> {
        let (user, _) = keys::parse_device(key).ok()?;
        let record = DeviceRecord::decode(value.clone()).ok()?;
        self.cursors.push((user.0, record.cursor));
        Some(())
    }

    fn conversation(&mut self, key: &[u8], value: &Bytes) -> Option<()> {
        let no = keys::parse_u64(key).ok()?;
        let record = ConversationRecord::decode(value.clone()).ok()?;
        let users = match &record.group {
            // Nobody owns a group that the last member has left.
            Some(group) if group.members == 0 => Vec::new(),
            Some(group) => vec![group.owner],
            None => vec![record.first_user, record.second_user],
        };
        if no > self.last_conversation {
            self.wrong(format!("conversation {no} is above the newest, {}", self.last_conversation));
        }
        if let Some(unknown) = users.iter().find(|user| !self.uids.contains_key(user)) {
            self.wrong(format!("conversation {no} is of user number {unknown}, who does not exist"));
        }
        match record.group {
            Some(_) => drop(self.groups.insert(no)),
            None => drop(self.members.insert(no, (record.first_user, record.second_user))),
        }
        Some(())
    }

    fn membership(&mut self, key: &[u8], value: &Bytes) -> Option<()> {
        let user = keys::parse_u32(key.get(..4)?).ok()?;
        let no = keys::parse_second_of_user(key).ok()?;
        MembershipRecord::decode(value.clone()).ok()?;
        if self.groups.contains(&no) {
            return Some(());
        }
        self.memberships += 1;
        if !self.members.get(&no).is_some_and(|(first, second)| *first == user || *second == user) {
            self.wrong(format!("user number {user} is listed in conversation {no}, which they are not in"));
        }
        Some(())
    }

    fn pair(&mut self, key: &[u8], value: &Bytes) -> Option<()> {
        let (first, second) = keys::parse_device(key).ok()?;
        let no = keys::parse_u64(value).ok()?;
        self.pairs += 1;
        if self.members.get(&no) != Some(&(first.0, second.0)) {
            self.wrong(format!("users {} and {} point to conversation {no}, which is not theirs", first.0, second.0));
        }
        Some(())
    }

    fn run(&mut self, key: &[u8], value: &Bytes) -> Option<()> {
        let user = keys::parse_u32(key.get(..4)?).ok()?;
        let first = keys::parse_second_of_user(key).ok()?;
        let run = RunRecord::decode(value.clone()).ok()?;
        match self.timeline {
            Some((same, next)) if same == user && next != first => {
                self.wrong(format!("the timeline of user {user} has entry {first} after {}", next - 1));
            }
            _ => {}
        }
        if run.refs.is_empty() || first == 0 {
            self.wrong(format!("the timeline of user {user} has an empty run at {first}"));
        }
        for reference in &run.refs {
            let no = reference.conversation;
            let is_theirs = match self.members.get(&no) {
                Some((one, other)) => *one == user || *other == user,
                None => no == 0 || self.groups.contains(&no),
            };
            if !is_theirs {
                self.wrong(format!("the timeline of user {user} refers to conversation {}", reference.conversation));
            }
            let wanted = self.wanted.entry(reference.conversation).or_default();
            *wanted = reference.cseq.max(reference.delivered_cseq).max(reference.read_cseq).max(*wanted);
        }
        let next = first + run.refs.len() as u64;
        self.report.entries += run.refs.len() as u64;
        self.timeline = Some((user, next));
        self.heads.insert(user, next - 1);
        Some(())
    }

    fn messages(&mut self, key: &[u8], value: &Bytes) -> Option<()> {
        let no = keys::parse_u64(key.get(..8)?).ok()?;
        let run = MessageRun::parse(key, value).ok()?;
        (run.first..).zip(run.items).try_for_each(|(cseq, item)| self.message(no, cseq, item))
    }

    fn message(&mut self, no: u64, cseq: u64, item: Bytes) -> Option<()> {
        let Some(Item::Message(message)) = Entry::decode(item).ok()?.item else { return None };
        self.report.messages += 1;
        let expected = match self.messages {
            Some((same, next)) if same == no => next,
            _ => 1,
        };
        if cseq != expected || message.cseq != cseq {
            self.wrong(format!("conversation {no} has message {cseq} where {expected} should be"));
        }
        if self.wanted.get(&no).is_some_and(|wanted| *wanted <= cseq) {
            self.wanted.remove(&no);
        }
        self.messages = Some((no, cseq + 1));
        Some(())
    }

    fn member(&mut self, key: &[u8], value: &Bytes) -> Option<()> {
        let no = keys::parse_u64(key.get(..8)?).ok()?;
        let user = keys::parse_member(key).ok()?;
        MemberRecord::decode(value.clone()).ok()?;
        if !self.groups.contains(&no) || !self.uids.contains_key(&user.0) {
            self.wrong(format!("user number {} is a member of {no}, and one of them is not there", user.0));
        }
        Some(())
    }

    fn reactions(&mut self, key: &[u8], value: &Bytes) -> Option<()> {
        let no = keys::parse_u64(key.get(..8)?).ok()?;
        ReactionsRecord::decode(value.clone()).ok()?;
        if !self.members.contains_key(&no) && !self.groups.contains(&no) {
            self.wrong(format!("there are reactions in conversation {no}, which is not there"));
        }
        Some(())
    }

    fn contact(&mut self, key: &[u8], value: &Bytes) -> Option<()> {
        let (user, other) = keys::parse_device(key).ok()?;
        ContactRecord::decode(value.clone()).ok()?;
        if !self.uids.contains_key(&user.0) || !self.uids.contains_key(&other.0) {
            self.wrong(format!("users {} and {} have to do with each other, and one is not there", user.0, other.0));
        }
        Some(())
    }

    fn finish(&mut self) {
        let unfound: Vec<_> = self.wanted.drain().filter(|(_, cseq)| *cseq > 0).collect();
        for (no, cseq) in unfound {
            self.wrong(format!("message {cseq} of conversation {no} is referred to but not there"));
        }
        for (user, cursor) in std::mem::take(&mut self.cursors) {
            let head = self.heads.get(&user).copied().unwrap_or(0);
            if cursor > head {
                self.wrong(format!("a device of user {user} has acked {cursor}, but the log ends at {head}"));
            }
        }
        if self.names != self.report.users {
            self.wrong(format!("{} users have {} names", self.report.users, self.names));
        }
        let expected: u64 = self.members.values().map(|(one, other)| if one == other { 1 } else { 2 }).sum();
        if self.pairs != self.members.len() as u64 || self.memberships != expected {
            self.wrong("the lists of conversations do not match the conversations".into());
        }
    }
}
