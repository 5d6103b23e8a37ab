//! Any operation. What is chosen from is boxed, for proptest keeps all of it on the stack.

use hongyan_proto::{
    ConversationId, DeviceName,
    wire::{self, act::What},
};
use proptest::{collection::vec, option, prelude::*};

use super::any_part::{bytes, channel, device, name, number, op_id, uid, user, words};
use crate::ops::{
    id::{AcceptNo, SendNumber},
    op::{AccountAction, AccountChange, Addressed, Asked, Credential, Login, Op, Refusal, Submit, Who},
};

pub fn any_op() -> BoxedStrategy<Op> {
    prop_oneof![
        4 => submit().prop_map(Op::Submit),
        1 => (channel(), number()).prop_map(|(by, useq)| Op::Acked { by, useq }),
        4 => login().prop_map(|login| Op::Login(Box::new(login))),
        1 => channel().prop_map(Op::Left),
        2 => account_change().prop_map(|change| Op::Account(Box::new(change))),
        1 => (user(), device(), number())
            .prop_map(|(user, device, last_seen_hour)| Op::Forget { user, device, last_seen_hour }),
        1 => Just(Op::Hour),
        1 => number().prop_map(|began_ms| Op::Purged { began_ms }),
    ]
    .boxed()
}

fn submit() -> BoxedStrategy<Submit> {
    let number = prop_oneof![
        number().prop_map(SendNumber::Given),
        (1..=u64::MAX).prop_map(SendNumber::Keyed),
        Just(SendNumber::Next)
    ];
    let body = prop_oneof![4 => addressed().prop_map(Ok), 1 => refusal().prop_map(Err)];
    (channel(), option::of(op_id()), number, body)
        .prop_map(|(from, op, number, body)| Submit { from, op, number, body })
        .boxed()
}

fn addressed() -> BoxedStrategy<Addressed> {
    let to = prop_oneof![uid().prop_map(ConversationId::User), (1..=u64::MAX).prop_map(ConversationId::Group)];
    (option::of(to), asked()).prop_map(|(to, asked)| Addressed { to, asked }).boxed()
}

fn asked() -> BoxedStrategy<Asked> {
    prop_oneof![
        (bytes(), option::of(extras().prop_map(Box::new)))
            .prop_map(|(content, extras)| Asked::Message { content, extras }),
        act().prop_map(|what| Asked::Act(Box::new(what))),
    ]
    .boxed()
}

fn extras() -> BoxedStrategy<wire::Extras> {
    (number(), vec(name(), 0..3), any::<bool>(), any::<u32>())
        .prop_map(|(reply_to, mentions, mention_all, expires_after_s)| wire::Extras {
            reply_to,
            mentions,
            mention_all,
            expires_after_s,
            ..Default::default()
        })
        .boxed()
}

/// Some of them: the wire's messages are as they are.
fn act() -> BoxedStrategy<What> {
    prop_oneof![
        (number(), bytes(), vec(name(), 0..3)).prop_map(|(cseq, content, mentions)| {
            What::Edit(wire::Edit { cseq, content, mentions, ..Default::default() })
        }),
        Just(What::Recall(wire::Recall::default())),
        Just(What::GroupLeave(wire::GroupLeave::default())),
        Just(What::Privacy(wire::Privacy::default())),
    ]
    .boxed()
}

fn refusal() -> BoxedStrategy<Refusal> {
    let code = (0..64).prop_filter_map("a code", |code| wire::NackCode::try_from(code).ok());
    (code, words()).prop_map(|(code, reason)| Refusal { code, reason: reason.into() }).boxed()
}

fn login() -> BoxedStrategy<Login> {
    let resume = (user(), device(), any::<[u8; 32]>(), option::of(number()))
        .prop_map(|(user, device, hash, cursor)| Who::Resume { user, device, hash, cursor });
    let who = prop_oneof![credential().prop_map(Who::Credential), resume];
    (op_id(), who, any::<[u8; 32]>(), number().prop_map(AcceptNo))
        .prop_map(|(op, who, next_hash, accepted)| Login { op, who, next_hash, accepted })
        .boxed()
}

fn credential() -> BoxedStrategy<Credential> {
    let device = name().prop_map(|name| DeviceName::new(&name).unwrap());
    let named = (uid(), device, any::<u32>());
    let token = (any::<bool>(), option::of(number()), option::of(number()));
    let place = (option::of(number()), number(), number(), number());
    (named, token, place, any::<[bool; 2]>())
        .prop_map(
            |(
                (uid, device, device_epoch),
                (by_token, token_epoch, issued_at_s),
                (cursor, log_epoch, last_send_no, answered_send_no),
                [from_head, ephemeral],
            )| Credential {
                uid,
                by_token,
                token_epoch,
                issued_at_s,
                device,
                device_epoch,
                cursor,
                log_epoch,
                last_send_no,
                answered_send_no,
                from_head,
                ephemeral,
            },
        )
        .boxed()
}

fn account_change() -> BoxedStrategy<AccountChange> {
    let action = prop_oneof![
        option::of(words()).prop_map(|password_hash| AccountAction::Add { password_hash }),
        Just(AccountAction::Ensure),
        words().prop_map(|password_hash| AccountAction::SetPassword { password_hash }),
        Just(AccountAction::Disable),
        Just(AccountAction::Enable),
        Just(AccountAction::Revoke),
        device().prop_map(AccountAction::LogOut),
    ];
    (op_id(), uid(), action).prop_map(|(op, uid, action)| AccountChange { op, uid, action }).boxed()
}
