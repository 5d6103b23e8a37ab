//! What a device remembers on its own disk: as little of it as the protocol asks for.

use std::collections::BTreeMap;

use bytes::Bytes;
use hongyan_proto::wire;

use crate::sim::{
    conversation::{Conversation, User},
    ledger::Sight,
};

/// How something came to be on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Pushed,
    /// Out of the history, or beside the log; it may be pushed as well.
    Loaded,
    /// Sent by this device.
    Own,
}

/// Something in a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    pub way: Way,
    pub sight: Sight,
}

/// A group, as this device knows it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    pub is_in: bool,
    /// Of a large one: everything up to here is there.
    pub place: u64,
    /// Of a large one: how far it has come, as this device has heard.
    pub head: u64,
}

/// One change of the notebook. The changes of a turn are written together.
#[derive(Clone, Debug)]
pub enum Note {
    Shown {
        conversation: Conversation,
        cseq: u64,
        shown: Shown,
    },
    /// How something that is shown is seen by now.
    Seen {
        conversation: Conversation,
        cseq: u64,
        sight: Sight,
    },
    Answered {
        send_no: u64,
    },
    Receipt {
        conversation: Conversation,
        by: User,
        delivered: u64,
        read: u64,
    },
    Group {
        group: u64,
        is_in: bool,
    },
    Head {
        group: u64,
        head: u64,
    },
    Place {
        group: u64,
        cseq: u64,
    },
    Cursor(u64),
    Token(Bytes),
    Limits(wire::Limits),
    LogEpoch(u64),
    Reset {
        log_epoch: u64,
        head: u64,
    },
    ReloadDone,
    DeviceEpoch(u32),
    /// The server has let it in, and takes it for this one of its selves.
    Taken {
        as_self: u32,
    },
}

#[derive(Clone, Default)]
pub struct Notebook {
    pub device_epoch: u32,
    /// Which of the devices that the server has taken it for has sent what is its own.
    as_self: u32,
    pub log_epoch: u64,
    pub cursor: Option<u64>,
    pub resume_token: Bytes,
    pub limits: Option<wire::Limits>,
    pub last_send_no: u64,
    /// By their send_no, what the ledger knows by these numbers.
    pub outbox: BTreeMap<u64, usize>,
    /// What was missed before a reset is not wholly loaded.
    pub is_reloading: bool,
    /// Receipts among what was missed are not loaded.
    pub was_reset: bool,
    pub shown: BTreeMap<Conversation, BTreeMap<u64, Shown>>,
    pub receipts: BTreeMap<(Conversation, User), (u64, u64)>,
    pub groups: BTreeMap<u64, Standing>,
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
    pub fn queue(&mut self, id: usize) {
        self.last_send_no += 1;
        self.outbox.insert(self.last_send_no, id);
    }

    pub fn has(&self, conversation: Conversation, cseq: u64) -> bool {
        self.shown.get(&conversation).is_some_and(|shown| shown.contains_key(&cseq))
    }

    /// A large group that has come further than this device, and where the device is.
    pub fn behind(&self) -> Option<(u64, u64)> {
        let mut groups = self.groups.iter();
        groups.find(|(_, standing)| standing.place < standing.head).map(|(group, standing)| (*group, standing.place))
    }

    /// Err: what the note says cannot be.
    pub fn write(&mut self, note: Note) -> Result<(), String> {
        match note {
            Note::Shown { conversation, cseq, shown } => return self.show(conversation, cseq, shown),
            Note::Seen { conversation, cseq, sight } => {
                change(self.shown.entry(conversation).or_default(), cseq, sight);
            }
            Note::Answered { send_no } => {
                if self.outbox.remove(&send_no).is_none() {
                    return Err(format!("I2: send_no {send_no} was answered twice"));
                }
            }
            Note::Receipt { conversation, by, delivered, read } => {
                let receipt = self.receipts.entry((conversation, by)).or_default();
                *receipt = (receipt.0.max(delivered), receipt.1.max(read));
            }
            Note::Group { group, is_in } => self.groups.entry(group).or_default().is_in = is_in,
            Note::Head { group, head } => {
                let known = &mut self.groups.entry(group).or_default().head;
                *known = head.max(*known);
            }
            Note::Place { group, cseq } => {
                let place = &mut self.groups.entry(group).or_default().place;
                *place = cseq.max(*place);
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
            }
            Note::Taken { as_self } => {
                if std::mem::replace(&mut self.as_self, as_self) != as_self {
                    // What it sent before comes to it as that of another device.
                    let own = self.shown.values_mut().flat_map(BTreeMap::values_mut);
                    own.filter(|shown| shown.way == Way::Own).for_each(|shown| shown.way = Way::Loaded);
                }
            }
        }
        Ok(())
    }

    fn show(&mut self, conversation: Conversation, cseq: u64, shown: Shown) -> Result<(), String> {
        let lines = self.shown.entry(conversation).or_default();
        match shown.sight {
            Sight::Edit { of, content: Some(content) } => change(lines, of, Sight::Message { content, edited: cseq }),
            Sight::Recall { of } => change(lines, of, Sight::Empty { is_recalled: true }),
            _ => {}
        }
        let Some(before) = lines.insert(cseq, shown) else { return Ok(()) };
        // What was queued before it was edited or taken back may come after the history has told so.
        change(lines, cseq, before.sight);
        // The history may bring what was pushed, and the log what was loaded.
        match (before.way, shown.way) {
            (Way::Pushed | Way::Own, Way::Pushed) => {
                Err(format!("I2: {cseq} of {conversation:?} was pushed to one device twice"))
            }
            _ => Ok(()),
        }
    }
}

/// A message is seen otherwise, if that is the newer sight of it.
fn change(lines: &mut BTreeMap<u64, Shown>, cseq: u64, sight: Sight) {
    let Some(shown) = lines.get_mut(&cseq) else { return };
    let is_newer = match (shown.sight, sight) {
        (Sight::Message { edited: before, .. }, Sight::Message { edited, .. }) => edited > before,
        (Sight::Message { .. }, Sight::Empty { .. }) => true,
        (Sight::Empty { is_recalled }, Sight::Message { .. }) => !is_recalled,
        _ => false,
    };
    if is_newer {
        shown.sight = sight;
    }
}
