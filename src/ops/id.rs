//! By what the two sides of the seam name each other's things.

use std::num::NonZeroU64;

use crate::base::number::{DeviceNo, UserNo};

/// One connection of one device, and so its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId {
    pub user: UserNo,
    pub device: DeviceNo,
    /// Counts the logins of the device.
    pub conn_epoch: u64,
}

/// Who waits for an answer, in the table of the node that asked. It is never given twice, so that a late answer finds nobody
/// instead of somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpId(pub(super) NonZeroU64);

/// The order in which connections were accepted. Of two connections of a device the one that was accepted later stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AcceptNo(pub u64);

/// How a SEND tells itself from the device's other ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendNumber {
    /// By the number that the device gave it.
    Given(u64),
    /// By a hashed key, not 0: one that a kept answer has gets that answer again, another the next number.
    Keyed(u64),
    /// Not at all: it gets the next number each time it comes.
    Next,
}
