//! The events between the store and the application: numbered when they are kept, given out in order. The oldest unread
//! ones are in memory; those behind them are in the store alone, and are read back as the application takes events.

use std::{collections::VecDeque, sync::Arc};

use hongyan_proto::Uid;
use prost::Message as _;
use tokio::sync::mpsc;

use crate::{
    event::{Event, Numbered, to_event},
    store::{Capacity, Change, IN_MEMORY, ShownMark, StoredEvent, Unread},
};

/// Passing events beyond the room in memory.
const MAX_PASSING: usize = 64;
/// Events that lie ready for the application, beyond those that wait.
pub(crate) const READY: usize = 16;

/// Events and their bytes.
#[derive(Clone, Copy, Default)]
struct Size {
    events: usize,
    bytes: usize,
}

impl Size {
    fn add(&mut self, bytes: usize) {
        self.events += 1;
        self.bytes += bytes;
    }

    fn remove(&mut self, bytes: usize) {
        self.events -= 1;
        self.bytes -= bytes;
    }

    fn reaches(&self, Capacity { events, bytes }: Capacity) -> bool {
        self.events >= events || self.bytes >= bytes
    }
}

fn half(capacity: Capacity) -> Capacity {
    Capacity { events: capacity.events / 2, bytes: capacity.bytes / 2 }
}

pub(crate) struct Queue {
    sender: mpsc::Sender<Numbered>,
    mark: Arc<dyn ShownMark>,
    /// What may be unread before entries are held back.
    capacity: Capacity,
    /// The oldest unread events.
    waiting: VecDeque<(Numbered, usize)>,
    /// Of `waiting`, and of the round that is not committed yet.
    at_hand: Size,
    /// The newest kept event of these.
    newest: u64,
    /// Later events, which are in the store alone.
    stored: Size,
    /// Passing events among the stored ones, each with the number of the kept event before it.
    passing: VecDeque<(u64, Event)>,
    /// Unread answers to items of the outbox, wherever they are.
    answers: usize,
    last: u64,
}

impl Queue {
    /// `last` is the newest event ever kept; `unread` of them are in the store.
    pub fn new(
        sender: mpsc::Sender<Numbered>,
        mark: Arc<dyn ShownMark>,
        capacity: Capacity,
        last: u64,
        unread: Unread,
    ) -> Self {
        let Unread { events, bytes, answers } = unread;
        let newest = mark.read();
        Self {
            sender,
            mark,
            capacity,
            waiting: VecDeque::new(),
            at_hand: Size::default(),
            newest,
            stored: Size { events, bytes },
            passing: VecDeque::new(),
            answers,
            last,
        }
    }

    fn unread(&self) -> Size {
        let Self { at_hand, stored, .. } = self;
        Size { events: at_hand.events + stored.events, bytes: at_hand.bytes + stored.bytes }
    }

    /// Whether the application is so far behind that entries are to be held back.
    pub fn is_full(&self) -> bool {
        self.unread().reaches(self.capacity)
    }

    /// Whether it pays to ask for entries again after [`Self::is_full`].
    pub fn has_room(&self) -> bool {
        !self.unread().reaches(half(self.capacity))
    }

    /// Whether the application is slower than memory has room for.
    pub fn is_behind(&self) -> bool {
        self.stored.events > 0 || self.at_hand.reaches(IN_MEMORY)
    }

    /// Answers that the application has not taken.
    pub fn unread_answers(&self) -> usize {
        self.answers
    }

    /// Whether the application has dropped its end.
    pub fn is_abandoned(&self) -> bool {
        self.sender.is_closed()
    }

    /// The newest event that the application has handled.
    pub fn shown(&self) -> u64 {
        self.mark.read()
    }

    /// Numbers an event that is to be kept, as part of `change`. [`Self::give`] it once that is committed. None: it
    /// comes out of the store later, or never.
    pub fn keep(&mut self, uid: &Uid, stored: StoredEvent, change: &mut Change) -> Option<(Numbered, usize)> {
        let event = to_event(uid, stored.clone())?;
        self.last += 1;
        self.answers += usize::from(stored.is_answer());
        let size = stored.encoded_len();
        change.events.push((self.last, stored));
        // Where the store is not larger than memory, what waits in it alone could be lost with it.
        let spills = self.capacity != IN_MEMORY && self.at_hand.reaches(IN_MEMORY);
        if spills || self.stored.events > 0 {
            self.stored.add(size);
            return None;
        }
        self.at_hand.add(size);
        self.newest = self.last;
        Some((Numbered { number: self.last, event }, size))
    }

