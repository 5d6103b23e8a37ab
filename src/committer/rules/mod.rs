//! What the committer decides by, one subject a file: what a commit is about to change, and whether it may.

pub mod account;
pub mod binding;
pub mod expiry;
pub mod leaving;
pub mod member;
pub mod messages;
pub mod place;
pub mod post;
pub mod publish;
pub mod receipts;
pub mod trimming;
