//! Why a connection ends, and what its client does about it.

use std::fmt;

use crate::wire::NackCode;

/// A close code. Its thousands alone ([`Class`]) tell a client what to do; a code it has never heard of included.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CloseCode(pub u32);

/// What a client does after a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 1xxx: connect again, at once, to the same address.
    RetryHere,
    /// 2xxx: connect again after a growing, random pause.
    BackOff,
    /// 3xxx: connect again, to another address if one was named.
    Elsewhere,
    /// 4xxx: stop. Doing the same again would end the same way.
    Stop,
    /// 5xxx: stop until there is a new credential.
    LogInAgain,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $number:literal $name:ident $what:literal,)*) => {
        impl CloseCode {
            $($(#[$doc])* #[doc = $what] pub const $name: CloseCode = CloseCode($number);)*

            /// Every code of version 1, in order, with its name and meaning.
            pub const ALL: &[(CloseCode, &str, &str)] = &[$((CloseCode($number), stringify!($name), $what),)*];
        }
    };
}

codes! {
    1000 NORMAL "The peer leaves on purpose.",
    1001 IDLE_TIMEOUT "Nothing was heard for longer than the heartbeat allows.",
    2000 INTERNAL "The server failed; it is not the client's fault.",
    2001 OVERLOADED "The server has no place for another connection.",
    2002 SLOW "The device took what was pushed but acked nothing, or read nothing, for too long.",
    2003 UNAVAILABLE "The store takes no writes now.",
    2004 LOGIN_TIMEOUT "No login within the time for it.",
    2005 TOO_MANY_ATTEMPTS "Too many failed logins for this user or from this address.",
    3000 GOING_AWAY "The server drains or restarts.",
    4000 BAD_PREFACE "The first bytes were not the preface of this protocol.",
    4001 UNSUPPORTED_VERSION "The preface named a major version this server does not speak.",
    4002 FRAME_TOO_LARGE "A frame was longer than allowed.",
    4003 BAD_FRAME "A frame had length 0 or a reserved bit set.",
    4004 BAD_MESSAGE "The body of a frame was not the protobuf message of its kind.",
    4005 UNKNOWN_CRITICAL "A frame of an unknown kind was marked critical.",
    4006 WRONG_STATE "A frame of this kind is not allowed now, or not from this end.",
    4007 CREDIT_EXCEEDED "A SEND used a number above max_send_no.",
    4008 BAD_ACK "An ACK named an entry that was never pushed.",
    4009 BAD_FIELD "A field breaks the rule that docs/protocol.md gives for it.",
    4010 REPLACED "The same device connected again elsewhere; this connection is the older one.",
    4011 TOO_MANY_DEVICES "The user has as many devices as the server allows.",
    4012 STATE_LOST "One end has lost the numbers of this device that the other remembers: the device must draw a new device_epoch.",
    5000 BAD_CREDENTIALS "Unknown user, wrong password or a token that is not valid.",
    5001 TOKEN_EXPIRED "The token is no longer, or not yet, valid.",
    5002 REVOKED "The user was disabled, or all sessions were ended.",
    5003 RESUME_REFUSED "The resume token is unknown, used or too old: log in with HELLO.",
}

impl CloseCode {
    /// What a client does about this code. Numbers outside 1000-5999 count as [`Class::BackOff`].
    pub fn class(self) -> Class {
        match self.0 / 1000 {
            1 => Class::RetryHere,
            3 => Class::Elsewhere,
            4 => Class::Stop,
            5 => Class::LogInAgain,
            _ => Class::BackOff,
        }
    }

    /// The name of a known code.
    pub fn name(self) -> Option<&'static str> {
        Self::ALL.iter().find(|(code, ..)| *code == self).map(|(_, name, _)| *name)
    }
}

/// Longest `reason` of a frame, in bytes. A longer one is cut, also where it arrives, so that a peer cannot fill a log.
pub const MAX_REASON: usize = 256;

pub(crate) fn short_reason(reason: &str) -> String {
    reason[..reason.floor_char_boundary(MAX_REASON)].to_owned()
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a SEND refused with this code may be sent again under the same number. Decided by the range (1-15), so it
/// holds for codes that are not known yet.
pub fn is_temporary(nack: i32) -> bool {
    (1..16).contains(&nack)
}

/// A refusal's code as a typed value, where this version knows it.
pub fn nack_name(nack: i32) -> &'static str {
    NackCode::try_from(nack).map_or("NACK_UNKNOWN", |code| code.as_str_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_cut_between_characters() {
        assert_eq!(short_reason("why"), "why");
        let long = "雁".repeat(100);
        assert_eq!(short_reason(&long).len(), 255);
    }

    #[test]
    fn classes_follow_the_thousands() {
        assert_eq!(CloseCode::NORMAL.class(), Class::RetryHere);
        assert_eq!(CloseCode(2999).class(), Class::BackOff);
        assert_eq!(CloseCode::GOING_AWAY.class(), Class::Elsewhere);
        assert_eq!(CloseCode(4999).class(), Class::Stop);
        assert_eq!(CloseCode::BAD_CREDENTIALS.class(), Class::LogInAgain);
        assert_eq!(CloseCode(77).class(), Class::BackOff);
        assert!(CloseCode::ALL.is_sorted_by_key(|(code, ..)| code.0));
    }
}
