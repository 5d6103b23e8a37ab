//! The one task of a device: it makes connections, takes one turn after the other, and waits for what comes next.

use std::task::{Context, Poll};

use super::state::Device;
use crate::base::environment::Timer as _;

impl Device {
    /// Does what can be done now. It never ends.
    pub fn poll(&mut self, context: &mut Context<'_>) {
        self.waker = Some(context.waker().clone());
        let mut goes_on = false;
        loop {
            let now = self.world.clock.now();
            self.abandoned.retain(|(until, _)| *until > now);
            if self.stopped.is_some() || self.is_off {
                return;
            }
            if self.line.is_some() {
                if !self.turn(context, goes_on) {
                    return self.wait(context);
                }
                goes_on = self.line.is_some();
            } else if self.next_try <= now {
                self.connect();
            } else {
                return self.wait(context);
            }
        }
    }

    fn wait(&mut self, context: &mut Context<'_>) {
        let now = self.world.clock.now();
        let pauses = [self.slow_until, self.deaf_until].into_iter().filter(|until| *until > now);
        let abandoned = self.abandoned.iter().map(|(until, _)| *until);
        let due = match &self.line {
            Some(line) => line.connection.poll_timeout(),
            None => Some(self.next_try),
        };
        let all = pauses.chain(abandoned).chain(due).chain(self.leave_at);
        if let Some(due) = all.min()
            && let Poll::Ready(()) = self.timer.as_mut().poll_at(due, context)
        {
            context.waker().wake_by_ref();
        }
    }
}
