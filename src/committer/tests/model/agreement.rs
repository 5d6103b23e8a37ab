//! Whether what the devices show and what the store holds is what the reference says.

use std::collections::{BTreeMap, BTreeSet};

use hongyan_proto::wire::{self, act::What};
use prost::Message as _;

use super::{
    conversation::Line,
    device::{Device, Shown},
    reference::uid,
    world::World,
};
use crate::{
    log::{MessageRun, keys, message_of},
    store::{Engine as _, Scan, Table},
};

/// `Err`: what does not agree.
pub type Agrees = Result<(), String>;

pub fn agree<T: PartialEq + std::fmt::Debug>(what: impl Fn() -> String, found: &T, expected: &T) -> Agrees {
    if found == expected { Ok(()) } else { Err(format!("{}: found {found:?}, expected {expected:?}", what())) }
}

impl World {
    /// Every device shows what the reference says, and the store holds no body that was taken back.
    pub async fn compare(&self) -> Agrees {
        for device in &self.devices {
            for (no, conversation) in &self.reference.conversations {
                let Some(view) = conversation.views.get(&device.user) else { continue };
                let name = match conversation.peer(device.user) {
                    Some(peer) => uid(peer),
                    None => format!("#{no}"),
                };
                let touched = conversation.head() > 0 || view.pinned || view.archived;
                if !touched && !device.rows.contains_key(&name) {
                    continue;
                }
                self.compare_row(device, *no, &name)?;
                self.compare_lines(device, *no, &name)?;
            }
            let person = &self.reference.people[device.user];
            for (about, contact) in &person.contacts {
                let found = device.contacts.get(&uid(*about)).cloned().unwrap_or_default();
                let blank = wire::Contact { uid: uid(*about), ..Default::default() };
                if found != wire::Contact::default() || *contact != blank {
                    agree(|| format!("contact {about} of {}", device.uid), &found, contact)?;
                }
            }
            let of = |(_, reader): &(String, String)| reader.clone();
            for ((group, reader), read) in device.told.iter().filter(|(key, read)| **read > 0 && !of(key).is_empty()) {
                let no = group[1..].parse().unwrap();
                let key = (device.user, no, self.reference.person(reader).unwrap());
                let expected = self.reference.told.get(&key).copied().unwrap_or_default();
                if device.lost.receipts && *read < expected {
                    continue;
                }
                agree(|| format!("what {} was told of {reader} in {group}", device.uid), read, &expected)?;
            }
            for ((author, no, reader), read) in &self.reference.told {
                let found = device.told.get(&(format!("#{no}"), uid(*reader))).copied().unwrap_or_default();
                if *author == device.user && !device.lost.receipts {
                    agree(|| format!("what {author} was told of {reader} in #{no}"), &found, read)?;
                }
            }
        }
        self.compare_devices()?;
        self.compare_store().await
    }

    fn compare_row(&self, device: &Device, no: u64, name: &str) -> Agrees {
        let who = || format!("{} {} in {name}", device.uid, device.name);
        let conversation = &self.reference.conversations[&no];
        let Some(mut row) = device.rows.get(name).cloned() else { return Err(format!("{}: no row", who())) };
        let expected = self.row(device.user, no, &row);
        let last = row.last.take();
        agree(who, &row, &expected)?;
        let is_former = conversation.views[&device.user].last > 0;
        let Some(last) = last.filter(|_| !is_former) else { return Ok(()) };
        let line = &conversation.lines[conversation.lines.len() - 1];
        let expected = (conversation.head(), uid(line.author), line.act.clone(), line.content.clone());
        // What has expired may have been read before.
        let content = if line.expired { line.content.clone() } else { last.content };
        let found = (last.cseq, last.from, last.act.and_then(|act| act.what), content);
        agree(|| format!("{}, the last", who()), &found, &expected)
    }

    fn row(&self, user: usize, no: u64, found: &wire::Conversation) -> wire::Conversation {
        let conversation = &self.reference.conversations[&no];
        let view = &conversation.views[&user];
        let (first, end) = (view.first.max(1), conversation.end(user));
        let unread = (view.read.max(first - 1) + 1..=end).filter(|cseq| {
            let line = &conversation.lines[*cseq as usize - 1];
            line.act.is_none() && line.author != user && !(1..=end).contains(&line.recalled)
        });
        let mut row = wire::Conversation {
            conversation: conversation.peer(user).map_or(format!("#{no}"), uid),
            head_cseq: end,
            read_cseq: view.read,
            unread: unread.count() as u32,
            pinned: view.pinned,
            archived: view.archived,
            disappear_after_s: conversation.disappear,
            pins: conversation.pins.iter().copied().filter(|cseq| (first..=end).contains(cseq)).collect(),
            former: view.last > 0,
            first_cseq: view.first,
            ..Default::default()
        };
        if row.former {
            (row.disappear_after_s, row.pins) = (0, Vec::new());
        }
        match (conversation.peer(user), &conversation.group) {
            (Some(peer), _) if peer != user => {
                row.peer_read_cseq = conversation.views[&peer].told_read;
                let got = |(_, line): &(usize, &Line)| {
                    line.author != peer || line.act.is_some() || !line.forwarded_from.is_empty()
                };
                let delivered = conversation.lines.iter().enumerate().rev().find(got).map_or(0, |(index, _)| index + 1);
                row.peer_delivered_cseq = match self.reference.people[peer].was_silent {
                    true => found.peer_delivered_cseq,
                    false => row.peer_read_cseq.max(delivered as u64),
                };
            }
            (None, Some(group)) if !row.former => {
                row.group = Some(wire::Group {
                    group: format!("#{no}"),
                    settings: Some(group.settings.clone()),
                    members: group.members.len() as u32,
                    role: group.role(user).into(),
                    owner: group.owner.map_or(String::new(), uid),
                    large: group.large,
                    dissolved: group.dissolved,
                    link: String::new(),
                });
            }
            _ => {}
        }
        row
    }

