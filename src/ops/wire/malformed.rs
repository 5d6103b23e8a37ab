//! What is wrong with bytes that are no operation and no effect.

use hongyan_proto::InvalidId;

/// Nothing of it is taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Malformed {
    #[error(transparent)]
    Bytes(#[from] prost::DecodeError),
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{what} cannot be {given}")]
    OutOfRange { what: &'static str, given: u64 },
    #[error("{what} has {len} bytes instead of 32")]
    Hash { what: &'static str, len: usize },
    #[error(transparent)]
    Name(#[from] InvalidId),
}
