//! Effects, each by its kind.

use bytes::Bytes;
use hongyan_proto::{CloseCode, canary};
use prost::Message as _;

use super::{
    id::channel,
    malformed::Malformed,
    message::{self, effect::What, reply::Reply as Said},
};
use crate::{
    base::number::{ConversationNo, DeviceNo, UserNo},
    ops::{answer::Reply, effect::Effect, id::OpId},
};

pub fn encode(effect: Effect) -> Bytes {
    message::Effect::from(effect).encode_to_vec().into()
}

pub fn decode(bytes: Bytes) -> Result<Effect, Malformed> {
    message::Effect::decode(bytes)?.try_into()
}

impl From<Effect> for message::Effect {
    fn from(effect: Effect) -> Self {
        Self { what: Some(effect.into()) }
    }
}

impl From<Effect> for What {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::Offer { user, useq, item } => What::Offer(message::Offer { user: user.0, useq, item }),
            Effect::Refer { user, useq } => What::Refer(message::Refer { user: user.0, useq }),
            Effect::Broadcast { no, except, item } => {
                What::Broadcast(message::Broadcast { no: no.0, except: except.map(|user| user.0), item })
            }
            Effect::Hint { no } => What::Hint(no.0),
            Effect::Attend { user, no } => What::Attend(message::Attendance { user: user.0, no: no.0 }),
            Effect::Depart { user, no } => What::Depart(message::Attendance { user: user.0, no: no.0 }),
            Effect::Veil { user, watcher } => {
                What::Veil(message::Veil { user: user.0, watcher: watcher.map(|user| user.0) })
            }
            Effect::Taken { from, op, mut ack, item } => {
                ack.send_no += u64::from(canary::is("ack-carries-another-number"));
                What::Taken(message::Taken { from: Some(from.into()), op: op.map(u64::from), ack: Some(ack), item })
            }
            Effect::Reply { to, op, reply } => What::Reply(message::Reply {
                to: Some(to.into()),
                op: op.map(u64::from),
                reply: Some(reply.map_or_else(Said::Nack, Said::Ack)),
            }),
            Effect::Answer { op, answer } => {
                What::Answer(message::Answer { op: op.into(), answer: Some(answer.into()) })
            }
            Effect::Bind { channel, head, attends } => {
                let attends = attends.into_iter().map(|no| no.0).collect();
                What::Bind(message::Bind { channel: Some(channel.into()), head, attends })
            }
            Effect::Unbind(channel) => What::Unbind(channel.into()),
            Effect::Close { user, device, code, reason } => What::Close(message::Close {
                user: user.0,
                device: device.filter(|_| !canary::is("one-device-not-carried")).map(|device| device.0),
                code: code.0,
                reason: reason.into_owned(),
            }),
        }
    }
}

impl TryFrom<message::Effect> for Effect {
    type Error = Malformed;

    fn try_from(effect: message::Effect) -> Result<Self, Malformed> {
        Ok(match effect.what.ok_or(Malformed::Missing("what happens"))? {
            What::Offer(message::Offer { user, useq, item }) => Effect::Offer { user: UserNo(user), useq, item },
            What::Refer(message::Refer { user, useq }) => Effect::Refer { user: UserNo(user), useq },
            What::Broadcast(message::Broadcast { no, except, item }) => {
                Effect::Broadcast { no: ConversationNo(no), except: except.map(UserNo), item }
            }
            What::Hint(no) => Effect::Hint { no: ConversationNo(no) },
            What::Attend(message::Attendance { user, no }) => {
                Effect::Attend { user: UserNo(user), no: ConversationNo(no) }
            }
            What::Depart(message::Attendance { user, no }) => {
                Effect::Depart { user: UserNo(user), no: ConversationNo(no) }
            }
            What::Veil(message::Veil { user, watcher }) => {
                Effect::Veil { user: UserNo(user), watcher: watcher.map(UserNo) }
            }
            What::Taken(taken) => taken.try_into()?,
            What::Reply(reply) => reply.try_into()?,
            What::Answer(message::Answer { op, answer }) => Effect::Answer {
                op: OpId::try_from(op)?,
                answer: answer.ok_or(Malformed::Missing("answer.answer"))?.try_into()?,
            },
            What::Bind(bind) => bind.try_into()?,
            What::Unbind(channel) => Effect::Unbind(channel.into()),
            What::Close(message::Close { user, device, code, reason }) => Effect::Close {
                user: UserNo(user),
                device: device.map(DeviceNo),
                code: CloseCode(code),
                reason: reason.into(),
            },
        })
    }
}

impl TryFrom<message::Taken> for Effect {
    type Error = Malformed;

    fn try_from(message::Taken { from, op, ack, item }: message::Taken) -> Result<Self, Malformed> {
        Ok(Effect::Taken {
            from: channel(from, "taken.from")?,
            op: op.map(OpId::try_from).transpose()?,
            ack: ack.ok_or(Malformed::Missing("taken.ack"))?,
            item,
        })
    }
}

impl TryFrom<message::Reply> for Effect {
    type Error = Malformed;

    fn try_from(message::Reply { to, op, reply }: message::Reply) -> Result<Self, Malformed> {
        let reply: Reply = match reply.ok_or(Malformed::Missing("reply.reply"))? {
            Said::Ack(ack) => Ok(ack),
            Said::Nack(nack) => Err(nack),
        };
        Ok(Effect::Reply { to: channel(to, "reply.to")?, op: op.map(OpId::try_from).transpose()?, reply })
    }
}

impl TryFrom<message::Bind> for Effect {
    type Error = Malformed;

    fn try_from(message::Bind { channel: id, head, attends }: message::Bind) -> Result<Self, Malformed> {
        let attends = attends.into_iter().map(ConversationNo).collect();
        Ok(Effect::Bind { channel: channel(id, "bind.channel")?, head, attends })
    }
}
