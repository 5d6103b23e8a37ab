//! Lets effects happen: in the channels of who is live, and where somebody waits for an answer.

use hongyan_proto::canary;

use super::{queue::Outbound, sessions::Sessions};
use crate::ops::{
    answer::{Answer, Reply},
    desk::Desk,
    effect::Effect,
    id::ChannelId,
};

/// What follows from commits happens in their order, so only one thread calls this.
pub fn apply(effect: Effect, sessions: &Sessions, desk: &Desk) {
    match effect {
        Effect::Offer { user, useq, item } => sessions.for_each_of(user, |channel| channel.offer(useq, 0, &item)),
        Effect::Refer { user, useq } => sessions.for_each_of(user, |channel| channel.refer(useq)),
        Effect::Broadcast { no, except, item } => {
            sessions.for_each_attending(no, except, |channel| channel.pass(&item));
        }
        Effect::Hint { no } => sessions.for_each_attending(no, None, |channel| channel.owe_hints()),
        Effect::Attend { user, no } => sessions.attend(no, user),
        Effect::Depart { user, no } => sessions.depart(no, user),
        Effect::Veil { user, watcher } => sessions.veil(user, watcher),
        Effect::Taken { from, op, ack, item } => {
            sessions.for_each_of(from.user, |channel| {
                let is_from = channel.id == from;
                if is_from && op.is_none() {
                    channel.answer(Outbound::Acked(ack));
                } else if !canary::is("own-devices-not-told") {
                    let own_send_no = if is_from { ack.send_no } else { 0 };
                    channel.offer(ack.useq, own_send_no, &item);
                }
            });
            if let Some(op) = op {
                desk.answer(op, Answer::Sent(Ok(ack)));
            }
        }
        Effect::Reply { to, op: None, reply } => reply_to(to, reply, sessions),
        Effect::Reply { op: Some(op), reply, .. } => desk.answer(op, Answer::Sent(reply)),
        Effect::Answer { op, answer } => desk.answer(op, answer),
        Effect::Bind { channel, head, attends } => {
            sessions.bind(channel, head, !attends.is_empty());
            for no in attends.into_iter().filter(|_| !canary::is("login-attends-nothing")) {
                sessions.attend(no, channel.user);
            }
        }
        Effect::Unbind(channel) => sessions.unbind(channel),
        Effect::Close { user, device, code, reason } => sessions.for_each_of(user, |channel| {
            if device.is_none_or(|device| device == channel.id.device) {
                channel.close(code, reason.clone());
            }
        }),
    }
}

/// A connection that is gone needs no answer: the number comes again on the next one.
fn reply_to(to: ChannelId, reply: Reply, sessions: &Sessions) {
    if let Some(channel) = sessions.channel(to) {
        channel.answer(match reply {
            Ok(ack) => Outbound::Acked(ack),
            Err(nack) => Outbound::Refused(nack),
        });
    }
}
