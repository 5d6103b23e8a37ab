//! What is still to be loaded after a reset: the list of conversations, and then what stands in each of them.

use std::collections::VecDeque;

use hongyan_proto::wire::{self, entry::Item};

use super::requests::{self, RELOAD};

/// What is still to be loaded after a reset, on this connection.
#[derive(Default)]
pub struct Reload {
    /// No entry after the reset or login is acked up to more than this.
    pub base: u64,
    /// How many resets came before it on this connection. What was asked before one is not an answer behind it.
    resets: u64,
    is_asked: bool,
    is_listed: bool,
    list_after: u64,
    /// Conversations to load, each from behind a cseq.
    todo: VecDeque<(String, u64)>,
}

impl Reload {
    /// What is to be loaded after another reset, which says where the log goes on.
    pub fn anew(&self, head: u64) -> Self {
        Self { base: head, resets: self.resets + 1, ..Self::default() }
    }

    /// A login goes on from there.
    pub fn begin_at(&mut self, cursor: u64) {
        self.base = self.base.max(cursor);
    }

    /// None: the last one has no answer yet.
    pub fn next_request(&mut self) -> Option<wire::Request> {
        if std::mem::replace(&mut self.is_asked, true) {
            return None;
        }
        Some(match self.todo.front() {
            Some((conversation, after)) => requests::history(self.id(), conversation.clone(), *after),
            None => requests::conversations(self.id(), self.list_after),
        })
    }

    /// Of its requests.
    pub fn id(&self) -> u64 {
        RELOAD + self.resets
    }

    /// A page of the list has come.
    pub fn list(&mut self, page: &wire::ConversationsPage) {
        self.is_asked = false;
        self.todo.extend(page.conversations.iter().map(|row| (row.conversation.clone(), 0)));
        self.list_after = page.next;
        self.is_listed = page.next == 0;
    }

    /// The messages of a page of history that has come.
    pub fn load(&mut self, page: wire::HistoryPage) -> Vec<wire::Message> {
        self.is_asked = false;
        let messages = page.entries.into_iter().filter_map(|entry| match entry.item {
            Some(Item::Message(message)) => Some(message),
            _ => None,
        });
        let messages: Vec<_> = messages.collect();
        match (page.more, messages.last(), self.todo.front_mut()) {
            (true, Some(last), Some(front)) => front.1 = last.cseq,
            _ => drop(self.todo.pop_front()),
        }
        messages
    }

    /// Nothing is missing any more.
    pub fn is_done(&self) -> bool {
        self.is_listed && self.todo.is_empty()
    }
}
