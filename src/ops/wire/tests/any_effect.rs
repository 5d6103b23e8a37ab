//! Any effect. What is chosen from is boxed, for proptest keeps all of it on the stack.

use hongyan_proto::{CloseCode, wire};
use proptest::{collection::vec, option, prelude::*};

use super::any_part::{ack, bytes, channel, conversation, device, nack, number, op_id, uid, user, words};
use crate::ops::{
    answer::{AccountError, Answer, Bound, LoginError, Reply},
    effect::Effect,
};

pub fn any_effect() -> BoxedStrategy<Effect> {
    prop_oneof![
        2 => to_users(),
        2 => to_groups(),
        2 => to_askers(),
        2 => of_connections(),
    ]
    .boxed()
}

fn to_users() -> BoxedStrategy<Effect> {
    prop_oneof![
        (user(), number(), bytes()).prop_map(|(user, useq, item)| Effect::Offer { user, useq, item }),
        (user(), number()).prop_map(|(user, useq)| Effect::Refer { user, useq }),
        (user(), option::of(user())).prop_map(|(user, watcher)| Effect::Veil { user, watcher }),
    ]
    .boxed()
}

fn to_groups() -> BoxedStrategy<Effect> {
    prop_oneof![
        (conversation(), option::of(user()), bytes()).prop_map(|(no, except, item)| Effect::Broadcast {
            no,
            except,
            item
        }),
        conversation().prop_map(|no| Effect::Hint { no }),
        (user(), conversation()).prop_map(|(user, no)| Effect::Attend { user, no }),
        (user(), conversation()).prop_map(|(user, no)| Effect::Depart { user, no }),
    ]
    .boxed()
}

fn to_askers() -> BoxedStrategy<Effect> {
    prop_oneof![
        (channel(), option::of(op_id()), ack(), bytes()).prop_map(|(from, op, ack, item)| Effect::Taken {
            from,
            op,
            ack,
            item
        }),
        (channel(), option::of(op_id()), reply()).prop_map(|(to, op, reply)| Effect::Reply { to, op, reply }),
        (op_id(), answer()).prop_map(|(op, answer)| Effect::Answer { op, answer }),
    ]
    .boxed()
}

fn of_connections() -> BoxedStrategy<Effect> {
    prop_oneof![
        (channel(), number(), vec(conversation(), 0..5)).prop_map(|(channel, head, attends)| Effect::Bind {
            channel,
            head,
            attends
        }),
        channel().prop_map(Effect::Unbind),
        (user(), option::of(device()), any::<u32>(), words()).prop_map(|(user, device, code, reason)| Effect::Close {
            user,
            device,
            code: CloseCode(code),
            reason: reason.into(),
        }),
    ]
    .boxed()
}

fn reply() -> BoxedStrategy<Reply> {
    prop_oneof![ack().prop_map(Ok), nack().prop_map(Err)].boxed()
}

fn answer() -> BoxedStrategy<Answer> {
    prop_oneof![
        reply().prop_map(Answer::Sent),
        bound().prop_map(|bound| Answer::LoggedIn(Ok(Box::new(bound)))),
        login_error().prop_map(|error| Answer::LoggedIn(Err(error))),
        Just(Answer::Changed(Ok(()))),
        account_error().prop_map(|error| Answer::Changed(Err(error))),
        Just(Answer::Replaced),
        Just(Answer::Stopped),
    ]
    .boxed()
}

fn bound() -> BoxedStrategy<Bound> {
    let reset =
        (number(), number(), number()).prop_map(|(log_epoch, low, head)| wire::SyncReset { log_epoch, low, head });
    (uid(), channel(), [number(), number(), number()], option::of(reset))
        .prop_map(|(uid, channel, [head, cursor, last_send_no], reset)| Bound {
            uid,
            channel,
            head,
            cursor,
            last_send_no,
            reset,
        })
        .boxed()
}

fn login_error() -> BoxedStrategy<LoginError> {
    prop_oneof![
        (any::<u32>(), words())
            .prop_map(|(code, reason)| LoginError::Refused { code: CloseCode(code), reason: reason.into() }),
        words().prop_map(LoginError::Unavailable),
    ]
    .boxed()
}

fn account_error() -> BoxedStrategy<AccountError> {
    prop_oneof![
        uid().prop_map(AccountError::Exists),
        uid().prop_map(AccountError::Unknown),
        number().prop_map(AccountError::Full),
        Just(AccountError::Stopping),
        words().prop_map(AccountError::Unavailable),
    ]
    .boxed()
}
