//! The names that travel on the wire: users, devices, conversations.

use std::{fmt, sync::Arc};

/// Longest uid or device name, in bytes.
pub const MAX_ID_LEN: usize = 64;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {given:?} is not valid: {rule}")]
pub struct InvalidId {
    what: &'static str,
    given: String,
    rule: &'static str,
}

const NAME_RULE: &str = "use 1 to 64 of the characters A-Z a-z 0-9 . _ @ -";

fn is_valid(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
    (1..=MAX_ID_LEN).contains(&text.len()) && text.bytes().all(legal)
}

fn check(what: &'static str, text: &str) -> Result<(), InvalidId> {
    if is_valid(text) {
        return Ok(());
    }
    let given = text.chars().take(MAX_ID_LEN).collect();
    Err(InvalidId { what, given, rule: NAME_RULE })
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                check($what, text)?;
                Ok(Self(text.into()))
            }

            /// Whether [`Self::new`] would take it.
            pub fn is_valid(text: &str) -> bool {
                is_valid(text)
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// Who a user is: 1 to 64 of the characters `A-Z a-z 0-9 . _ @ -`, compared byte by byte. Cheap to clone.
    Uid,
    "the user id"
);
name!(
    /// Which device of a user: the same form as a [`Uid`]. Cheap to clone.
    DeviceName,
    "the device name"
);

/// Where a message goes: to a user, whose uid names the conversation with them, or to a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConversationId {
    /// The conversation with this user; saved messages, if it is oneself.
    User(Uid),
    /// The group of this number, written `#42`.
    Group(u64),
}

impl ConversationId {
    pub fn new(text: &str) -> Result<Self, InvalidId> {
        match text.strip_prefix('#') {
            None => Uid::new(text).map(Self::User),
            Some(digits) => parse_group(digits).map(Self::Group).ok_or_else(|| InvalidId {
                what: "the group id",
                given: text.chars().take(MAX_ID_LEN).collect(),
                rule: "write # and the number of the group",
            }),
        }
    }
}

/// One way to write each number: no sign, no leading 0.
fn parse_group(digits: &str) -> Option<u64> {
    let canonical = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    if canonical { digits.parse().ok() } else { None }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(uid) => uid.fmt(f),
            Self::Group(number) => write!(f, "#{number}"),
        }
    }
}

impl std::str::FromStr for ConversationId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::new(text)
    }
}

impl From<Uid> for ConversationId {
    fn from(uid: Uid) -> Self {
        Self::User(uid)
    }
}

impl From<&Uid> for ConversationId {
    fn from(uid: &Uid) -> Self {
        Self::User(uid.clone())
    }
}

impl From<&ConversationId> for ConversationId {
    fn from(id: &ConversationId) -> Self {
        id.clone()
    }
}

impl PartialEq<Uid> for ConversationId {
    fn eq(&self, uid: &Uid) -> bool {
        matches!(self, Self::User(own) if own == uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "alice", "A.b_c@d-9", &"x".repeat(64)] {
            assert_eq!(Uid::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "é", "a/b", "#x", "a\n", &"x".repeat(65)] {
            assert!(Uid::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_conversation_is_a_user_or_a_group() {
        assert_eq!(ConversationId::new("bob").unwrap(), ConversationId::User(Uid::new("bob").unwrap()));
        assert_eq!(ConversationId::new("#42").unwrap(), ConversationId::Group(42));
        for bad in ["#", "#0", "#042", "#+1", "# 1", "#18446744073709551616", "##1", ""] {
            assert!(ConversationId::new(bad).is_err(), "{bad:?}");
        }
    }
}
