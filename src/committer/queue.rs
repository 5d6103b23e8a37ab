//! The way into the committer: a queue that is handed over whole, bounded by the memory that waits in it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
};

use tokio::sync::Notify;

use super::op::Op;

/// Where links and operators put changes, and the committer finds them.
pub struct CommitQueue {
    inner: Mutex<Inner>,
    /// Rung when something is put in.
    bell: Notify,
    max_weight: usize,
}

#[derive(Default)]
struct Inner {
    ops: Vec<Op>,
    weight: usize,
    closed: bool,
    /// Links that wait for room.
    waiting: Vec<Waker>,
}

impl CommitQueue {
    /// Links pause reading while more than `max_weight` bytes wait.
    pub fn new(max_weight: usize) -> Self {
        Self { inner: Mutex::default(), bell: Notify::new(), max_weight }
    }

    /// Hands a change over. False: the committer has stopped, and the change is dropped.
    pub fn put(&self, op: Op) -> bool {
        let mut inner = self.lock();
        if inner.closed {
            return false;
        }
        inner.weight += op.weight();
        inner.ops.push(op);
        let first = inner.ops.len() == 1;
        drop(inner);
        if first {
            self.bell.notify_one();
        }
        true
    }

    /// Whether more may be read from clients. If not, the caller is woken when there is room again.
    pub fn has_room(&self, context: &Context<'_>) -> bool {
        let mut inner = self.lock();
        let has_room = inner.weight < self.max_weight;
        if !has_room {
            inner.waiting.push(context.waker().clone());
        }
        has_room
    }

    /// Everything that waits, in order; waits for the first. None: the queue is closed and empty.
    pub async fn take(&self) -> Option<Vec<Op>> {
        loop {
            if let Some(taken) = self.try_take() {
                return taken;
            }
            self.bell.notified().await;
        }
    }

    /// None: nothing waits yet.
    fn try_take(&self) -> Option<Option<Vec<Op>>> {
        let mut inner = self.lock();
        if inner.ops.is_empty() {
            return inner.closed.then_some(None);
        }
        inner.weight = 0;
        let ops = std::mem::take(&mut inner.ops);
        let waiting = std::mem::take(&mut inner.waiting);
        drop(inner);
        waiting.into_iter().for_each(Waker::wake);
        Some(Some(ops))
    }

    /// Takes no more; what waits is still committed.
    pub fn close(&self) {
        self.lock().closed = true;
        self.bell.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing between lock and unlock can panic half-way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
