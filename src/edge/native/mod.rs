//! The native way in: a [`link`] drives one connection over a [`transport`].

pub mod link;
pub mod transport;
pub mod way;
