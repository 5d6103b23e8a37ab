//! SENDs.

use hongyan_proto::{
    ConversationId, canary,
    wire::{Act, NackCode},
};

use super::{
    id::channel,
    malformed::Malformed,
    message::{
        self,
        addressed::Asked as Question,
        submit::{Body, Number},
    },
};
use crate::ops::{
    id::{OpId, SendNumber},
    op::{Addressed, Asked, Refusal, Submit},
};

impl From<Submit> for message::Submit {
    fn from(Submit { from, op, number, body }: Submit) -> Self {
        let body = match body {
            Ok(addressed) => Body::Addressed(addressed.into()),
            Err(refusal) => Body::Refused(refusal.into()),
        };
        Self { from: Some(from.into()), op: op.map(u64::from), number: Some(number.into()), body: Some(body) }
    }
}

impl TryFrom<message::Submit> for Submit {
    type Error = Malformed;

    fn try_from(submit: message::Submit) -> Result<Self, Malformed> {
        Ok(Self {
            from: channel(submit.from, "submit.from")?,
            op: submit.op.map(OpId::try_from).transpose()?,
            number: submit.number.ok_or(Malformed::Missing("submit.number"))?.try_into()?,
            body: match submit.body.ok_or(Malformed::Missing("submit.body"))? {
                Body::Addressed(addressed) => Ok(addressed.try_into()?),
                Body::Refused(refusal) => Err(refusal.try_into()?),
            },
        })
    }
}

impl From<SendNumber> for Number {
    fn from(number: SendNumber) -> Self {
        match number {
            SendNumber::Given(number) => Number::Given(number),
            SendNumber::Keyed(key) => Number::Keyed(key),
            SendNumber::Next => Number::Next(()),
        }
    }
}

impl TryFrom<Number> for SendNumber {
    type Error = Malformed;

    fn try_from(number: Number) -> Result<Self, Malformed> {
        match number {
            Number::Given(number) => Ok(SendNumber::Given(number)),
            Number::Keyed(0) => Err(Malformed::OutOfRange { what: "submit.keyed", given: 0 }),
            Number::Keyed(key) => Ok(SendNumber::Keyed(key)),
            Number::Next(()) => Ok(SendNumber::Next),
        }
    }
}

impl From<Addressed> for message::Addressed {
    fn from(Addressed { to, asked }: Addressed) -> Self {
        let asked = match asked {
            Asked::Message { content, extras } => {
                Question::Message(message::Message { content, extras: extras.map(|extras| *extras) })
            }
            Asked::Act(what) => Question::Act(Act { what: Some(*what) }),
        };
        let to = to.filter(|_| !canary::is("recipient-not-carried"));
        Self { to: to.map(|to| to.to_string()), asked: Some(asked) }
    }
}

impl TryFrom<message::Addressed> for Addressed {
    type Error = Malformed;

    fn try_from(message::Addressed { to, asked }: message::Addressed) -> Result<Self, Malformed> {
        let asked = match asked.ok_or(Malformed::Missing("addressed.asked"))? {
            Question::Message(message::Message { content, extras }) => {
                Asked::Message { content, extras: extras.map(Box::new) }
            }
            Question::Act(act) => Asked::Act(Box::new(act.what.ok_or(Malformed::Missing("act.what"))?)),
        };
        Ok(Self { to: to.as_deref().map(ConversationId::new).transpose()?, asked })
    }
}

impl From<Refusal> for message::Refusal {
    fn from(Refusal { code, reason }: Refusal) -> Self {
        Self { code: code as i32, reason: reason.into_owned() }
    }
}

impl TryFrom<message::Refusal> for Refusal {
    type Error = Malformed;

    fn try_from(message::Refusal { code, reason }: message::Refusal) -> Result<Self, Malformed> {
        // A negative number is an int32 in ten bytes, which are those of the same int64.
        let unknown = |_| Malformed::OutOfRange { what: "refusal.code", given: i64::from(code) as u64 };
        Ok(Self { code: NackCode::try_from(code).map_err(unknown)?, reason: reason.into() })
    }
}
