//! Hongyan's native protocol, version 1, for peerbench: frames of LEN (u24) TYPE and a protobuf body, both written by hand
//! ([`wire`]). [`driver`] is one user's connection; it logs in with a [`token`] and may be in one [`group`]. A copy of this
//! directory goes to peerbench's src/proto/.

mod driver;
mod group;
mod token;
mod wire;

pub use driver::Hongyan;
