//! Operations, each by its kind.

use bytes::Bytes;
use prost::Message as _;

use super::{
    id::channel,
    malformed::Malformed,
    message::{self, op::What},
};
use crate::{
    base::number::{DeviceNo, UserNo},
    ops::op::Op,
};

pub fn encode(op: Op) -> Bytes {
    message::Op::from(op).encode_to_vec().into()
}

pub fn decode(bytes: Bytes) -> Result<Op, Malformed> {
    message::Op::decode(bytes)?.try_into()
}

impl From<Op> for message::Op {
    fn from(op: Op) -> Self {
        let what = match op {
            Op::Submit(submit) => What::Submit(submit.into()),
            Op::Acked { by, useq } => What::Acked(message::Acked { by: Some(by.into()), useq }),
            Op::Login(login) => What::Login((*login).into()),
            Op::Left(channel) => What::Left(channel.into()),
            Op::Account(change) => What::Account((*change).into()),
            Op::Forget { user, device, last_seen_hour } => {
                What::Forget(message::Forget { user: user.0, device: device.0, last_seen_hour })
            }
            Op::Hour => What::Hour(()),
            Op::Purged { began_ms } => What::Purged(message::Purged { began_ms }),
        };
        Self { what: Some(what) }
    }
}

impl TryFrom<message::Op> for Op {
    type Error = Malformed;

    fn try_from(op: message::Op) -> Result<Self, Malformed> {
        Ok(match op.what.ok_or(Malformed::Missing("what is asked"))? {
            What::Submit(submit) => Op::Submit(submit.try_into()?),
            What::Acked(acked) => Op::Acked { by: channel(acked.by, "acked.by")?, useq: acked.useq },
            What::Login(login) => Op::Login(Box::new(login.try_into()?)),
            What::Left(channel) => Op::Left(channel.into()),
            What::Account(change) => Op::Account(Box::new(change.try_into()?)),
            What::Forget(message::Forget { user, device, last_seen_hour }) => {
                Op::Forget { user: UserNo(user), device: DeviceNo(device), last_seen_hour }
            }
            What::Hour(()) => Op::Hour,
            What::Purged(message::Purged { began_ms }) => Op::Purged { began_ms },
        })
    }
}
