//! What is uncertain in the conversation list of this device: which lines are to be asked for, and which question is
//! under way. The lines themselves are with the marks of their conversations; `list.rs` keeps both.

use std::collections::{BTreeMap, HashSet};

use tokio::sync::oneshot;

use crate::conversation::Conversation;

#[derive(Default)]
pub(crate) struct Rows {
    /// Lines that came out of the log since the question under way was asked.
    pub told: HashSet<String>,
    /// Lines to be asked for, each with the head of its last answer.
    pub stale: BTreeMap<String, u64>,
    pub asked: Option<String>,
    /// Who waits for the list to be loaded.
    pub waiting: Vec<oneshot::Sender<Vec<Conversation>>>,
}

impl Rows {
    pub fn on_new_connection(&mut self) {
        if let Some(asked) = self.asked.take() {
            self.stale.entry(asked).or_default();
        }
    }

    /// The list is asked for from here on: what comes out of the log meanwhile is newer.
    pub fn on_asked(&mut self) {
        self.told.clear();
    }
}
