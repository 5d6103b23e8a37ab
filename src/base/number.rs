//! The numbers by which the server knows users, devices and conversations among itself. People see names.

/// A user's compact internal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserNo(pub u32);

/// A device's internal number: one for each (user, device name, device epoch). Dense per user, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceNo(pub u32);

/// A conversation's internal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConversationNo(pub u64);
