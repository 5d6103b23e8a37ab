//! Accepting connections: [`listen`] binds a port, its [`door`] has a place for each connection, a [`headcount`] bounds
//! those of a kind; then quiet [`socket`]s and [`tls`].

pub mod door;
pub mod headcount;
pub mod listen;
pub mod socket;
pub mod tls;
