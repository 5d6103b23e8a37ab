//! The alarms of all links: when to wake whom, in one ordered map. A link then carries 16 bytes for its timer, where one
//! of the runtime's own would be a fifth of its task.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::environment::Timer;

/// Alarms go off at multiples of this, so up to so much late, that many may go off together.
const TICK: Duration = Duration::from_millis(50);

/// All alarms that are set. They go off while [`Self::run`] runs.
pub struct Alarms {
    start: Instant,
    set: Mutex<Set>,
    /// Every alarm up to this tick has gone off.
    rung: AtomicU32,
    /// The first alarm is earlier than before.
    changed: Notify,
}

#[derive(Default)]
struct Set {
    /// By tick; the second number tells alarms of the same tick apart.
    wakers: BTreeMap<(u32, u32), Waker>,
    newest: u32,
}

impl Alarms {
    /// Ticks count from `start`; there are enough for six years.
    pub fn new(start: Instant) -> Arc<Self> {
        Arc::new(Self { start, set: Mutex::default(), rung: AtomicU32::new(0), changed: Notify::new() })
    }

    /// An alarm that is not set. All its life it wakes the same task: that which polls it.
    pub fn alarm(self: &Arc<Self>) -> Alarm {
        Alarm { alarms: self.clone(), key: UNSET }
    }

    /// Lets alarms go off until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let first = self.lock().first();
            let due = async {
                let Some(tick) = first else { return std::future::pending().await };
                tokio::time::sleep_until((self.start + TICK * tick).into()).await;
                tick
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.changed.notified() => {}
                tick = due => self.ring(tick),
            }
        }
    }

    /// Wakes everybody whose alarm is set to `tick` or before.
    fn ring(&self, tick: u32) {
        let mut set = self.lock();
        let later = set.wakers.split_off(&(tick + 1, 0));
        let due = std::mem::replace(&mut set.wakers, later);
        self.rung.store(tick, Ordering::Release);
        drop(set);
        due.into_values().for_each(Waker::wake);
    }

    /// The first tick that is not before `deadline`.
    fn tick(&self, deadline: Instant) -> u32 {
        let since_start = deadline.saturating_duration_since(self.start);
        (since_start.div_duration_f64(TICK).ceil() as u32).max(1)
    }

    fn lock(&self) -> MutexGuard<'_, Set> {
        // Nothing between lock and unlock can panic half-way through a change.
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Set {
    fn first(&self) -> Option<u32> {
        self.wakers.first_key_value().map(|((tick, _), _)| *tick)
    }

    fn insert(&mut self, tick: u32, waker: Waker) -> (u32, u32) {
        // They are given anew long before the numbers come round, but one may be that old.
        while self.wakers.contains_key(&(tick, self.newest)) {
            self.newest = self.newest.wrapping_add(1);
        }
        self.wakers.insert((tick, self.newest), waker);
        (tick, self.newest)
    }
}

/// Of an alarm that is not set. No tick is 0.
const UNSET: (u32, u32) = (0, 0);

/// Wakes one task. Dropping it takes it back.
pub struct Alarm {
    alarms: Arc<Alarms>,
    key: (u32, u32),
}

impl Timer for Alarm {
    fn poll_at(mut self: Pin<&mut Self>, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let tick = self.alarms.tick(deadline);
        // A later deadline is looked at when the alarm goes off: most are moved on with every frame that comes.
        if self.key == UNSET || self.key.0 > tick {
            let mut set = self.alarms.lock();
            set.wakers.remove(&self.key);
            let is_first = set.first().is_none_or(|first| tick < first);
            let key = set.insert(tick, context.waker().clone());
            drop(set);
            self.key = key;
            if is_first {
                self.alarms.changed.notify_one();
            }
        }
        if self.key.0 > self.alarms.rung.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        self.alarms.lock().wakers.remove(&self.key);
        self.key = UNSET;
        Poll::Ready(())
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if self.key != UNSET {
            self.alarms.lock().wakers.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn wait(alarm: &mut Alarm, deadline: Instant) {
        poll_fn(|context| Pin::new(&mut *alarm).poll_at(deadline, context)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn alarms_go_off_in_their_order_and_never_early() {
        let start = tokio::time::Instant::now().into_std();
        let alarms = Alarms::new(start);
        let stop = CancellationToken::new();
        tokio::spawn(alarms.clone().run(stop.clone()));
        let waits = [900, 100, 30_000, 120].map(|ms| {
            let mut alarm = alarms.alarm();
            tokio::spawn(async move {
                wait(&mut alarm, start + Duration::from_millis(ms)).await;
                tokio::time::Instant::now().into_std() - start
            })
        });
        for (wait, ms) in waits.into_iter().zip([900, 100, 30_000, 120]) {
            let (due, rang) = (Duration::from_millis(ms), wait.await.unwrap());
            assert!((due..=due + TICK + Duration::from_millis(1)).contains(&rang), "{rang:?} instead of {due:?}");
        }
        assert!(alarms.lock().wakers.is_empty(), "what has gone off is forgotten");
        stop.cancel();
    }
}
