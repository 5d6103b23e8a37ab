//! A line of the conversation list, as the application sees it.

use bytes::Bytes;
use hongyan_proto::{ConversationId, Uid, wire};

use crate::{entry::Entry, group::Group};

/// A conversation as this user sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// The peer, oneself (saved messages), or a group.
    pub id: ConversationId,
    /// The newest cseq in it; 0: nothing was written yet.
    pub head_cseq: u64,
    /// Everything up to here has been read, on one device or another.
    pub read_cseq: u64,
    /// Messages of others above the read mark that have not been taken back. 1,000 means: or more.
    pub unread: u32,
    pub pinned: bool,
    /// In milliseconds since 1970; 0: not muted.
    pub muted_until_ms: u64,
    pub archived: bool,
    pub draft: Bytes,
    /// How far the peer has it; 0 in groups and saved messages.
    pub peer_delivered_cseq: u64,
    pub peer_read_cseq: u64,
    /// Messages disappear after so many seconds; 0: they stay.
    pub disappear_after_s: u32,
    /// Pinned messages, the newest pin last.
    pub pins: Vec<u64>,
    /// Of a group that this user is in.
    pub group: Option<Group>,
    /// This user is no member any more.
    pub former: bool,
    /// What can be seen begins here; 0: at the beginning.
    pub first_cseq: u64,
    /// The newest thing in it, in short: without what a message carries and what an edit says, and of a long text only
    /// the beginning.
    pub last: Option<Entry>,
}

impl Conversation {
    /// None: it names nothing that can exist.
    pub(crate) fn read(me: &Uid, mut row: wire::Conversation) -> Option<Self> {
        let id = ConversationId::new(&row.conversation).ok()?;
        if id == *me {
            // Nobody else is there to receive saved messages.
            (row.peer_delivered_cseq, row.peer_read_cseq) = (0, 0);
        }
        let last = row.last.and_then(|mut last| {
            last.to = if last.from == me.as_str() { id.to_string() } else { peer_of(&id, me) };
            Entry::read(me, 0, last)
        });
        Some(Self {
            id,
            head_cseq: row.head_cseq,
            read_cseq: row.read_cseq,
            unread: row.unread,
            pinned: row.pinned,
            muted_until_ms: row.muted_until_ms,
            archived: row.archived,
            draft: row.draft,
            peer_delivered_cseq: row.peer_delivered_cseq,
            peer_read_cseq: row.peer_read_cseq,
            disappear_after_s: row.disappear_after_s,
            pins: row.pins,
            group: row.group.and_then(Group::read),
            former: row.former,
            first_cseq: row.first_cseq,
            last,
        })
    }

    /// How a list is ordered: those pinned first, then by the time of the newest entry, the newest first.
    pub fn order(&self, other: &Self) -> std::cmp::Ordering {
        let key = |row: &Self| (row.pinned, row.time_ms());
        key(other).cmp(&key(self)).then_with(|| self.id.cmp(&other.id))
    }

    /// What a list shows it by: the title of a group that has one, otherwise the id.
    pub fn title(&self) -> String {
        let title = self.group.as_ref().map(|group| group.settings.title.as_str()).filter(|title| !title.is_empty());
        title.map_or_else(|| self.id.to_string(), str::to_owned)
    }

    /// When the newest thing happened, in milliseconds since 1970; 0: never.
    pub fn time_ms(&self) -> u64 {
        match &self.last {
            Some(Entry::Message(message)) => message.time_ms,
            Some(Entry::Changed(changed)) => changed.time_ms,
            None => 0,
        }
    }
}

/// Whom something by somebody else was addressed to.
fn peer_of(id: &ConversationId, me: &Uid) -> String {
    match id {
        ConversationId::Group(_) => id.to_string(),
        ConversationId::User(_) => me.to_string(),
    }
}
