//! What the committer decides by, given once when it is opened.

use std::time::Duration;

use hongyan_proto::wire;

use super::syncing::Syncing;

/// The limits, delays and defaults of a committer.
#[derive(Clone, Debug)]
pub struct CommitterSettings {
    pub syncing: Syncing,
    /// Commits begin at least so far apart, while there is more to gather.
    pub gather: Duration,
    pub limits: wire::Limits,
    /// SENDs a device may have unanswered; as many answers are kept for repetition.
    pub send_window: usize,
    /// Make an account for an unknown recipient instead of refusing the message.
    pub accept_unknown_recipients: bool,
    pub accounts: u64,
    pub devices_per_user: usize,
    pub channels_per_user: usize,
    pub resume_ttl: Duration,
    /// Delivered receipts of one user are gathered for this long.
    pub receipt_delay: Duration,
    /// Entries of a timeline that are kept even if every device has them.
    pub timeline_entries: u64,
    pub edit_within: Duration,
    pub recall_within: Duration,
    /// Members above which a group writes nothing into their timelines.
    pub fan_out_threshold: usize,
    pub group_members: usize,
    /// Members up to which the authors in a group learn what each has received and read.
    pub receipts_up_to: usize,
    /// Who may write to a user, or add them to groups, who has not said so.
    pub default_audience: wire::Audience,
    /// What the links to groups are drawn from.
    pub link_key: [u8; 32],
}
