//! Names of channels and askers.

use std::num::NonZeroU64;

use super::{malformed::Malformed, message};
use crate::{
    base::number::{DeviceNo, UserNo},
    ops::id::{ChannelId, OpId},
};

impl From<ChannelId> for message::ChannelId {
    fn from(ChannelId { user, device, conn_epoch }: ChannelId) -> Self {
        Self { user: user.0, device: device.0, conn_epoch }
    }
}

impl From<message::ChannelId> for ChannelId {
    fn from(message::ChannelId { user, device, conn_epoch }: message::ChannelId) -> Self {
        Self { user: UserNo(user), device: DeviceNo(device), conn_epoch }
    }
}

/// A channel that cannot be absent.
pub fn channel(id: Option<message::ChannelId>, what: &'static str) -> Result<ChannelId, Malformed> {
    id.map(ChannelId::from).ok_or(Malformed::Missing(what))
}

impl From<OpId> for u64 {
    fn from(op: OpId) -> Self {
        op.0.get()
    }
}

impl TryFrom<u64> for OpId {
    type Error = Malformed;

    fn try_from(op: u64) -> Result<Self, Malformed> {
        NonZeroU64::new(op).map(Self).ok_or(Malformed::OutOfRange { what: "op", given: op })
    }
}
