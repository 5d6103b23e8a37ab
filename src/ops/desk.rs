//! Where things are handed over to the committer, and where its answers arrive.

use std::{
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
};

use super::{
    answer::Answer,
    id::{AcceptNo, OpId},
    op::Op,
    queue::OpQueue,
    waiting::Waiting,
};

/// One node's way to the committer and back.
pub struct Desk {
    queue: OpQueue,
    waiting: Waiting,
    accepted: AtomicU64,
}

impl Desk {
    /// Links pause reading while more than `max_weight` bytes wait.
    pub fn new(max_weight: usize) -> Self {
        Self { queue: OpQueue::new(max_weight), waiting: Waiting::default(), accepted: AtomicU64::new(0) }
    }

    pub fn queue(&self) -> &OpQueue {
        &self.queue
    }

    /// The next number for a connection that has just been accepted.
    pub fn accept(&self) -> AcceptNo {
        AcceptNo(self.accepted.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Hands over what nobody waits for. False: nothing is taken any more.
    pub fn put(&self, op: Op) -> bool {
        self.queue.put(op)
    }

    /// Hands over what `make` makes of an id, and waits for its answer. None: nothing is taken any more.
    pub fn ask(&self, make: impl FnOnce(OpId) -> Op) -> Option<Asked<'_>> {
        let asked = Asked { desk: self, op: Some(self.waiting.open()?) };
        self.queue.put(make(asked.op?)).then_some(asked)
    }

    /// Brings an answer to who waits for it. A device that was bound for somebody who waits no more leaves again.
    pub fn answer(&self, op: OpId, answer: Answer) {
        if let Err(unclaimed) = self.waiting.answer(op, answer) {
            self.give_back(unclaimed);
        }
    }

    fn give_back(&self, unclaimed: Answer) {
        if let Answer::LoggedIn(Ok(bound)) = unclaimed {
            // A server that is stopping has no use for it.
            let _ = self.queue.put(Op::Left(bound.channel));
        }
    }

    /// Takes nothing any more; what has been handed over is still committed.
    pub fn close(&self) {
        self.queue.close();
    }

    /// The committer has ended: takes nothing any more, and tells so whoever still waits, for an answer or for room.
    pub fn end(&self) {
        self.queue.close();
        // Nobody takes it any more.
        drop(self.queue.take());
        self.waiting.end();
    }
}

/// The answer to come. Dropping it takes nothing back of what was asked; a login that nobody has waited for leaves.
pub struct Asked<'a> {
    desk: &'a Desk,
    /// None: it has been answered.
    op: Option<OpId>,
}

impl Future for Asked<'_> {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let op = self.op.expect("it is not polled again after the answer");
        let answer = self.desk.waiting.poll(op, context);
        if answer.is_ready() {
            self.op = None;
        }
        answer
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(unclaimed) = self.op.and_then(|op| self.desk.waiting.close(op)) {
            self.desk.give_back(unclaimed);
        }
    }
}
