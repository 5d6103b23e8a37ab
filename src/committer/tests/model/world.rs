//! Devices and a committer over a store that fails now and then, beside the reference; and whether they agree.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hongyan_proto::wire::{self, act::What};
use prost::Message as _;

use super::{
    super::{EPOCH, Rig, credential, settings},
    device::{Device, Shown},
    reference::{Asked, Outcome, RECEIPTS_UP_TO, Reference, THRESHOLD, WITHIN_MS, uid},
};
use crate::{
    committer::{
        Committer, CommitterSettings, Now,
        op::{Addressed, Asked as Op2, Credential, Op, SendNumber, Submit, Who},
    },
    log::{ConversationNo, Log},
    metrics::Metrics,
    sessions::Sessions,
    store::{StoreError, Table},
};

pub struct World {
    pub rig: Rig,
    pub reference: Reference,
    pub devices: Vec<Device>,
    expected: BTreeMap<(usize, u64), Outcome>,
    next: Vec<u64>,
}

fn model_settings() -> CommitterSettings {
    CommitterSettings {
        fan_out_threshold: THRESHOLD,
        receipts_up_to: RECEIPTS_UP_TO,
        devices_per_user: 4,
        channels_per_user: 4,
        timeline_entries: 1_000_000,
        ..settings()
    }
}

/// `Err`: what does not agree.
pub type Agrees = Result<(), String>;

fn agree<T: PartialEq + std::fmt::Debug>(what: impl Fn() -> String, found: &T, expected: &T) -> Agrees {
    if found == expected { Ok(()) } else { Err(format!("{}: found {found:?}, expected {expected:?}", what())) }
}

impl World {
    pub async fn new(people: usize, devices: usize) -> Self {
        let rig = Rig::with(model_settings()).await;
        let devices = (0..devices)
            .map(|index| Device {
                user: index % people,
                uid: uid(index % people),
                name: format!("d{}", index / people),
                ..Device::default()
            })
            .collect::<Vec<_>>();
        let next = vec![1; devices.len()];
        let reference = Reference::new(people);
        let mut world = Self { rig, reference, devices, expected: BTreeMap::new(), next };
        for device in 0..people {
            world.log_in(device, true).await;
        }
        world
    }

    /// `knows_log`: it goes on from its place; otherwise its place is one of another log.
    pub async fn log_in(&mut self, index: usize, knows_log: bool) {
        let device = &mut self.devices[index];
        let credential = Credential {
            cursor: Some(device.cursor),
            last_send_no: device.last_sent,
            log_epoch: if knows_log { EPOCH } else { EPOCH + 1 },
            ..credential(&device.uid, &device.name)
        };
        let Ok(bound) = self.rig.log_in_as(Who::Credential(credential)).await else { return };
        let device = &mut self.devices[index];
        device.channel = Some(bound.channel);
        device.resends = true;
        if let Some(reset) = bound.reset {
            device.reset(reset, &Log::new(self.rig.engine.clone())).await;
        }
    }

    /// Time passes, in which messages fall due.
    pub async fn wait(&mut self) {
        self.rig.now.unix_ms += WITHIN_MS;
        self.rig.now.instant += Duration::from_millis(WITHIN_MS);
        self.reference.on_time(self.rig.now.unix_ms);
        self.rig.process(Vec::new()).await;
    }

    pub fn cut(&mut self, index: usize) {
        if let Some(channel) = self.devices[index].channel.take() {
            self.rig.sessions.unbind(&channel);
        }
    }

    /// The server ends without a word and starts again.
    pub async fn restart(&mut self) {
        self.devices.iter_mut().for_each(|device| device.channel = None);
        self.rig.sessions = Arc::new(Sessions::default());
        let log = Log::new(self.rig.engine.clone());
        let (sessions, metrics) = (self.rig.sessions.clone(), Arc::new(Metrics::default()));
        self.rig.committer = Committer::open(log, sessions, metrics, model_settings()).await.unwrap();
    }

    pub fn ask(&mut self, index: usize, to: String, asked: Asked) {
        let device = &mut self.devices[index];
        if device.outbox.len() < 4 {
            device.last_sent += 1;
            device.outbox.push_back((device.last_sent, to, asked));
        }
    }

