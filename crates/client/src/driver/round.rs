//! What one turn of the driver brings together.

use tokio::sync::oneshot;

use crate::{command::Outcome, conversation::Conversation, error::SendError, event::Numbered, store::Change};

/// What one turn has brought: written together, told afterwards.
#[derive(Default)]
pub(super) struct Round {
    pub change: Change,
    /// `meta` has changed.
    pub meta: bool,
    /// Conversations whose mark has changed.
    pub marks: Vec<String>,
    /// Events to show, with their sizes.
    pub events: Vec<(Numbered, usize)>,
    pub queued: Vec<(oneshot::Sender<Result<u64, SendError>>, u64)>,
    pub outcomes: Vec<(oneshot::Sender<Outcome>, Outcome)>,
    /// Conversation lists that callers wait for.
    pub lists: Vec<(oneshot::Sender<Vec<Conversation>>, Vec<Conversation>)>,
    pub logged_in: bool,
}
