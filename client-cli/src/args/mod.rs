//! What was typed. What it means, together with the environment and the profile, is decided in [`crate::setup`].
//!
//! Way for a reader: [`command`] has the whole line and every command; those about [`group`]s, about what is said
//! ([`talk`]), about [`people`] and the [`comparison`] have files of their own; [`global`] is what every command takes;
//! [`value`] reads single values.

mod command;
mod comparison;
mod global;
mod group;
mod people;
mod talk;
mod value;

pub use command::{Args, Command};
pub use comparison::Comparison;
pub use global::Global;
pub use group::{GroupCommand, JoinName, Least, Rank, RoleName, Settings};
pub use people::{People, PrivacyArgs, Switch, Who};
pub use talk::{Arrange, Carried, Talk};
pub use value::{Since, conversation};

#[cfg(test)]
mod tests;
