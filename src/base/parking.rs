//! One future on a thread of its own. Its timer is the thread's sleep, which is exact to some tens of microseconds; the
//! runtime's timers are exact to a millisecond, which is longer than a sync of the disk.

use std::{
    cell::Cell,
    future::Future,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Instant,
};

use super::environment::Timer;

/// Runs what `make` makes to its end on this thread, which sleeps in between.
pub fn block_on<F: Future>(make: impl FnOnce(ParkingTimer) -> F) -> F::Output {
    let due = Rc::new(Cell::new(None));
    let mut future = pin!(make(ParkingTimer { due: due.clone() }));
    let waker = Waker::from(Arc::new(Parked(thread::current())));
    loop {
        due.set(None);
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        match due.get() {
            None => thread::park(),
            Some(due) => thread::park_timeout(due.saturating_duration_since(Instant::now())),
        }
    }
}

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Wakes the thread that it was made for.
pub struct ParkingTimer {
    due: Rc<Cell<Option<Instant>>>,
}

impl Timer for ParkingTimer {
    fn poll_at(self: Pin<&mut Self>, deadline: Instant, _: &mut Context<'_>) -> Poll<()> {
        if deadline <= Instant::now() {
            return Poll::Ready(());
        }
        self.due.set(Some(self.due.get().map_or(deadline, |due| due.min(deadline))));
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use super::*;

    #[test]
    fn it_wakes_for_time_and_for_others() {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let start = Instant::now();
        let received = block_on(|mut timer| async move {
            poll_fn(|context| Pin::new(&mut timer).poll_at(start + Duration::from_millis(2), context)).await;
            assert!(start.elapsed() >= Duration::from_millis(2), "not before its time");
            thread::spawn(move || sender.blocking_send(7));
            receiver.recv().await
        });
        assert_eq!(received, Some(7));
    }
}
