//! The tables, and how long what stands in them may be.

use bytes::Bytes;

/// The longest key, in bytes. A key is not empty.
pub const MAX_KEY_BYTES: usize = u16::MAX as usize;

/// The longest value, in bytes; far above any frame.
pub const MAX_VALUE_BYTES: usize = 32 << 20;

/// The tables. Keys are compared byte by byte, so numbers in keys are big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Facts about the store itself: format version, log epoch, next numbers.
    Meta,
    /// user number → account.
    Users,
    /// uid → user number.
    UserNames,
    /// user number, device number → device.
    Devices,
    /// conversation number → its members.
    Conversations,
    /// user number, conversation number → how the user sees the conversation.
    Memberships,
    /// lower user number, higher user number → conversation number.
    Pairs,
    /// user number, first useq → a run of entry references.
    Timelines,
    /// conversation number, cseq → the message as it is pushed.
    Messages,
    /// conversation number, user number → a member of a group.
    Members,
    /// conversation number, cseq → the reactions to a message.
    Reactions,
    /// user number, other user number → what there is between them.
    Contacts,
    /// time in milliseconds, conversation number, cseq → nothing: which message expires when.
    Expiry,
}

impl Table {
    /// Every table, in the order of [`Engine::dump`](super::engine::Engine::dump).
    pub const ALL: [Table; 13] = [
        Table::Meta,
        Table::Users,
        Table::UserNames,
        Table::Devices,
        Table::Conversations,
        Table::Memberships,
        Table::Pairs,
        Table::Timelines,
        Table::Messages,
        Table::Members,
        Table::Reactions,
        Table::Contacts,
        Table::Expiry,
    ];

    /// The name that stands in the stored data; it never changes.
    pub fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Users => "users",
            Table::UserNames => "user-names",
            Table::Devices => "devices",
            Table::Conversations => "conversations",
            Table::Memberships => "memberships",
            Table::Pairs => "pairs",
            Table::Timelines => "timelines",
            Table::Messages => "messages",
            Table::Members => "members",
            Table::Reactions => "reactions",
            Table::Contacts => "contacts",
            Table::Expiry => "expiry",
        }
    }

    /// The place in [`Table::ALL`].
    pub(super) fn index(self) -> usize {
        self as usize
    }
}

/// One row read.
pub type Row = (Bytes, Bytes);
