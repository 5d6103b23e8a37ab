//! Operations and effects in the form of `proto/hongyan/node/v1`, in which they would cross to another process. No node but
//! this one asks the writer yet, so only tests know it: there, all that goes through the queue and the outlet crosses in
//! this form ([`cross_op`], [`crossing`]).
//!
//! Whatever bytes come, they are read or refused ([`Malformed`]).

mod account;
mod answer;
mod crossing;
mod effect;
mod id;
mod login;
mod malformed;
mod message;
mod op;
mod submit;
mod tests;

pub use crossing::{cross_op, crossing};
