//! What `build.rs` makes of the files in `proto/hongyan/v1`: their messages as generated, and what the files say. Nothing
//! here is written by hand.
#![allow(clippy::all, clippy::pedantic, missing_docs)]

include!(concat!(env!("OUT_DIR"), "/hongyan.v1.rs"));
#[cfg(feature = "json")]
include!(concat!(env!("OUT_DIR"), "/hongyan.v1.serde.rs"));

/// What the `.proto` files say, as an encoded `google.protobuf.FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
