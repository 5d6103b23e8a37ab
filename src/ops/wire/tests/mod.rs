//! Everything crosses unchanged, and nothing else is taken.

mod any_effect;
mod any_op;
mod any_part;

use bytes::Bytes;
use hongyan_proto::wire::NackCode;
use proptest::{collection::vec, prelude::*, sample::Index};
use prost::Message as _;

use self::{any_effect::any_effect, any_op::any_op};
use super::{effect, malformed::Malformed, message, op};
use crate::{
    base::number::{ConversationNo, UserNo},
    ops::effect::Effect,
};

/// The bytes, with some of them replaced and the end cut off.
fn damaged(bytes: Bytes, blows: &[(Index, u8)], end: Index) -> Bytes {
    let mut bytes = bytes.to_vec();
    if !bytes.is_empty() {
        for (place, byte) in blows {
            let place = place.index(bytes.len());
            bytes[place] = *byte;
        }
        bytes.truncate(end.index(bytes.len()) + 1);
    }
    bytes.into()
}

fn blows() -> impl Strategy<Value = Vec<(Index, u8)>> {
    vec(any::<(Index, u8)>(), 0..4)
}

/// What is read crosses again unchanged.
fn assert_read_or_refused(bytes: Bytes) -> Result<(), TestCaseError> {
    if let Ok(read) = op::decode(bytes.clone()) {
        prop_assert!(op::decode(op::encode(read.clone())).as_ref() == Ok(&read), "{:?}", message::Op::from(read));
    }
    if let Ok(read) = effect::decode(bytes) {
        prop_assert_eq!(effect::decode(effect::encode(read.clone())), Ok(read));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_operation_crosses(sent in any_op()) {
        prop_assert!(op::decode(op::encode(sent.clone())).as_ref() == Ok(&sent), "{:?}", message::Op::from(sent));
    }

    #[test]
    fn every_effect_crosses(sent in any_effect()) {
        prop_assert_eq!(effect::decode(effect::encode(sent.clone())), Ok(sent));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        assert_read_or_refused(bytes.into())?;
    }

    #[test]
    fn damaged_operations_are_read_or_refused(sent in any_op(), blows in blows(), end in any::<Index>()) {
        assert_read_or_refused(damaged(op::encode(sent), &blows, end))?;
    }

    #[test]
    fn damaged_effects_are_read_or_refused(sent in any_effect(), blows in blows(), end in any::<Index>()) {
        assert_read_or_refused(damaged(effect::encode(sent), &blows, end))?;
    }
}

/// What becomes of an operation of this form.
fn refused(what: message::op::What) -> Malformed {
    op::decode(message::Op { what: Some(what) }.encode_to_vec().into()).expect_err("it is malformed")
}

#[test]
fn what_is_missing_or_out_of_range_is_refused_by_its_name() {
    use message::op::What;
    assert_eq!(op::decode(Bytes::new()), Err(Malformed::Missing("what is asked")));
    assert_eq!(effect::decode(Bytes::new()), Err(Malformed::Missing("what happens")));
    assert!(matches!(op::decode(Bytes::from_static(&[0xFF])), Err(Malformed::Bytes(_))));
    assert_eq!(refused(What::Acked(message::Acked { by: None, useq: 1 })), Malformed::Missing("acked.by"));

    let change = message::AccountChange { op: 0, uid: "anna".into(), action: None };
    assert_eq!(refused(What::Account(change.clone())), Malformed::Missing("account.action"));
    let change = message::AccountChange { action: Some(message::account_change::Action::Ensure(())), ..change };
    assert_eq!(refused(What::Account(change.clone())), Malformed::OutOfRange { what: "op", given: 0 });
    let nameless = message::AccountChange { op: 1, uid: "no name".into(), ..change };
    assert!(matches!(refused(What::Account(nameless)), Malformed::Name(_)));

    let resume = message::Resume { user: 1, device: 1, hash: vec![7; 31].into(), cursor: None };
    let who = Some(message::login::Who::Resume(resume));
    let login = message::Login { op: 1, who, next_hash: vec![7; 32].into(), accepted: 1 };
    assert_eq!(refused(What::Login(login)), Malformed::Hash { what: "resume.hash", len: 31 });
}

#[test]
fn a_refusal_for_an_unknown_reason_and_a_key_of_0_are_refused() {
    use message::{
        op::What,
        submit::{Body, Number},
    };
    let refusal = message::Refusal { code: NackCode::NackInvalid as i32, reason: String::new() };
    let submit = message::Submit {
        from: Some(message::ChannelId::default()),
        op: None,
        number: Some(Number::Keyed(0)),
        body: Some(Body::Refused(refusal.clone())),
    };
    assert_eq!(refused(What::Submit(submit.clone())), Malformed::OutOfRange { what: "submit.keyed", given: 0 });
    let body = Some(Body::Refused(message::Refusal { code: 9999, ..refusal }));
    let submit = message::Submit { number: Some(Number::Next(())), body, ..submit };
    assert_eq!(refused(What::Submit(submit)), Malformed::OutOfRange { what: "refusal.code", given: 9999 });
}

#[test]
fn nobody_is_not_user_0() {
    let shown_to = |watcher| Effect::Veil { user: UserNo(1), watcher };
    let told = |except| Effect::Broadcast { no: ConversationNo(1), except, item: Bytes::new() };
    for nobody_or_0 in [None, Some(UserNo(0))] {
        for effect in [shown_to(nobody_or_0), told(nobody_or_0)] {
            assert_eq!(effect::decode(effect::encode(effect.clone())), Ok(effect));
        }
    }
}
