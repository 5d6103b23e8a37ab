//! Time that passes only when nobody has anything to do.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::chance::Chance;
use crate::base::environment::{Environment, Timer};

/// What the calendar shows when a run begins.
const BEGINNING_MS: u64 = 1_800_000_000_000;

/// One run's time and its timers.
pub struct Clock {
    start: Instant,
    /// Nanoseconds since the start.
    passed: AtomicU64,
    inner: Mutex<Inner>,
}

struct Inner {
    /// How far the calendar is off.
    calendar_ms: i64,
    timers: BinaryHeap<Reverse<Alarm>>,
    alarms: u64,
    chance: Chance,
}

/// The waker is no part of the order: alarms ring in the order of their times and of their making.
struct Alarm {
    at: Duration,
    number: u64,
    waker: Waker,
}

impl PartialEq for Alarm {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Alarm {}

impl PartialOrd for Alarm {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Alarm {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl Clock {
    pub fn new(chance: Chance) -> Arc<Self> {
        let inner = Inner { calendar_ms: 0, timers: BinaryHeap::new(), alarms: 0, chance };
        Arc::new(Self { start: Instant::now(), passed: AtomicU64::new(0), inner: Mutex::new(inner) })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no code panics while it holds the clock")
    }

    pub fn now(&self) -> Instant {
        self.start + self.passed()
    }

    /// Since the run began.
    pub fn passed(&self) -> Duration {
        Duration::from_nanos(self.passed.load(Ordering::Relaxed))
    }

    fn set_passed(&self, passed: Duration) {
        self.passed.store(passed.max(self.passed()).as_nanos() as u64, Ordering::Relaxed);
    }

    pub fn unix_ms(&self) -> u64 {
        (BEGINNING_MS + self.passed().as_millis() as u64).saturating_add_signed(self.inner().calendar_ms)
    }

    /// Somebody sets the calendar to a wrong date, or to the right one.
    pub fn set_calendar_off_by(&self, ms: i64) {
        self.inner().calendar_ms = ms;
    }

    pub fn wake_at(&self, at: Instant, waker: &Waker) {
        let mut inner = self.inner();
        inner.alarms += 1;
        let alarm = Alarm { at: at - self.start, number: inner.alarms, waker: waker.clone() };
        inner.timers.push(Reverse(alarm));
    }

    /// Lets time pass up to the next alarm. False: there is none before `until`, which it is now.
    pub fn pass(&self, until: Instant) -> bool {
        let until = until - self.start;
        let mut inner = self.inner();
        let next = inner.timers.peek().map(|Reverse(alarm)| alarm.at);
        let Some(next) = next.filter(|next| *next <= until) else {
            self.set_passed(until);
            return false;
        };
        self.set_passed(next);
        while inner.timers.peek().is_some_and(|Reverse(alarm)| alarm.at <= next) {
            if let Some(Reverse(alarm)) = inner.timers.pop() {
                alarm.waker.wake();
            }
        }
        true
    }

    pub async fn sleep(&self, span: Duration) {
        let until = self.now() + span;
        poll_fn(|context| {
            if self.now() >= until {
                return Poll::Ready(());
            }
            self.wake_at(until, context.waker());
            Poll::Pending
        })
        .await;
    }
}

/// The server's view of the simulated world.
pub struct Simulated(pub Arc<Clock>);

impl Environment for Simulated {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn unix_ms(&self) -> u64 {
        self.0.unix_ms()
    }

    fn random(&self) -> [u8; 32] {
        self.0.inner().chance.bytes()
    }
}

/// A timer of one task.
pub struct SimTimer {
    clock: Arc<Clock>,
    armed: Option<Instant>,
}

impl SimTimer {
    pub fn new(clock: &Arc<Clock>) -> Self {
        Self { clock: clock.clone(), armed: None }
    }
}

impl Timer for SimTimer {
    fn poll_at(mut self: Pin<&mut Self>, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let now = self.clock.now();
        if deadline <= now {
            return Poll::Ready(());
        }
        if self.armed.is_none_or(|armed| armed <= now || armed > deadline) {
            self.armed = Some(deadline);
            self.clock.wake_at(deadline, context.waker());
        }
        Poll::Pending
    }
}
