//! What a device tells its scenario.

use crate::stamp::Stamp;

/// What a device tells its scenario.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// WELCOME or RESUMED.
    LoggedIn,
    /// A message of this device is durable.
    Answered { intended: u64 },
    /// A message of this run has come.
    Received(Stamp),
    /// A message has come that nobody of this run has sent like that.
    Foreign,
    /// The connection is over, or a message was refused.
    Failed(Box<str>),
}
