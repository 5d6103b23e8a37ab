//! Operations and effects in the form of `proto/hongyan/node/v1`, in which they would cross to another process. No node but
//! this one asks the writer yet, so only tests know it.
//!
//! Whatever bytes come, they are read or refused ([`Malformed`]).

mod account;
mod answer;
mod effect;
mod id;
mod login;
mod malformed;
mod message;
mod op;
mod submit;
mod tests;
