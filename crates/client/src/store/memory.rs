//! A store that lives as long as the process: for one-shot programs and tests.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    local::{Capacity, Change, KEPT_ANSWERS, Loaded, LocalStore, ShownMark, StoreError, Unread, page_of},
    record::{Answer, ConversationMark, Meta, OutboxItem, StoredEvent},
};

/// Keeps everything in memory. What is unanswered or unseen when the process ends is lost to this device.
#[derive(Default)]
pub struct MemoryStore {
    meta: Option<Meta>,
    outbox: BTreeMap<u64, OutboxItem>,
    answers: BTreeMap<u64, Answer>,
    events: BTreeMap<u64, StoredEvent>,
    last_event: u64,
    conversations: BTreeMap<String, ConversationMark>,
    mark: Arc<MemoryMark>,
}

#[derive(Default)]
struct MemoryMark(AtomicU64);

impl ShownMark for MemoryMark {
    fn set(&self, number: u64) {
        self.0.fetch_max(number, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl MemoryStore {
    pub fn new() -> Self {
        Self::default()
    }
}

impl LocalStore for MemoryStore {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        self.events = self.events.split_off(&(self.mark.read() + 1));
        let mut unread = Unread::default();
        self.events.values().for_each(|event| unread.add(event));
        Ok(Loaded {
            meta: self.meta.clone(),
            outbox: self.outbox.values().cloned().collect(),
            unread,
            last_event: self.last_event,
            conversations: self.conversations.iter().map(|(peer, mark)| (peer.clone(), mark.clone())).collect(),
        })
    }

    fn events(&mut self, after: u64, page: Capacity) -> Result<Vec<(u64, StoredEvent)>, StoreError> {
        page_of(self.events.range(after + 1..).map(|(number, event)| Ok((*number, event.clone()))), page)
    }

    fn commit(&mut self, change: &Change) -> Result<(), StoreError> {
        if let Some(meta) = &change.meta {
            self.meta = Some(meta.clone());
        }
        self.outbox.extend(change.queued.iter().map(|item| (item.send_no, item.clone())));
        for (send_no, answer) in &change.answers {
            self.outbox.remove(send_no);
            self.answers.insert(*send_no, answer.clone());
        }
        if let Some((&newest, _)) = self.answers.last_key_value() {
            self.answers = self.answers.split_off(&newest.saturating_sub(KEPT_ANSWERS - 1));
        }
        self.events.extend(change.events.iter().cloned());
        self.last_event = change.events.last().map_or(self.last_event, |(number, _)| *number);
        self.events = self.events.split_off(&(change.shown + 1));
        self.conversations.extend(change.conversations.iter().cloned());
        Ok(())
    }

    fn answer(&mut self, send_no: u64) -> Result<Option<Answer>, StoreError> {
        Ok(self.answers.get(&send_no).cloned())
    }

    fn mark(&self) -> Arc<dyn ShownMark> {
        self.mark.clone()
    }
}
