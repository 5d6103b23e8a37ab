//! The durable log as the server thinks of it: accounts, devices, conversations, timelines. Reading is here; writing is
//! the committer's alone ([`crate::committer`]). How rows are laid out is in [`keys`] and `proto/hongyan/store/v1`.

mod answers;
mod conversations;
pub mod epoch;
mod export;
mod fate;
pub mod keys;
mod messages;
mod privacy;
pub mod record;
mod rows;
mod seen;
mod timeline;
pub mod verify;
mod view;

pub use answers::Answer;
pub use fate::{Recipient, Sent};
pub use messages::{HistoryRange, MessageRun, message_rows};
pub use record::{
    AccountRecord, ContactRecord, ConversationRecord, DeviceRecord, EntryRef, GroupRecord, MemberRecord,
    MembershipRecord, MessageRunRecord, Reaction, ReactionsRecord, RunRecord, entry_ref::Of,
};
pub use rows::{Log, missing};
pub use seen::{is_member, message_of};
pub use timeline::{Bounds, LogEntry};
pub use view::View;
