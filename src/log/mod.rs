//! The durable log as the server thinks of it: accounts, devices, conversations, timelines. Reading is here; writing is
//! the committer's alone.
//!
//! How rows are laid out is in [`keys`] and `record` (`proto/hongyan/store/v1`); [`Log`] (`rows`) reads them. What they
//! say is read in two floors: as it is stored, in `accounts`, `conversations`, `messages` and `timeline`, which is runs of
//! references; and above these as one user may see it, in `seen`, `privacy` and `view`. `entries` puts both together: what
//! a device is pushed. `answers` are what a device's SENDs were answered, and `fate` is what became of them.
//!
//! Two things are about all of it: [`epoch`] begins the log anew for those who remember it, [`verify`] checks a whole store.

mod accounts;
mod answers;
mod conversations;
mod entries;
pub mod epoch;
mod export;
mod fate;
pub mod keys;
mod messages;
mod privacy;
mod record;
mod rows;
mod seen;
mod timeline;
pub mod verify;
mod view;

pub use answers::Answer;
pub use conversations::is_member;
pub use entries::LogEntry;
pub use fate::{Recipient, Sent};
pub use messages::{HistoryRange, MessageRun, message_of, message_rows};
pub use record::{
    AccountRecord, ContactRecord, ConversationRecord, DeviceRecord, EntryRef, GroupRecord, MemberRecord,
    MembershipRecord, MessageRunRecord, Reaction, ReactionsRecord, RunRecord, entry_ref::Of,
};
pub use rows::{Log, decode, encode, missing};
pub use timeline::Bounds;
pub use view::View;
