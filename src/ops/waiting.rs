//! Who waits for an answer: the place where it is put, and whom it wakes.

use std::{
    num::NonZeroU64,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use slab::Slab;

use super::{answer::Answer, id::OpId};

/// Bits of an [`OpId`] that say where it stands in the table; those above say which of all that ever stood there.
const PLACE_BITS: u32 = 24;
/// Room for more than so many is given back when nobody waits.
const MANY: usize = 64;
/// So many may wait at once.
const MAX_WAITING: usize = 1 << PLACE_BITS;

/// The operations of this node that somebody waits for.
#[derive(Default)]
pub struct Waiting(Mutex<Table>);

#[derive(Default)]
struct Table {
    waiters: Slab<Waiter>,
    /// Counts those who have ever waited.
    turn: u64,
    is_over: bool,
}

struct Waiter {
    op: OpId,
    state: State,
}

enum State {
    Asking(Option<Waker>),
    Answered(Answer),
}

impl Waiting {
    /// A place for one who is about to ask. None: nobody is answered any more, or too many wait.
    pub fn open(&self) -> Option<OpId> {
        let mut table = self.lock();
        if table.is_over || table.waiters.len() >= MAX_WAITING {
            return None;
        }
        table.turn += 1;
        let turn = table.turn;
        let entry = table.waiters.vacant_entry();
        let op = OpId(NonZeroU64::new(turn << PLACE_BITS | entry.key() as u64).expect("turns begin at 1"));
        entry.insert(Waiter { op, state: State::Asking(None) });
        Some(op)
    }

    /// Puts the answer where it is waited for. Err: nobody waits for it any more.
    pub fn answer(&self, op: OpId, answer: Answer) -> Result<(), Answer> {
        let mut table = self.lock();
        let Some(waiter) = table.find(op) else { return Err(answer) };
        let before = std::mem::replace(&mut waiter.state, State::Answered(answer));
        drop(table);
        match before {
            State::Asking(Some(waker)) => waker.wake(),
            State::Asking(None) => {}
            State::Answered(_) => debug_assert!(false, "an operation is answered once"),
        }
        Ok(())
    }

    /// Ready with the answer, whose place is given up then.
    pub fn poll(&self, op: OpId, context: &Context<'_>) -> Poll<Answer> {
        let mut table = self.lock();
        let waiter = table.find(op).expect("who polls has a place until it is answered");
        if let State::Asking(waker) = &mut waiter.state {
            if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                *waker = Some(context.waker().clone());
            }
            return Poll::Pending;
        }
        Poll::Ready(table.close(op).expect("it has just been seen there"))
    }

    /// Gives a place up; the answer, if one lay there that nobody has taken.
    pub fn close(&self, op: OpId) -> Option<Answer> {
        self.lock().close(op)
    }

    /// Nothing is answered any more: whoever waits hears so, and nobody else can begin to.
    pub fn end(&self) {
        let mut table = self.lock();
        table.is_over = true;
        let mut wakers = Vec::new();
        for (_, waiter) in &mut table.waiters {
            if let State::Asking(waker) = &mut waiter.state {
                wakers.extend(waker.take());
                waiter.state = State::Answered(Answer::Stopped);
            }
        }
        drop(table);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing between lock and unlock can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn find(&mut self, op: OpId) -> Option<&mut Waiter> {
        let place = op.0.get() as usize & (MAX_WAITING - 1);
        self.waiters.get_mut(place).filter(|waiter| waiter.op == op)
    }

    fn close(&mut self, op: OpId) -> Option<Answer> {
        self.find(op)?;
        let waiter = self.waiters.remove(op.0.get() as usize & (MAX_WAITING - 1));
        if self.waiters.is_empty() && self.waiters.capacity() > MANY {
            self.waiters = Slab::new();
        }
        match waiter.state {
            State::Answered(answer) => Some(answer),
            State::Asking(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_finds_who_asked_and_nobody_else() {
        let waiting = Waiting::default();
        let context = Context::from_waker(Waker::noop());
        let first = waiting.open().unwrap();
        assert!(waiting.poll(first, &context).is_pending());
        assert_eq!(waiting.close(first), None);

        let second = waiting.open().unwrap();
        assert_ne!(first, second, "in the same place, under another name");
        assert_eq!(waiting.answer(first, Answer::Replaced), Err(Answer::Replaced), "nobody waits for it any more");
        assert!(waiting.poll(second, &context).is_pending());
        waiting.answer(second, Answer::Replaced).unwrap();
        assert_eq!(waiting.poll(second, &context), Poll::Ready(Answer::Replaced));
        assert_eq!(waiting.answer(second, Answer::Replaced), Err(Answer::Replaced));
    }

    #[test]
    fn an_answer_that_nobody_has_taken_is_given_back() {
        let waiting = Waiting::default();
        let op = waiting.open().unwrap();
        waiting.answer(op, Answer::Replaced).unwrap();
        assert_eq!(waiting.close(op), Some(Answer::Replaced));
    }

    #[test]
    fn whoever_waits_hears_of_the_end() {
        let waiting = Waiting::default();
        let op = waiting.open().unwrap();
        waiting.end();
        assert_eq!(waiting.poll(op, &Context::from_waker(Waker::noop())), Poll::Ready(Answer::Stopped));
        assert!(waiting.open().is_none());
    }
}
