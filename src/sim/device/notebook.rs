//! What a device remembers on its own disk: as little of it as the protocol asks for.

use std::collections::BTreeMap;

use bytes::Bytes;
use hongyan_proto::wire;
use rustc_hash::FxHashMap;

use crate::sim::ledger::{Pair, User};

/// How a message came to be on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Pushed,
    /// Out of the history, after a reset; it may be pushed as well.
    Loaded,
    /// Sent by this device.
    Own,
}

/// One change of the notebook. The changes of a turn are written together.
#[derive(Clone, Debug)]
pub enum Note {
    Shown { pair: Pair, cseq: u64, way: Way },
    Answered { send_no: u64 },
    Receipt { peer: User, cseq: u64 },
    Cursor(u64),
    Token(Bytes),
    Limits(wire::Limits),
    LogEpoch(u64),
    Reset { log_epoch: u64, head: u64 },
    ReloadDone,
    DeviceEpoch(u32),
}

#[derive(Clone, Default)]
pub struct Notebook {
    pub device_epoch: u32,
    pub log_epoch: u64,
    pub cursor: Option<u64>,
    pub resume_token: Bytes,
    pub limits: Option<wire::Limits>,
    pub last_send_no: u64,
    pub outbox: BTreeMap<u64, (User, Bytes)>,
    /// What was missed before a reset is not wholly loaded.
    pub is_reloading: bool,
    /// Receipts among what was missed are not loaded.
    pub was_reset: bool,
    pub shown: FxHashMap<Pair, BTreeMap<u64, Way>>,
    pub receipts: FxHashMap<User, u64>,
}

impl Notebook {
    pub fn new(device_epoch: u32) -> Self {
        Self { device_epoch, ..Self::default() }
    }

    /// Every send_no up to this one has its answer.
    pub fn answered(&self) -> u64 {
        self.outbox.first_key_value().map_or(self.last_send_no, |(first, _)| first - 1)
    }

    /// The application wants something sent.
    pub fn queue(&mut self, to: User, content: Bytes) {
        self.last_send_no += 1;
        self.outbox.insert(self.last_send_no, (to, content));
    }

    /// Err: what the note says cannot be.
    pub fn write(&mut self, note: Note) -> Result<(), String> {
        match note {
            Note::Shown { pair, cseq, way } => {
                let before = self.shown.entry(pair).or_default().insert(cseq, way);
                // The history may bring what was pushed, and the log what was loaded.
                let is_repeated = matches!(before, Some(Way::Pushed | Way::Own)) && way == Way::Pushed;
                if is_repeated {
                    return Err(format!("I2: message {cseq} of {pair:?} was pushed to one device twice"));
                }
            }
            Note::Answered { send_no } => {
                if self.outbox.remove(&send_no).is_none() {
                    return Err(format!("I2: send_no {send_no} was answered twice"));
                }
            }
            Note::Receipt { peer, cseq } => {
                let receipt = self.receipts.entry(peer).or_default();
                *receipt = cseq.max(*receipt);
            }
            Note::Cursor(useq) => self.cursor = Some(useq),
            Note::Token(token) => self.resume_token = token,
            Note::Limits(limits) => self.limits = Some(limits),
            Note::LogEpoch(log_epoch) => self.log_epoch = log_epoch,
            Note::Reset { log_epoch, head } => {
                self.log_epoch = log_epoch;
                self.cursor = Some(head);
                self.is_reloading = true;
                self.was_reset = true;
            }
            Note::ReloadDone => self.is_reloading = false,
            Note::DeviceEpoch(device_epoch) => {
                self.device_epoch = device_epoch;
                self.resume_token = Bytes::new();
                // What it sent under its older epoch comes to it as that of another device.
                let own = self.shown.values_mut().flat_map(BTreeMap::values_mut).filter(|way| **way == Way::Own);
                own.for_each(|way| *way = Way::Loaded);
            }
        }
        Ok(())
    }
}
