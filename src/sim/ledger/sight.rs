//! What devices see, in the words in which they must agree about it.

use crate::sim::conversation::{Conversation, User};

/// One entry of a timeline, as far as devices must agree about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    Line(Conversation, u64),
    Receipt {
        conversation: Conversation,
        by: User,
        delivered: u64,
        read: u64,
    },
    /// The line of the list, as it is when it is pushed.
    Row(Conversation),
}

/// A message, an act, or what has become of a message, as somebody sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// The message or edit whose content it is, and the cseq of that edit; 0: never edited.
    Message {
        content: usize,
        edited: u64,
    },
    /// Taken back, or kept from a former member.
    Empty {
        is_recalled: bool,
    },
    /// The content of an edit, if it can be seen.
    Edit {
        of: u64,
        content: Option<usize>,
    },
    Recall {
        of: u64,
    },
    Grown,
    Act,
}
