//! A device as docs/protocol.md asks it to be: what it has been told, folded entry by entry.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use hongyan_client::fold;
use hongyan_proto::{
    ConversationId,
    wire::{self, NackCode, act::What, entry::Item},
};
use prost::Message as _;

use super::reference::{Asked, Outcome};
use crate::{
    live::{channel::Channel, queue::Outbound},
    log::{HistoryRange, Log, MembershipRecord},
};

/// A message or act as the device shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    pub from: String,
    pub act: Option<What>,
    pub content: Bytes,
    pub forwarded_from: String,
    pub gone: bool,
    pub reactions: BTreeMap<String, String>,
}

/// What a reset of its log has taken from a device.
#[derive(Default)]
pub struct Lost {
    pub receipts: bool,
}

#[derive(Default)]
pub struct Device {
    pub user: usize,
    pub uid: String,
    pub name: String,
    pub channel: Option<Arc<Channel>>,
    pub cursor: u64,
    pub last_sent: u64,
    pub outbox: VecDeque<(u64, String, Asked)>,
    /// Its unanswered SENDs must be sent again.
    pub resends: bool,
    pub rows: BTreeMap<String, wire::Conversation>,
    pub shown: BTreeMap<String, BTreeMap<u64, Shown>>,
    /// The newest acts that count in what was read late: (edit, reactions).
    pub as_of: BTreeMap<(String, u64), (u64, u64)>,
    /// Up to where it has everything of each conversation, and from where on.
    pub place: BTreeMap<String, u64>,
    pub begin: BTreeMap<String, u64>,
    /// (group, reader) → read up to.
    pub told: BTreeMap<(String, String), u64>,
    pub contacts: BTreeMap<String, wire::Contact>,
    pub privacy: wire::Privacy,
    pub stale: BTreeSet<String>,
    /// Groups that are known to be numbered by cseq alone.
    pub large: BTreeSet<String>,
    /// Large groups that have grown beyond its place.
    pub behind: BTreeSet<String>,
    pub answers: Vec<(u64, Outcome)>,
    /// Messages whose text was in an edit.
    pub read_in_edits: BTreeSet<(String, u64)>,
    pub lost: Lost,
}

impl Device {
    /// Takes what waits for it, as its link and its client do.
    pub async fn drain(&mut self, log: &Log) {
        let Some(channel) = self.channel.clone() else { return };
        loop {
            while let Some(outbound) = channel.take(true) {
                self.take(outbound);
            }
            if channel.take_hints_due() {
                let account = log.account(channel.id.user).await.unwrap().unwrap();
                self.behind.extend(account.large_groups.iter().map(|no| format!("#{no}")));
            }
            if channel.catch_up(self.cursor) {
                break;
            }
            for entry in log.entries(channel.id.user, self.cursor, channel.head(), 7, 1 << 20).await.unwrap() {
                assert_eq!(entry.useq, self.cursor + 1, "{} {}: a hole in the log", self.uid, self.name);
                self.take_entry(entry.useq, entry.item);
            }
        }
        for name in std::mem::take(&mut self.behind) {
            self.pull(&name, log).await;
        }
        for name in std::mem::take(&mut self.stale) {
            let view = log.view(channel.id.user, &ConversationId::new(&name).unwrap()).await.unwrap().unwrap();
            let row = log.conversation_as_seen(channel.id.user, view.no).await.unwrap().unwrap();
            let last = log.last_seen(channel.id.user, view.no).await.unwrap();
            self.rows.insert(name, fold::as_kept(wire::Conversation { last, ..row }));
        }
    }

    /// Its place is not in the log: it loads its list, and goes on from there.
    pub async fn reset(&mut self, reset: wire::SyncReset, log: &Log) {
        let user = self.channel.as_ref().unwrap().id.user;
        self.cursor = reset.head;
        (self.rows, self.shown, self.as_of) = Default::default();
        (self.place, self.begin, self.large) = Default::default();
        self.lost.receipts = true;
        for (no, membership) in log.memberships(user, 0, usize::MAX).await.unwrap() {
            let row = log.conversation_as_seen(user, no).await.unwrap().unwrap();
            if row.head_cseq == 0 && membership == MembershipRecord::default() {
                continue;
            }
            let last = log.last_seen(user, no).await.unwrap();
            let row = fold::as_kept(wire::Conversation { last, ..row });
            let name = row.conversation.clone();
            self.place.insert(name.clone(), row.head_cseq);
            self.begin.insert(name.clone(), row.head_cseq + 1);
            if row.group.as_ref().is_some_and(|group| group.large) {
                self.large.insert(name.clone());
            }
            self.rows.insert(name, row);
        }
        self.contacts.clear();
        for (other, record) in log.contacts(user, 0, usize::MAX).await.unwrap() {
            let contact = record.as_seen(log.uid(other).await.unwrap());
            self.contacts.insert(contact.uid.clone(), contact);
        }
    }

