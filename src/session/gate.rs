//! What decides who may come in, and why somebody may not.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hongyan_proto::CloseCode;

use crate::{
    auth::{backoff::Backoff, password::PasswordPool, token::Tokens},
    committer::op::LoginError,
    store::StoreError,
};

/// Under what refused bearer tokens are counted; no uid looks like this.
pub(super) const BEARERS: &str = "(bearer)";

/// The same for refused resume tokens.
pub(super) const RESUMES: &str = "(resume)";

/// The same for new accounts.
pub(super) const REGISTRATIONS: &str = "(registration)";

/// What a failed login says, whoever failed and why.
pub(super) const BAD_CREDENTIALS: &str = "unknown user, wrong password or invalid token";

/// What decides who may come in.
pub struct Gate {
    pub(super) tokens: Arc<Tokens>,
    pub(super) passwords: Arc<PasswordPool>,
    backoff: Mutex<Backoff>,
    is_closed: AtomicBool,
}

impl Gate {
    pub fn new(tokens: Arc<Tokens>, passwords: Arc<PasswordPool>, backoff: Backoff) -> Self {
        Self { tokens, passwords, backoff: Mutex::new(backoff), is_closed: AtomicBool::new(false) }
    }

    /// From now on nobody comes in.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Whether `who` may try from this address now.
    pub(super) fn check(&self, who: &str, attempt: &Attempt, reason: &'static str) -> Result<(), Rejection> {
        let checked = self.backoff().check(who, attempt.address, attempt.now);
        checked.map_err(|retry_after| Rejection { retry_after, ..Rejection::new(CloseCode::TOO_MANY_ATTEMPTS, reason) })
    }

    /// Counts a failure, after which `who` and this address may have to wait.
    pub(super) fn on_failure(&self, who: &str, attempt: &Attempt) {
        self.backoff().on_failure(who, attempt.address, attempt.now);
    }

    pub(super) fn on_success(&self, who: &str, attempt: &Attempt) {
        self.backoff().on_success(who, attempt.address);
    }

    fn backoff(&self) -> MutexGuard<'_, Backoff> {
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Circumstances of an attempt. Clock and randomness come from the link.
pub struct Attempt {
    pub address: IpAddr,
    pub now: Instant,
    /// When the connection was accepted.
    pub accepted_at: Instant,
    pub unix_s: u64,
    /// 32 random bytes for the next resume token.
    pub next_secret: [u8; 32],
}

/// Why a login or resume was refused.
#[derive(Debug)]
pub struct Rejection {
    pub code: CloseCode,
    pub reason: &'static str,
    pub retry_after: Duration,
}

impl Rejection {
    pub(super) fn new(code: CloseCode, reason: &'static str) -> Self {
        Self { code, reason, retry_after: Duration::ZERO }
    }
}

impl From<LoginError> for Rejection {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Refused { code, reason } => Self::new(code, reason),
            LoginError::Store(error) => {
                tracing::error!(%error, "a login failed");
                Self::new(CloseCode::UNAVAILABLE, "the store takes no writes now")
            }
        }
    }
}

impl From<StoreError> for Rejection {
    fn from(error: StoreError) -> Self {
        LoginError::Store(error).into()
    }
}
