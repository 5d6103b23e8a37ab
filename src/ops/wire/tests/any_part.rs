//! What operations and effects are made of.

use std::num::NonZeroU64;

use bytes::Bytes;
use hongyan_proto::{Uid, wire};
use proptest::{collection::vec, prelude::*};

use crate::{
    base::number::{ConversationNo, DeviceNo, UserNo},
    ops::id::{ChannelId, OpId},
};

/// Any number, 0 often.
pub fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1..100_u64, any::<u64>()]
}

pub fn user() -> impl Strategy<Value = UserNo> {
    prop_oneof![Just(0), any::<u32>()].prop_map(UserNo)
}

pub fn device() -> impl Strategy<Value = DeviceNo> {
    prop_oneof![Just(0), any::<u32>()].prop_map(DeviceNo)
}

pub fn conversation() -> impl Strategy<Value = ConversationNo> {
    number().prop_map(ConversationNo)
}

pub fn channel() -> impl Strategy<Value = ChannelId> {
    (user(), device(), number()).prop_map(|(user, device, conn_epoch)| ChannelId { user, device, conn_epoch })
}

pub fn op_id() -> impl Strategy<Value = OpId> {
    any::<NonZeroU64>().prop_map(OpId)
}

pub fn name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._@-]{1,64}"
}

pub fn uid() -> impl Strategy<Value = Uid> {
    name().prop_map(|name| Uid::new(&name).unwrap())
}

/// Any text, empty too.
pub fn words() -> impl Strategy<Value = String> {
    "\\PC{0,20}"
}

pub fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..50).prop_map(Bytes::from)
}

pub fn ack() -> impl Strategy<Value = wire::SendAck> {
    (number(), number(), number(), number(), number()).prop_map(|(send_no, cseq, useq, time_ms, group)| wire::SendAck {
        send_no,
        cseq,
        useq,
        time_ms,
        group,
    })
}

pub fn nack() -> impl Strategy<Value = wire::SendNack> {
    (number(), any::<i32>(), words(), any::<u32>(), number()).prop_map(
        |(send_no, code, reason, retry_after_ms, expected)| wire::SendNack {
            send_no,
            code,
            reason,
            retry_after_ms,
            expected,
        },
    )
}
