//! The way into the committer: a queue that is handed over whole, bounded by the memory that waits in it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
};

use tokio::sync::Notify;

use super::op::Op;

/// Room for so many is made at most before they come.
const EXPECTED: usize = 64;

/// Where links and operators put changes, and the committer finds them.
pub struct CommitQueue {
    inner: Mutex<Inner>,
    /// Rung when the first thing is put in, and for the first that cannot wait.
    bell: Notify,
    max_weight: usize,
}

#[derive(Default)]
struct Inner {
    ops: Vec<Op>,
    /// How many of them somebody waits for.
    urgent: usize,
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
        let is_urgent = op.is_urgent();
        inner.weight += op.weight();
        inner.urgent += usize::from(is_urgent);
        inner.ops.push(op);
        let is_first = inner.ops.len() == 1 || is_urgent && inner.urgent == 1;
        drop(inner);
        if is_first {
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

    /// Ready when something waits here, or nothing more can come.
    pub async fn filled(&self) {
        self.until(|inner| !inner.ops.is_empty()).await;
    }

    /// Ready when something waits here that somebody waits for, or nothing more can come.
    pub async fn urgent(&self) {
        self.until(|inner| inner.urgent > 0).await;
    }

    async fn until(&self, is_reached: impl Fn(&Inner) -> bool) {
        let is_over = || {
            let inner = self.lock();
            inner.closed || is_reached(&inner)
        };
        while !is_over() {
            self.bell.notified().await;
        }
    }

    /// How many waiting things somebody waits for.
    pub fn urgent_len(&self) -> usize {
        self.lock().urgent
    }

    /// Everything that waits, in order. None: the queue is closed and empty.
    pub fn take(&self) -> Option<Vec<Op>> {
        let mut inner = self.lock();
        if inner.closed && inner.ops.is_empty() {
            return None;
        }
        inner.weight = 0;
        inner.urgent = 0;
        // About as many will come again.
        let room = Vec::with_capacity(inner.ops.len().min(EXPECTED));
        let ops = std::mem::replace(&mut inner.ops, room);
        let waiting = std::mem::take(&mut inner.waiting);
        drop(inner);
        waiting.into_iter().for_each(Waker::wake);
        Some(ops)
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
