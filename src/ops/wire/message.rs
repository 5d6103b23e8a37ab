//! The messages, as generated from `proto/hongyan/node/v1`.
#![allow(clippy::all, clippy::pedantic, missing_docs)]

include!(concat!(env!("OUT_DIR"), "/hongyan.node.v1.rs"));
