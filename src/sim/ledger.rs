//! What has been promised and what has been seen, by everybody together; and the checks of it (I1-I5).

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use rustc_hash::FxHashMap;

/// Users are numbered here; `u0`, `u1` … are their names.
pub type User = usize;
/// Two users, the lower first: a conversation.
pub type Pair = (User, User);

pub fn pair(a: User, b: User) -> Pair {
    (a.min(b), a.max(b))
}

pub fn uid(user: User) -> String {
    format!("u{user}")
}

pub fn user(uid: &str) -> Option<User> {
    uid.strip_prefix('u')?.parse().ok()
}

/// One entry of a timeline, as far as devices must agree about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    Message(Pair, u64),
    Receipt(User, u64),
}

/// One message that some device was told to send.
struct Sent {
    from: User,
    to: User,
    content: Bytes,
    /// Its device has lost or turned back its state since, so it may never arrive, or under two numbers of the device.
    is_loose: bool,
    is_acked: bool,
    cseq: Option<u64>,
}

/// The book of one run.
#[derive(Default)]
pub struct Ledger {
    violation: Option<String>,
    sent: Vec<Sent>,
    /// What stands at each place of each conversation.
    places: FxHashMap<(Pair, u64), usize>,
    heads: BTreeMap<Pair, u64>,
    timelines: FxHashMap<(User, u64), Item>,
    /// How far any device of a user has stored a conversation.
    stored: FxHashMap<(User, Pair), u64>,
    /// Messages answered, and entries shown.
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

    /// A message that has never been before. Its content says which it is.
    pub fn write(&mut self, from: User, to: User, filler: usize) -> Bytes {
        let mut content = BytesMut::with_capacity(8 + filler);
        content.put_u32(0xFEED_0000 | (from as u32) << 8 | to as u32);
        content.put_u32(self.sent.len() as u32);
        content.put_bytes(b'.', filler);
        let content = content.freeze();
        let kept = content.clone();
        self.sent.push(Sent { from, to, content: kept, is_loose: false, is_acked: false, cseq: None });
        content
    }

    fn id(&self, content: &[u8]) -> Option<usize> {
        let id = u32::from_be_bytes(content.get(4..8)?.try_into().ok()?) as usize;
        self.sent.get(id).filter(|sent| sent.content == content).map(|_| id)
    }

    /// The device that was to send it cannot vouch for it any more.
    pub fn let_loose(&mut self, content: &[u8]) {
        if let Some(id) = self.id(content) {
            self.sent[id].is_loose = true;
        }
    }

    /// Whether the message may come a second time, under another number of its device.
    pub fn is_loose(&self, content: &[u8]) -> bool {
        self.id(content).is_some_and(|id| self.sent[id].is_loose)
    }

    /// A message is seen at a place of a conversation, by whomever (I2, I3, I5).
    pub fn on_place(&mut self, seen_by: User, from: &str, to: &str, cseq: u64, content: &[u8]) -> Option<Pair> {
        let Some(id) = self.id(content) else {
            self.violated(|| format!("I5: u{seen_by} sees a message that nobody sent, from {from} to {to}"));
            return None;
        };
        let (named, sent) = ((user(from), user(to)), &self.sent[id]);
        let (real, is_loose) = ((sent.from, sent.to), sent.is_loose);
        if named != (Some(real.0), Some(real.1)) || (seen_by != real.0 && seen_by != real.1) {
            self.violated(|| format!("I5: message {id} of {real:?} came to u{seen_by} as from {from} to {to}"));
            return None;
        }
        let place = (pair(real.0, real.1), cseq);
        let there = *self.places.entry(place).or_insert(id);
        self.check(there == id, || format!("I3: messages {there} and {id} both have place {place:?}"));
        let known = self.sent[id].cseq.replace(cseq);
        self.check(known.is_none_or(|known| known == cseq || is_loose), || {
            format!("I2: message {id} stands in its conversation twice, at {known:?} and {cseq}")
        });
        let head = self.heads.entry(place.0).or_default();
        *head = cseq.max(*head);
        Some(place.0)
    }

    /// A device was told that its message is durable.
    pub fn on_acked(&mut self, sender: User, content: &[u8], cseq: u64) {
        let Some(id) = self.id(content) else { return };
        let (from, to) = (uid(self.sent[id].from), uid(self.sent[id].to));
        self.on_place(sender, &from, &to, cseq, content);
        self.sent[id].is_acked = true;
        self.answered += 1;
    }

    /// An entry of a user's log, as one of the devices has it (I3).
    pub fn on_entry(&mut self, user: User, useq: u64, item: Item) {
        let known = *self.timelines.entry((user, useq)).or_insert(item);
        self.check(known == item, || {
            format!("I3: entry {useq} of u{user} is {known:?} to one and {item:?} to another")
        });
    }

    /// A device has stored a message.
    pub fn on_stored(&mut self, user: User, pair: Pair, cseq: u64) {
        let stored = self.stored.entry((user, pair)).or_default();
        *stored = cseq.max(*stored);
        self.shown += 1;
    }

    /// `user` learns that `peer` has received everything up to `cseq`.
    pub fn on_receipt(&mut self, user: User, peer: User, cseq: u64) {
        let stored = self.stored.get(&(peer, pair(user, peer))).copied().unwrap_or(0);
        self.check(cseq <= stored, || {
            format!("R1: u{user} is told that u{peer} has received {cseq}, who has stored {stored}")
        });
    }

    /// Every conversation with its newest number.
    pub fn heads(&self) -> Vec<(Pair, u64)> {
        self.heads.iter().map(|(pair, head)| (*pair, *head)).collect()
    }

    /// Once all is quiet: Places without holes (I3), acked messages all there
    /// (I1).
    pub fn conversations(&mut self) {
        for (pair, head) in &self.heads() {
            for cseq in 1..=*head {
                let is_there = self.places.contains_key(&(*pair, cseq));
                self.check(is_there, || {
                    format!("I3: nobody has seen message {cseq} of {pair:?}, which ends at {head}")
                });
            }
        }
        for id in 0..self.sent.len() {
            let Sent { is_acked, is_loose, cseq, from, to, .. } = &self.sent[id];
            let (is_answered, pair) = (*is_acked || *is_loose, pair(*from, *to));
            let seen_by_recipient = cseq.is_none_or(|cseq| self.places.contains_key(&(pair, cseq)));
            self.check(is_answered, || format!("I7: message {id} was never answered"));
            self.check(seen_by_recipient, || format!("I1: message {id} is gone"));
        }
    }

    /// The newest message of `from` to `to`, whose receipt must have come at the end.
    pub fn newest_from(&self, from: User, to: User) -> u64 {
        let newest = self.sent.iter().filter(|sent| sent.from == from && sent.to == to).filter_map(|sent| sent.cseq);
        newest.max().unwrap_or(0)
    }
}
