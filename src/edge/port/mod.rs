//! Accepting connections: the [`door`] with its places, quiet [`socket`]s, [`tls`].

pub mod door;
pub mod headcount;
pub mod socket;
pub mod tls;
