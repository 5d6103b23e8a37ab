//! Devices and a committer over a store that fails now and then, beside the reference.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hongyan_proto::wire::{self, act::What};

use super::{
    agreement::{Agrees, agree},
    device::Device,
    reference::{Asked, Outcome, RECEIPTS_UP_TO, Reference, THRESHOLD, WITHIN_MS, uid},
};
use crate::{
    base::{environment::Now, number::ConversationNo},
    committer::{
        Committer, CommitterSettings,
        tests::{EPOCH, Rig, acked, credential, front::Front, settings},
    },
    log::Log,
    ops::{
        id::SendNumber,
        op::{Addressed, Asked as Op2, Credential, Op, Submit, Who},
    },
    store::StoreError,
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

    pub async fn cut(&mut self, index: usize) {
        if let Some(channel) = self.devices[index].channel.take() {
            self.rig.process(vec![Op::Left(channel.id)]).await;
        }
    }

    /// The server ends without a word and starts again.
    pub async fn restart(&mut self) {
        self.devices.iter_mut().for_each(|device| device.channel = None);
        self.rig.front = Front::new();
        let (log, outlet) = (Log::new(self.rig.engine.clone()), self.rig.front.outlet());
        self.rig.committer = Committer::open(log, Arc::default(), model_settings(), outlet).await.unwrap();
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
                    from: channel.id,
                    op: None,
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
        Some((index, acked(&channel, device.cursor)))
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
}