    /// What the device sends: the new, or everything again.
    pub fn sends(&mut self, index: usize, new: usize) -> Vec<(usize, Op)> {
        let Some(channel) = self.devices[index].channel.clone() else { return Vec::new() };
        let resends = std::mem::take(&mut self.devices[index].resends);
        let outbox = &self.devices[index].outbox;
        let skip = if resends { 0 } else { outbox.len().saturating_sub(new) };
        let queued = outbox.iter().skip(skip);
        let op = |(send_no, to, asked): &(u64, String, Asked)| {
            let asked = match asked.clone() {
                Asked::Message(content) => Op2::Message { content, extras: None },
                Asked::Act(What::GroupJoin(join)) => Op2::Act(Box::new(What::GroupJoin(self.real_link(to, join)))),
                Asked::Act(what) => Op2::Act(Box::new(what)),
            };
            let to = hongyan_proto::ConversationId::new(to).ok();
            (
                index,
                Op::Submit(Submit {
                    channel: channel.clone(),
                    number: SendNumber::Given(*send_no),
                    body: Ok(Addressed { to, asked }),
                }),
            )
        };
        queued.map(op).collect()
    }

    /// A link as the server draws it, for one that the reference knows by the time it was made.
    fn real_link(&self, to: &str, join: wire::GroupJoin) -> wire::GroupJoin {
        let no = to.strip_prefix('#').and_then(|number| number.parse().ok()).map(ConversationNo);
        let link = match (no, join.link.parse()) {
            (Some(no), Ok(unix_ms)) => self.rig.committer.draw_link(no, Now { unix_ms, ..self.rig.now }),
            _ => join.link,
        };
        wire::GroupJoin { link }
    }

    /// One batch, which may fail.
    pub async fn process(&mut self, ops: Vec<(usize, Op)>, fails: bool) {
        self.rig.now.unix_ms += 1;
        self.rig.now.instant += Duration::from_millis(50);
        let before = (self.reference.clone(), self.next.clone());
        self.reference.on_time(self.rig.now.unix_ms);
        let mut outcomes = Vec::new();
        for (index, op) in &ops {
            let Op::Submit(Submit { number: SendNumber::Given(send_no), .. }) = op else { continue };
            if self.next[*index] == *send_no {
                self.next[*index] += 1;
                let queued = self.devices[*index].outbox.iter().find(|(queued, ..)| queued == send_no);
                let (_, to, asked) = queued.unwrap();
                outcomes
                    .push(((*index, *send_no), self.reference.apply(*index % self.reference.people.len(), to, asked)));
            }
        }
        let submits = ops.iter().any(|(_, op)| matches!(op, Op::Submit(_)));
        let fails = fails && submits && !outcomes.is_empty();
        if fails {
            (self.reference, self.next) = before;
            self.rig.engine.fail_next_commit(StoreError::DiskFull { path: "/".into(), free: 0, reserve: 1 });
        } else {
            self.expected.extend(outcomes);
        }
        self.rig.process(ops.into_iter().map(|(_, op)| op).collect()).await;
    }

    pub async fn drain(&mut self, index: usize) -> Agrees {
        let log = Log::new(self.rig.engine.clone());
        let device = &mut self.devices[index];
        device.drain(&log).await;
        for (send_no, outcome) in std::mem::take(&mut device.answers) {
            let what = || format!("the answer to {send_no} of {} {}", uid(index), self.devices[index].name);
            agree(what, &Some(outcome), &self.expected.get(&(index, send_no)).copied())?;
        }
        Ok(())
    }

    pub fn ack(&self, index: usize) -> Option<(usize, Op)> {
        let device = &self.devices[index];
        let channel = device.channel.clone()?;
        Some((index, Op::Acked { channel, useq: device.cursor }))
    }

    /// Everybody comes online, everything is sent, received, acked and told.
    pub async fn come_to_rest(&mut self) -> Agrees {
        for _ in 0..6 {
            for index in 0..self.devices.len() {
                if self.devices[index].channel.is_none() {
                    self.log_in(index, true).await;
                }
                let ops = self.sends(index, 0);
                self.process(ops, false).await;
                self.drain(index).await?;
            }
            for index in 0..self.devices.len() {
                self.drain(index).await?;
                let ack = self.ack(index).into_iter().collect();
                self.process(ack, false).await;
            }
            self.rig.pass(Duration::from_secs(1)).await;
        }
        for index in 0..self.devices.len() {
            self.drain(index).await?;
            agree(|| format!("the outbox of {index}"), &self.devices[index].outbox.len(), &0)?;
        }
        Ok(())
    }

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
                let got = |(_, line): &(usize, &crate::committer::tests::model::reference::Line)| {
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
        let from = crate::log::keys::number(0);
        let scan = crate::store::Scan {
            table: Table::Messages,
            from,
            to: crate::log::keys::END,
            limit: usize::MAX,
            descending: false,
        };
        let rows = crate::store::Engine::scan(&**engine, scan).await.unwrap();
        let mut kept = std::collections::BTreeSet::new();
        for conversation in self.reference.conversations.values() {
            kept.extend(conversation.lines.iter().map(|line| line.content.clone()));
        }
        for (_, row) in rows {
            let message = crate::log::message_of(row).map_err(|error| error.to_string())?;
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
