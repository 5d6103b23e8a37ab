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

use slab::Slab;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::environment::Timer;

/// Alarms go off at multiples of this, so up to so much late, that many may go off together.
const TICK: Duration = Duration::from_millis(50);
/// One that is further off than `FAR_TICKS` goes off at a multiple of `COARSE_TICKS`, a second late at the most: ten
/// thousand idle links would otherwise wake the program at every tick.
const COARSE_TICKS: u32 = 20;
const FAR_TICKS: u32 = 10 * COARSE_TICKS;

/// All alarms that are set. They go off while [`Self::run`] runs.
pub struct Alarms {
    start: Instant,
    set: Mutex<Set>,
    /// Every alarm up to this tick has gone off.
    rung: AtomicU32,
    /// The first alarm is earlier than before.
    changed: Notify,
}

/// By tick.
type Set = BTreeMap<u32, Slab<Waker>>;

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
            let first = self.lock().first_key_value().map(|(tick, _)| *tick);
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
        let later = set.split_off(&(tick + 1));
        let due = std::mem::replace(&mut *set, later);
        // One that was set to a moment long past may ring again.
        self.rung.fetch_max(tick, Ordering::Release);
        drop(set);
        due.into_values().flatten().for_each(|(_, waker)| waker.wake());
    }

    /// The first tick that is not before `deadline`.
    fn tick(&self, deadline: Instant) -> u32 {
        let since_start = deadline.saturating_duration_since(self.start);
        (since_start.div_duration_f64(TICK).ceil() as u32).max(1)
    }

    /// When an alarm for `tick` goes off.
    fn rounded(&self, tick: u32) -> u32 {
        match tick > self.tick(tokio::time::Instant::now().into_std()) + FAR_TICKS {
            true => tick.checked_next_multiple_of(COARSE_TICKS).unwrap_or(tick),
            false => tick,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Set> {
        // Nothing between lock and unlock can panic half-way through a change.
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes an alarm back, unless it has gone off.
fn remove(set: &mut Set, (tick, place): (u32, u32)) {
    let Some(wakers) = set.get_mut(&tick) else { return };
    wakers.try_remove(place as usize);
    if wakers.is_empty() {
        set.remove(&tick);
    }
}

/// Of an alarm that is not set. No tick is 0.
const UNSET: (u32, u32) = (0, 0);

/// Wakes one task. Dropping it takes it back.
pub struct Alarm {
    alarms: Arc<Alarms>,
    /// Its tick, and its place among those of the same tick.
    key: (u32, u32),
}

impl Timer for Alarm {
    fn poll_at(mut self: Pin<&mut Self>, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let mut tick = self.alarms.tick(deadline);
        // A later deadline is looked at when the alarm goes off: most are moved on with every frame that comes.
        if self.key == UNSET || self.key.0 > tick {
            tick = self.alarms.rounded(tick);
        }
        if self.key == UNSET || self.key.0 > tick {
            let mut set = self.alarms.lock();
            remove(&mut set, self.key);
            let is_first = set.first_key_value().is_none_or(|(first, _)| tick < *first);
            let place = set.entry(tick).or_default().insert(context.waker().clone());
            drop(set);
            self.key = (tick, place as u32);
            if is_first {
                self.alarms.changed.notify_one();
            }
        }
        if self.key.0 > self.alarms.rung.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        remove(&mut self.alarms.lock(), self.key);
        self.key = UNSET;
        Poll::Ready(())
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if self.key != UNSET {
            remove(&mut self.alarms.lock(), self.key);
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

    /// An alarm that a task of its own waits for; it tells how long it took.
    fn waits(alarms: &Arc<Alarms>, ms: u64) -> tokio::task::JoinHandle<Duration> {
        let (mut alarm, start) = (alarms.alarm(), alarms.start);
        tokio::spawn(async move {
            wait(&mut alarm, start + Duration::from_millis(ms)).await;
            tokio::time::Instant::now().into_std() - start
        })
    }

    #[tokio::test(start_paused = true)]
    async fn alarms_go_off_in_their_order_and_never_early() {
        let alarms = Alarms::new(tokio::time::Instant::now().into_std());
        let stop = CancellationToken::new();
        tokio::spawn(alarms.clone().run(stop.clone()));
        let late = |ms| if ms > 10_000 { TICK * COARSE_TICKS } else { TICK };
        let waiting = [900, 100, 30_010, 120, 9_990].map(|ms| (ms, waits(&alarms, ms)));
        for (ms, waits) in waiting {
            let (due, rang) = (Duration::from_millis(ms), waits.await.unwrap());
            assert!((due..=due + late(ms) + Duration::from_millis(1)).contains(&rang), "{rang:?} instead of {due:?}");
        }
        assert!(alarms.lock().is_empty(), "what has gone off is forgotten");
        stop.cancel();
    }

    #[tokio::test(start_paused = true)]
    async fn many_alarms_that_are_far_off_go_off_together() {
        let alarms = Alarms::new(tokio::time::Instant::now().into_std());
        let waiting: Vec<_> = (0..100).map(|number| waits(&alarms, 60_001 + number * 9)).collect();
        tokio::task::yield_now().await;
        assert_eq!(alarms.lock().len(), 1, "they wake the program once");
        waiting.iter().for_each(|waits| waits.abort());
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_that_is_far_off_is_moved_to_an_earlier_deadline() {
        let alarms = Alarms::new(tokio::time::Instant::now().into_std());
        let stop = CancellationToken::new();
        tokio::spawn(alarms.clone().run(stop.clone()));
        let mut alarm = alarms.alarm();
        let at = |ms| alarms.start + Duration::from_millis(ms);
        tokio::select! {
            () = wait(&mut alarm, at(60_010)) => panic!("it went off too early"),
            () = tokio::time::sleep_until(at(60_000).into()) => {}
        }
        wait(&mut alarm, at(60_200)).await;
        assert!(tokio::time::Instant::now().into_std() <= at(60_251), "the coarse one was at 61 s");
        stop.cancel();
    }
}
