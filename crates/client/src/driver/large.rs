//! Which large groups this device is behind in, and which of them it is asking for. Its place in each is with the marks
//! of the conversations; `places.rs` moves it.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub(crate) struct Large {
    /// How far groups have grown in which this device is behind.
    pub heads: BTreeMap<String, u64>,
    pub asked: Option<String>,
    /// Those where an answer must come first: the next entry may be what this device itself has sent.
    pub waiting: BTreeSet<String>,
}

impl Large {
    pub fn on_new_connection(&mut self) {
        self.asked = None;
    }

    pub fn on_reset(&mut self, new_log: bool) {
        if new_log {
            self.heads.clear();
        }
        self.asked = None;
    }

    /// A message to this conversation was answered, one way or the other.
    pub fn on_answer(&mut self, conversation: &str) {
        self.waiting.remove(conversation);
    }

    /// The next group that is behind.
    pub fn next(&self) -> Option<(String, u64)> {
        let mut heads = self.heads.iter().filter(|(group, _)| !self.waiting.contains(*group));
        heads.next().map(|(group, head)| (group.clone(), *head))
    }

    pub fn on_head(&mut self, group: &str, head: u64) {
        let known = self.heads.entry(group.to_owned()).or_default();
        *known = head.max(*known);
    }
}
