//! Peers that mean no good (I5, I8): a [`trick`] is played over a [`connection`], by the rules of [`play`].

mod begin;
mod connection;
mod play;
mod trick;

pub use begin::begin;
pub use connection::NAME;
pub use trick::Trick;
