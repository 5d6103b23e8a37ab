//! What the committer keeps in memory of the users it works for: their numbers, their devices, their open run.

use std::{collections::VecDeque, time::Instant};

use hongyan_proto::{Uid, canary, wire};
use smallvec::SmallVec;

use super::op::SendNumber;
use crate::{
    auth::resume::Slots,
    base::{
        number::{DeviceNo, UserNo},
        rate::Bucket,
    },
    live::channel::Channel,
    log::{AccountRecord, Answer, Bounds, DeviceRecord, EntryRef, Log},
    store::StoreError,
};

/// One user, loaded from the log and kept while there is something to do.
pub struct User {
    pub no: UserNo,
    pub uid: Uid,
    pub account: AccountRecord,
    pub bounds: Bounds,
    /// Mostly one.
    pub devices: SmallVec<[Device; 1]>,
    /// References that the commit under way adds, the newest of them at `bounds.head`.
    pub run: Vec<EntryRef>,
    pub account_change: Change,
    /// Stands among those who are written when changes that may wait are due.
    pub touched_lazily: bool,
    pub sends: Bucket,
    /// Delivered receipts wait to be written.
    pub receipts_wait: bool,
    pub last_used: Instant,
}

/// One device of a user.
pub struct Device {
    pub no: DeviceNo,
    pub record: DeviceRecord,
    pub answers: VecDeque<Answer>,
    pub slots: Slots,
    /// When its newest connection was accepted, if its login is in the commit under way.
    pub accepted_at: Option<Instant>,
    pub change: Change,
}

/// What the log does not have yet of a row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    None,
    /// It may wait a little: after a crash nobody misses it.
    Lazy,
    /// It goes with the batch.
    Urgent,
}

impl Change {
    pub fn raise(&mut self, to: Change) {
        *self = to.max(*self);
    }

    pub fn is_unsaved(self) -> bool {
        self != Change::None
    }
}

/// A device says that it has stored everything up to `useq`.
#[derive(Clone, Copy)]
pub struct Ack {
    pub user: UserNo,
    pub device: DeviceNo,
    pub conn_epoch: u64,
    pub useq: u64,
}

/// What a send_no is, seen from the numbers a device has used.
pub enum SendNo {
    Next,
    Answered(Answer),
    /// Answered so long ago that the answer is gone.
    Expired,
    Gap {
        expected: u64,
    },
}

impl User {
    pub async fn load(log: &Log, no: UserNo, account: AccountRecord, now: Instant) -> Result<Self, StoreError> {
        let uid = Uid::new(&account.uid).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let bounds = log.bounds(no).await?;
        let devices = log.devices(no).await?.into_iter().map(|(no, record)| Device::new(no, record)).collect();
        Ok(Self {
            no,
            uid,
            account,
            bounds,
            devices,
            run: Vec::new(),
            account_change: Change::None,
            touched_lazily: false,
            sends: Bucket::default(),
            receipts_wait: false,
            last_used: now,
        })
    }

    /// A user who is made by the commit under way.
    pub fn new(no: UserNo, uid: Uid, account: AccountRecord, now: Instant) -> Self {
        Self {
            no,
            uid,
            account,
            bounds: Bounds::default(),
            devices: SmallVec::new(),
            run: Vec::new(),
            account_change: Change::Urgent,
            touched_lazily: false,
            sends: Bucket::default(),
            receipts_wait: false,
            last_used: now,
        }
    }

    /// Adds an entry to the timeline and gives its useq.
    pub fn append(&mut self, reference: EntryRef) -> u64 {
        self.run.push(reference);
        self.bounds.head += 1;
        self.bounds.head
    }

    pub fn device_mut(&mut self, no: DeviceNo) -> Option<&mut Device> {
        self.devices.iter_mut().find(|device| device.no == no)
    }

    /// Something of the user is not in the log yet.
    pub fn is_unsaved(&self) -> bool {
        !self.run.is_empty()
            || self.account_change.is_unsaved()
            || self.devices.iter().any(|device| device.change.is_unsaved())
    }

    /// How far the user has received the log: the cursor of the device that is furthest.
    pub fn delivered(&self) -> u64 {
        if canary::is("receipts-for-unacked") {
            return self.bounds.head;
        }
        self.devices.iter().map(|device| device.record.cursor).max().unwrap_or(0)
    }

    /// Up to here every device has the log.
    pub fn acked_by_all(&self) -> u64 {
        self.devices.iter().map(|device| device.record.cursor).min().unwrap_or(0)
    }
}

impl Device {
    pub fn new(no: DeviceNo, mut record: DeviceRecord) -> Self {
        let answers = record.answers().into();
        record.answer_steps = Vec::new();
        record.odd_answers = Vec::new();
        let slots = Slots::decode(&record.resume_slots).unwrap_or_default();
        Self { no, record, answers, slots, accepted_at: None, change: Change::None }
    }

    pub fn classify(&self, send_no: u64) -> SendNo {
        let last = self.record.last_send_no;
        if send_no == last + 1 {
            return SendNo::Next;
        }
        if send_no > last {
            if canary::is("gap-taken") {
                return SendNo::Next;
            }
            return SendNo::Gap { expected: last + 1 };
        }
        let back = (last - send_no) as usize;
        let answer = self.answers.len().checked_sub(back + 1).and_then(|index| self.answers.get(index));
        answer.map_or(SendNo::Expired, |answer| SendNo::Answered(*answer))
    }

    /// The number that a SEND has, or gets now.
    pub fn number_of(&self, number: SendNumber) -> u64 {
        let next = self.record.last_send_no + 1;
        match number {
            SendNumber::Given(send_no) => send_no,
            SendNumber::Next => next,
            SendNumber::Keyed(key) => {
                let back = self.answers.iter().rev().position(|answer| answer.key == key);
                back.map_or(next, |back| self.record.last_send_no - back as u64)
            }
        }
    }

    /// Uses the next number up.
    pub fn record_answer(&mut self, answer: Answer, window: usize) {
        self.record.last_send_no += 1;
        if !canary::is("answers-not-kept") {
            self.answers.push_back(answer);
        }
        while self.answers.len() > window {
            self.answers.pop_front();
        }
        self.change = Change::Urgent;
    }

    /// The device's client has acted on its newest connection, so it has stored the resume token on offer.
    pub fn confirm_token(&mut self) {
        if self.slots.confirm() {
            self.change.raise(Change::Lazy);
        }
    }

    /// The row to store.
    pub fn to_record(&self) -> DeviceRecord {
        let record = DeviceRecord { resume_slots: self.slots.encode().into(), ..self.record.clone() };
        record.with_answers(self.answers.iter())
    }
}

impl Ack {
    pub fn new(channel: &Channel, useq: u64) -> Self {
        Self { user: channel.user, device: channel.device, conn_epoch: channel.conn_epoch, useq }
    }
}

/// The frame that says again what was answered to `send_no`.
pub fn answer_frame(send_no: u64, answer: &Answer) -> Result<wire::SendAck, wire::SendNack> {
    let Answer { cseq, useq, time_ms, nack, group, key: _ } = *answer;
    match nack {
        0 => Ok(wire::SendAck { send_no, cseq, useq, time_ms, group }),
        code => Err(wire::SendNack { send_no, code: code as i32, ..Default::default() }),
    }
}
