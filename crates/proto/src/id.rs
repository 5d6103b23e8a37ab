//! The names that travel on the wire: users and devices.

use std::{fmt, sync::Arc};

/// Longest uid or device name, in bytes.
pub const MAX_ID_LEN: usize = 64;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {given:?} is not valid: use 1 to 64 of the characters A-Z a-z 0-9 . _ @ -")]
pub struct InvalidId {
    what: &'static str,
    given: String,
}

fn is_valid(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
    (1..=MAX_ID_LEN).contains(&text.len()) && text.bytes().all(legal)
}

fn check(what: &'static str, text: &str) -> Result<(), InvalidId> {
    if is_valid(text) {
        return Ok(());
    }
    let given = text.chars().take(MAX_ID_LEN).collect();
    Err(InvalidId { what, given })
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
}