    /// An event that is not kept. None: it comes later, or too many wait.
    pub fn passing(&mut self, event: Event) -> Option<(Numbered, usize)> {
        if self.stored.events > 0 {
            // The newest ones tell how things are.
            if self.passing.len() >= MAX_PASSING {
                self.passing.pop_front();
            }
            self.passing.push_back((self.last, event));
            return None;
        }
        if self.at_hand.events >= IN_MEMORY.events + MAX_PASSING {
            return None;
        }
        self.at_hand.add(0);
        Some((Numbered { number: 0, event }, 0))
    }

    /// After which event to read on in the store, and how much, if there is room for it.
    pub fn lacks(&self) -> Option<(u64, Capacity)> {
        let page = half(IN_MEMORY);
        (self.stored.events > 0 && !self.at_hand.reaches(page)).then_some((self.newest, page))
    }

    /// What the store holds after [`Self::lacks`].
    pub fn refill(&mut self, uid: &Uid, events: Vec<(u64, StoredEvent)>) {
        for (number, stored) in events {
            self.pass_up_to(number - 1);
            let size = stored.encoded_len();
            self.stored.remove(size);
            self.newest = number;
            let is_answer = stored.is_answer();
            match to_event(uid, stored) {
                Some(event) => {
                    self.at_hand.add(size);
                    self.waiting.push_back((Numbered { number, event }, size));
                }
                None => self.answers -= usize::from(is_answer),
            }
        }
        if self.stored.events == 0 {
            self.pass_up_to(self.last);
        }
        self.give(Vec::new());
    }

    fn pass_up_to(&mut self, number: u64) {
        while let Some((_, event)) = self.passing.pop_front_if(|(after, _)| *after <= number) {
            self.at_hand.add(0);
            self.waiting.push_back((Numbered { number: 0, event }, 0));
        }
    }

    /// Everything of it is committed: it may be shown.
    pub fn give(&mut self, events: Vec<(Numbered, usize)>) {
        self.waiting.extend(events);
        while !self.waiting.is_empty() {
            match self.sender.clone().try_reserve_owned() {
                Ok(permit) => self.pop().map(|event| permit.send(event)),
                Err(_) => break,
            };
        }
    }

    fn pop(&mut self) -> Option<Numbered> {
        let (event, size) = self.waiting.pop_front()?;
        self.at_hand.remove(size);
        self.answers -= usize::from(matches!(event.event, Event::Sent(_) | Event::Refused { .. }));
        Some(event)
    }

    /// Hands one event over as soon as there is room; never returns when there is none to hand over.
    pub async fn progress(&mut self) {
        if self.waiting.is_empty() || self.sender.is_closed() {
            return std::future::pending().await;
        }
        if let Ok(permit) = self.sender.clone().reserve_owned().await
            && let Some(event) = self.pop()
        {
            permit.send(event);
        }
    }

    /// Hands over everything and then `last`, for as long as the application listens.
    pub async fn finish(mut self, last: Event) {
        while let Some(event) = self.pop() {
            if self.sender.send(event).await.is_err() {
                return;
            }
        }
        let _ = self.sender.send(Numbered { number: 0, event: last }).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{LocalStore, MemoryStore};

    fn queue(unread: Unread) -> (Queue, mpsc::Receiver<Numbered>) {
        let (sender, receiver) = mpsc::channel(READY);
        (Queue::new(sender, MemoryStore::default().mark(), IN_MEMORY, 0, unread), receiver)
    }

    #[test]
    fn what_passes_is_dropped_where_the_application_takes_nothing() {
        let (mut queue, mut receiver) = queue(Unread::default());
        for _ in 0..1000 {
            let event = queue.passing(Event::Reset);
            queue.give(event.into_iter().collect());
        }
        assert_eq!(queue.waiting.len(), IN_MEMORY.events + MAX_PASSING);
        assert!(receiver.try_recv().is_ok());
    }

    #[test]
    fn of_what_passes_behind_stored_events_the_newest_is_kept() {
        let (mut queue, _receiver) = queue(Unread { events: 1, bytes: 1, answers: 0 });
        for number in 0..1000 {
            assert!(queue.passing(Event::Connected { resumed: number == 999 }).is_none());
        }
        assert_eq!(queue.passing.len(), MAX_PASSING);
        assert!(matches!(queue.passing.back(), Some((_, Event::Connected { resumed: true }))));
    }
}
