//! Answers to those who wait.

use hongyan_proto::{CloseCode, Uid};

use super::{
    id::channel,
    malformed::Malformed,
    message::{self, answer::Answer as What, login_error::Why},
};
use crate::ops::answer::{Answer, Bound, LoginError};

impl From<Answer> for What {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Sent(Ok(ack)) => What::Ack(ack),
            Answer::Sent(Err(nack)) => What::Nack(nack),
            Answer::LoggedIn(Ok(bound)) => What::Bound((*bound).into()),
            Answer::LoggedIn(Err(error)) => What::NotBound(error.into()),
            Answer::Changed(Ok(())) => What::Changed(()),
            Answer::Changed(Err(error)) => What::NotChanged(error.into()),
            Answer::Replaced => What::Replaced(()),
            Answer::Stopped => What::Stopped(()),
        }
    }
}

impl TryFrom<What> for Answer {
    type Error = Malformed;

    fn try_from(answer: What) -> Result<Self, Malformed> {
        Ok(match answer {
            What::Ack(ack) => Answer::Sent(Ok(ack)),
            What::Nack(nack) => Answer::Sent(Err(nack)),
            What::Bound(bound) => Answer::LoggedIn(Ok(Box::new(bound.try_into()?))),
            What::NotBound(error) => Answer::LoggedIn(Err(error.try_into()?)),
            What::Changed(()) => Answer::Changed(Ok(())),
            What::NotChanged(error) => Answer::Changed(Err(error.try_into()?)),
            What::Replaced(()) => Answer::Replaced,
            What::Stopped(()) => Answer::Stopped,
        })
    }
}

impl From<Bound> for message::Bound {
    fn from(Bound { uid, channel, head, cursor, last_send_no, reset }: Bound) -> Self {
        Self { uid: uid.to_string(), channel: Some(channel.into()), head, cursor, last_send_no, reset }
    }
}

impl TryFrom<message::Bound> for Bound {
    type Error = Malformed;

    fn try_from(bound: message::Bound) -> Result<Self, Malformed> {
        let message::Bound { uid, channel: id, head, cursor, last_send_no, reset } = bound;
        Ok(Self { uid: Uid::new(&uid)?, channel: channel(id, "bound.channel")?, head, cursor, last_send_no, reset })
    }
}

impl From<LoginError> for message::LoginError {
    fn from(error: LoginError) -> Self {
        let why = match error {
            LoginError::Refused { code, reason } => {
                Why::Refused(message::Refused { code: code.0, reason: reason.into_owned() })
            }
            LoginError::Unavailable(words) => Why::Unavailable(words),
        };
        Self { why: Some(why) }
    }
}

impl TryFrom<message::LoginError> for LoginError {
    type Error = Malformed;

    fn try_from(error: message::LoginError) -> Result<Self, Malformed> {
        Ok(match error.why.ok_or(Malformed::Missing("not_bound.why"))? {
            Why::Refused(message::Refused { code, reason }) => {
                LoginError::Refused { code: CloseCode(code), reason: reason.into() }
            }
            Why::Unavailable(words) => LoginError::Unavailable(words),
        })
    }
}
