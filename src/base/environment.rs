//! What a server takes from outside besides bytes: the time, waiting, chance. A simulator brings its own, so that a run
//! can be repeated to the letter.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Instant, SystemTime},
};

use tokio::time::Sleep;

/// The time and the chance that a server lives by.
pub trait Environment: Send + Sync + 'static {
    /// Never goes back. Everything that waits or expires is measured by it.
    fn now(&self) -> Instant;
    /// Milliseconds since 1970, shown to people and compared with what tokens say. It may jump.
    fn unix_ms(&self) -> u64;
    /// Bytes that nobody can guess.
    fn random(&self) -> [u8; 32];
}

/// The clocks and the randomness of the operating system.
pub struct System;

impl Environment for System {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn unix_ms(&self) -> u64 {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64
    }

    fn random(&self) -> [u8; 32] {
        rand::random()
    }
}

/// The moment at which a batch is worked on.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub instant: Instant,
    /// Milliseconds since 1970; only shown to people and compared with what tokens say.
    pub unix_ms: u64,
}

impl Now {
    pub fn by(environment: &dyn Environment) -> Self {
        Self { instant: environment.now(), unix_ms: environment.unix_ms() }
    }
}

/// Bytes from the system's cryptographic source of randomness.
pub fn random<const N: usize>() -> [u8; N] {
    rand::random()
}

/// Wakes its task at a moment that may be moved.
pub trait Timer {
    /// Ready once `deadline` has come. It may be ready too early where a later deadline follows an earlier one.
    fn poll_at(self: Pin<&mut Self>, deadline: Instant, context: &mut Context<'_>) -> Poll<()>;
}

impl Timer for Sleep {
    fn poll_at(mut self: Pin<&mut Self>, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        // Moving the timer back and forth costs more than a wake-up in vain now and then.
        if self.is_elapsed() || self.deadline().into_std() > deadline {
            self.as_mut().reset(deadline.into());
        }
        self.poll(context)
    }
}
