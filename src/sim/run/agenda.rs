//! What is still to be done to the world from outside, in its order.

use std::{collections::BTreeMap, time::Instant};

use crate::sim::plan::{Fault, Wanted};

/// What is done to the world from outside.
#[derive(Debug)]
pub enum Act {
    Want(Wanted),
    Fault(Fault),
    Start,
    Restart,
    Thaw,
    DiskIsGood,
    On(usize),
    DrainClose,
    DrainEnd,
}

/// In the order of their times, and then of their making.
#[derive(Default)]
pub struct Agenda {
    acts: BTreeMap<(Instant, usize), Act>,
    made: usize,
}

impl Agenda {
    pub fn put(&mut self, at: Instant, act: Act) {
        self.made += 1;
        self.acts.insert((at, self.made), act);
    }

    /// The next one and its time, if that is not after `end`.
    pub fn next(&mut self, end: Instant) -> Option<(Instant, Act)> {
        let next = self.acts.first_entry().filter(|next| next.key().0 <= end)?;
        let ((at, _), act) = next.remove_entry();
        Some((at, act))
    }

    /// All of it in its order; none of it happens by itself any more.
    pub fn take_all(&mut self) -> impl Iterator<Item = Act> + use<> {
        std::mem::take(&mut self.acts).into_values()
    }

    pub fn clear(&mut self) {
        self.acts.clear();
    }
}
