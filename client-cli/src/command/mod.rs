//! One file for each command; [`submit`] is what those share that send one thing.

pub mod compare;
pub mod conversations;
pub mod frames;
pub mod group;
pub mod history;
pub mod listen;
pub mod login;
pub mod people;
pub mod ping;
pub mod send;
pub mod status;
mod submit;
pub mod talk;
