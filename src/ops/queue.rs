//! The way into the committer: a queue that is handed over whole, bounded by the memory that waits in it.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
};

use tokio::sync::Notify;

use super::op::Op;

/// Room for so many is made at most before they come.
const EXPECTED: usize = 64;

/// Where links and operators put changes, and the committer finds them.
pub struct OpQueue {
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
    /// Links that wait for room, each four times at the most.
    waiting: Vec<Waker>,
}

impl OpQueue {
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
            inner.wait(context.waker());
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
        // In tests, the simulation's above all, all that is asked crosses in the form for other nodes.
        #[cfg(test)]
        let ops = ops.into_iter().map(super::wire::cross_op).collect();
        Some(ops)
    }

    /// Takes no more; what waits is still committed.
    pub fn close(&self) {
        self.lock().closed = true;
        self.bell.notify_one();
    }

    /// Whether it takes no more.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing between lock and unlock can panic half-way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// A link looks as often as something else wakes it. Where they have become many, the looks of one link are made one.
    fn wait(&mut self, waker: &Waker) {
        if self.waiting.len() == self.waiting.capacity() {
            let mut links = HashSet::new();
            self.waiting.retain(|waker| links.insert(waker.data()));
            self.waiting.reserve(self.waiting.len() + 1);
        }
        self.waiting.push(waker.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
        task::Wake,
    };

    use hongyan_proto::wire;

    use super::*;
    use crate::{
        base::number::{DeviceNo, UserNo},
        ops::{
            id::{ChannelId, SendNumber},
            op::{Addressed, Asked, Submit},
        },
    };

    #[derive(Default)]
    struct Link {
        woken: AtomicU32,
    }

    impl Wake for Link {
        fn wake(self: Arc<Self>) {
            self.woken.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn room_is_counted_in_bytes_and_a_commit_makes_it() {
        let queue = OpQueue::new(2 * Op::Hour.weight());
        let context = Context::from_waker(Waker::noop());
        assert!(queue.put(Op::Hour) && queue.has_room(&context));
        assert!(queue.put(Op::Hour) && !queue.has_room(&context));
        assert_eq!(queue.take().map(|ops| ops.len()), Some(2));
        assert!(queue.has_room(&context));
    }

    #[test]
    fn a_message_weighs_what_its_content_and_its_mentions_do() {
        let extras = wire::Extras { mentions: vec!["b".repeat(60); 50], ..Default::default() };
        let asked = Asked::Message { content: vec![0; 1000].into(), extras: Some(extras.into()) };
        let from = ChannelId { user: UserNo(1), device: DeviceNo(1), conn_epoch: 1 };
        let body = Ok(Addressed { to: None, asked });
        assert!(Op::Submit(Submit { from, op: None, number: SendNumber::Given(1), body }).weight() > 1000 + 50 * 60);
    }

    #[test]
    fn links_that_wait_are_kept_once_however_often_they_look() {
        let queue = OpQueue::new(0);
        let links: Vec<Arc<Link>> = (0..100).map(|_| Arc::default()).collect();
        for _ in 0..1000 {
            for link in &links {
                assert!(!queue.has_room(&Context::from_waker(&link.clone().into())));
            }
        }
        assert!(queue.lock().waiting.capacity() <= 4 * links.len());
        queue.take();
        assert!(links.iter().all(|link| link.woken.load(Ordering::Relaxed) > 0), "each is woken");
        assert!(queue.lock().waiting.is_empty());
    }
}