    fn take(&mut self, outbound: Outbound) {
        match outbound {
            Outbound::Entry { useq, item, .. } => {
                if useq > self.cursor {
                    assert_eq!(useq, self.cursor + 1, "{} {}: a live entry too early", self.uid, self.name);
                    self.take_entry(useq, item);
                }
            }
            Outbound::Passed { item } => self.take_item(item, false),
            Outbound::Acked(ack) => {
                let Some((to, asked)) = self.answered(ack.send_no, Ok((ack.cseq, ack.group))) else { return };
                if ack.useq == self.cursor + 1 {
                    self.cursor = ack.useq;
                    if let Asked::Message(content) = asked {
                        let (from, cseq) = (self.uid.clone(), ack.cseq);
                        let message = wire::Message { from, to, cseq, content, ..Default::default() };
                        self.on_message(message, true, None);
                    }
                }
            }
            Outbound::Refused(nack) if hongyan_proto::code::is_temporary(nack.code) => self.resends = true,
            Outbound::Refused(nack) => {
                let code = NackCode::try_from(nack.code).unwrap();
                self.answered(nack.send_no, Err(code));
            }
            Outbound::Signal(_) => {}
        }
    }

    fn answered(&mut self, send_no: u64, outcome: Outcome) -> Option<(String, Asked)> {
        self.answers.push((send_no, outcome));
        let index = self.outbox.iter().position(|(queued, ..)| *queued == send_no)?;
        self.outbox.remove(index).map(|(_, to, asked)| (to, asked))
    }

    fn take_entry(&mut self, useq: u64, item: Bytes) {
        self.cursor = useq;
        self.take_item(item, true);
    }

    fn take_item(&mut self, item: Bytes, numbered: bool) {
        match wire::Entry::decode(item).unwrap().item.unwrap() {
            Item::Message(message) => self.on_message(message, numbered, None),
            Item::Receipt(receipt) if receipt.uid.is_empty() => {
                if let Some(row) = self.rows.get_mut(&receipt.conversation) {
                    fold::on_receipt(row, &receipt);
                }
            }
            Item::Receipt(receipt) => {
                let read = self.told.entry((receipt.conversation, receipt.uid)).or_default();
                *read = receipt.read_cseq.max(*read);
            }
            Item::Conversation(row) => self.on_row(*row),
            Item::Contact(contact) => drop(self.contacts.insert(contact.uid.clone(), contact)),
            Item::Privacy(privacy) => self.privacy = privacy,
            Item::Hint(_) | Item::JoinRequest(_) => {}
        }
    }

    fn on_row(&mut self, row: wire::Conversation) {
        let name = row.conversation.clone();
        let row = fold::as_kept(row);
        let is_large = row.group.as_ref().is_some_and(|group| group.large);
        let before = self.rows.get(&name);
        if is_large && before.is_none_or(|before| before.former) {
            let place = self.place.entry(name.clone()).or_default();
            *place = (*place).max(row.read_cseq).max(row.first_cseq.saturating_sub(1));
            self.begin.insert(name.clone(), *place + 1);
        }
        if is_large {
            self.large.insert(name.clone());
        }
        if self.large.contains(&name) {
            self.behind.insert(name.clone());
        } else if row.former && !self.shown.contains_key(&name) {
            // What was written while no device was there is left to the history, unless the log still brings it.
            self.begin.insert(name.clone(), u64::MAX);
        }
        let last = row.last.clone().or(before.and_then(|before| before.last.clone()));
        self.rows.insert(name, wire::Conversation { last, ..row });
    }

