//! The rows of the store, as generated from `proto/hongyan/store/v1`.
#![allow(clippy::all, clippy::pedantic, missing_docs)]

include!(concat!(env!("OUT_DIR"), "/hongyan.store.v1.rs"));