    fn compare_lines(&self, device: &Device, no: u64, name: &str) -> Agrees {
        let conversation = &self.reference.conversations[&no];
        let view = &conversation.views[&device.user];
        let empty = BTreeMap::new();
        let shown = device.shown.get(name).unwrap_or(&empty);
        let end = conversation.end(device.user);
        for (_, edited) in device.read_in_edits.iter().filter(|(of, _)| of == name) {
            let was_in = view.stays.iter().any(|(from, to)| (*from..=*to).contains(edited));
            if conversation.group.is_some() && !was_in && !view.saw_history {
                return Err(format!("{} {} was told what an edit made of {edited} of {name}", device.uid, device.name));
            }
        }
        for cseq in shown.keys() {
            let was_in = view.stays.iter().any(|(from, to)| (*from..=*to).contains(cseq));
            if conversation.group.is_some() && !was_in && !view.saw_history {
                return Err(format!("{} {} sees {cseq} of {name}, which is not theirs", device.uid, device.name));
            }
        }
        let begin = device.begin.get(name).copied().unwrap_or(1).max(view.joined).max(1);
        for cseq in begin..=end {
            let what = || format!("{} {} in {name}, {cseq}", device.uid, device.name);
            let line = &conversation.lines[cseq as usize - 1];
            let mut expected = Shown {
                from: uid(line.author),
                act: line.act.clone(),
                content: line.content.clone(),
                forwarded_from: line.forwarded_from.clone(),
                gone: line.recalled > 0 || line.expired,
                reactions: line.reactions.clone(),
            };
            let Some(mut found) = shown.get(&cseq).cloned() else { return Err(format!("{}: missing", what())) };
            if line.expired {
                // It may have been read before; that it is to go stands in it.
                (found.gone, found.content, found.reactions) = (true, Default::default(), BTreeMap::new());
            }
            if view.last > 0 {
                // What has become of it since is not theirs to know, or need not be.
                expected = Shown { from: expected.from, act: expected.act, ..found.clone() };
            }
            if found.gone {
                // Where it came from is gone too where it was read late.
                found.forwarded_from.clone_from(&expected.forwarded_from);
            }
            agree(what, &found, &expected)?;
        }
        Ok(())
    }

    /// All devices of a user have the same list, byte for byte.
    fn compare_devices(&self) -> Agrees {
        for (index, device) in self.devices.iter().enumerate() {
            let first = &self.devices[index % self.reference.people.len()];
            let bytes = |device: &Device, name: &str| {
                let mut row = device.rows.get(name).cloned().unwrap_or_default();
                // The newest thing in it is compared with the reference.
                row.last = None;
                row.encode_to_vec()
            };
            for name in first.rows.keys() {
                agree(
                    || format!("the row {name} of {}'s devices", first.uid),
                    &bytes(device, name),
                    &bytes(first, name),
                )?;
            }
            agree(|| format!("how many rows {} has", first.uid), &device.rows.len(), &first.rows.len())?;
        }
        Ok(())
    }

    async fn compare_store(&self) -> Agrees {
        let engine = &self.rig.engine;
        let from = keys::number(0);
        let scan = Scan { table: Table::Messages, from, to: keys::END, limit: usize::MAX, descending: false };
        let rows = engine.scan(scan).await.unwrap();
        let mut kept = BTreeSet::new();
        for conversation in self.reference.conversations.values() {
            kept.extend(conversation.lines.iter().map(|line| line.content.clone()));
        }
        let runs = rows.iter().map(|(key, row)| MessageRun::parse(key, row).unwrap());
        for item in runs.flat_map(|run| run.items) {
            let message = message_of(item).map_err(|error| error.to_string())?;
            let edit = match message.act.and_then(|act| act.what) {
                Some(What::Edit(edit)) => edit.content,
                _ => Default::default(),
            };
            for body in [message.content, edit] {
                if !body.is_empty() && !kept.contains(&body) {
                    return Err(format!("the store still holds {body:?}, which is nobody's to read any more"));
                }
            }
        }
        Ok(())
    }
}