    fn on_message(
        &mut self,
        message: wire::Message,
        numbered: bool,
        reactions: Option<(u64, BTreeMap<String, String>)>,
    ) {
        let name = match message.to.starts_with('#') || message.from == self.uid {
            true => message.to.clone(),
            false => message.from.clone(),
        };
        let cseq = message.cseq;
        let is_large = self.large.contains(&name);
        if numbered && !is_large && self.begin.get(&name) == Some(&u64::MAX) {
            self.begin.insert(name.clone(), cseq);
        }
        let place = self.place.entry(name.clone()).or_default();
        if (!numbered || is_large) && cseq <= *place {
            return;
        }
        if (!numbered || is_large) && cseq != *place + 1 {
            self.behind.insert(name);
            return;
        }
        *place = cseq.max(*place);
        if !self.rows.contains_key(&name) {
            let row = wire::Conversation { conversation: name.clone(), ..Default::default() };
            self.rows.insert(name.clone(), row);
            self.stale.insert(name.clone());
        }
        if fold::on_message(self.rows.get_mut(&name).unwrap(), &self.uid, &message) {
            self.stale.insert(name.clone());
        }
        self.show(name, message, reactions);
    }

    fn show(&mut self, name: String, message: wire::Message, reactions: Option<(u64, BTreeMap<String, String>)>) {
        let wire::Message { from, cseq, content, extras, act, .. } = message;
        let shown = self.shown.entry(name.clone()).or_default();
        let mut what = act.and_then(|act| act.what);
        match &mut what {
            Some(What::Edit(edit)) => {
                if !edit.content.is_empty() {
                    self.read_in_edits.insert((name.clone(), edit.cseq));
                }
                let (edited, _) = self.as_of.entry((name.clone(), edit.cseq)).or_default();
                if let Some(target) = shown.get_mut(&edit.cseq).filter(|target| !target.gone && cseq > *edited) {
                    target.content = std::mem::take(&mut edit.content);
                    *edited = cseq;
                }
                *edit = wire::Edit { cseq: edit.cseq, ..Default::default() };
            }
            Some(What::Recall(recall)) => {
                if let Some(target) = shown.get_mut(&recall.cseq) {
                    target.gone = true;
                    target.content.clear();
                    target.reactions.clear();
                }
            }
            Some(What::React(react)) => {
                let (_, counted) = self.as_of.entry((name.clone(), react.cseq)).or_default();
                if let Some(target) = shown.get_mut(&react.cseq).filter(|target| !target.gone && cseq > *counted) {
                    match react.reaction.is_empty() {
                        true => target.reactions.remove(&from),
                        false => target.reactions.insert(from.clone(), react.reaction.clone()),
                    };
                }
            }
            Some(What::GroupGrown(_)) => drop(self.large.insert(name.clone())),
            _ => {}
        }
        let extras = extras.unwrap_or_default();
        let (counted, reactions) = reactions.unwrap_or_default();
        self.as_of.insert((name, cseq), (extras.edited_cseq, counted));
        let (gone, forwarded_from) = (extras.gone != 0, extras.forwarded_from);
        let line = Shown { from, act: what, content, forwarded_from, gone, reactions };
        assert!(shown.insert(cseq, line).is_none(), "{} {}: cseq {cseq} came twice", self.uid, self.name);
    }

    /// Fetches what it has missed of a large group.
    async fn pull(&mut self, name: &str, log: &Log) {
        let user = self.channel.as_ref().unwrap().id.user;
        let view = log.view(user, &ConversationId::new(name).unwrap()).await.unwrap().unwrap();
        loop {
            let after = self.place.get(name).copied().unwrap_or_default();
            let range = HistoryRange { after, before: 0, limit: 3, forward: true };
            let (page, _) = log.seen_history(&view, range, usize::MAX).await.unwrap();
            if page.is_empty() {
                return;
            }
            for message in page {
                let found = log.reactions(view.no, message.cseq).await.unwrap();
                let mut reactions = (0, BTreeMap::new());
                if let Some(record) = found {
                    reactions.0 = record.as_of_cseq;
                    for one in record.reactions {
                        let uid = log.uid(crate::base::number::UserNo(one.user)).await.unwrap();
                        let again = reactions.1.insert(uid, one.reaction);
                        assert!(again.is_none(), "somebody counts twice among the reactions");
                    }
                }
                // What cannot be seen leaves holes.
                self.place.insert(name.into(), message.cseq - 1);
                self.on_message(message, false, Some(reactions));
            }
        }
    }
}
