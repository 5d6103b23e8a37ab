//! Passwords: argon2id, on a pool of one or two threads, never on a network task.
//!
//! One hash takes 19 MiB and some 25 to 60 ms of a core, so a flood of logins could starve everything else. Two run at
//! once at the most, and never on more than half of the cores; a bounded number wait, and the others hear
//! [`PasswordError::Busy`] at once.

use std::num::NonZeroUsize;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use argon2::password_hash::Error as HashError;
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::secret::Secret;

/// The shortest password that can be set, in bytes.
pub const MIN_PASSWORD_LEN: usize = 8;
/// The longest password that can be set, in bytes.
pub const MAX_PASSWORD_LEN: usize = 1024;

const MIN_MEMORY_KIB: u32 = 19 * 1024;
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
const MIN_PASSES: u32 = 2;
const MAX_PASSES: u32 = 64;
const MAX_RUNNING: usize = 2;
/// Added to the niceness of the threads that hash: beside a busy thread each gets a tenth of a core.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Why a password was neither hashed nor compared.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("too many logins by password at once: try again in a few seconds")]
    Busy,
    #[error("a password must have {MIN_PASSWORD_LEN} to {MAX_PASSWORD_LEN} bytes, this one has {len}")]
    BadLength { len: usize },
    #[error("the stored password hash cannot be used: set the user's password again")]
    BadStoredHash,
    #[error("password memory must be {MIN_MEMORY_KIB} to {MAX_MEMORY_KIB} KiB, {memory_kib} was given")]
    BadMemory { memory_kib: u32 },
    #[error("password passes must be {MIN_PASSES} to {MAX_PASSES}, {passes} was given")]
    BadPasses { passes: u32 },
    #[error("no memory or random numbers to hash a password with")]
    NoResources,
    #[error("the server is stopping")]
    Stopping,
}

/// How hard a hash is. One lane always.
#[derive(Debug, Clone, Copy)]
pub struct PasswordCost {
    /// Memory in KiB, 19,456 (the default) to 1,048,576. Up to two hashes run at once, so up to twice this is in use.
    pub memory_kib: u32,
    /// Passes over the memory, 2 (the default) to 64.
    pub passes: u32,
}

impl Default for PasswordCost {
    fn default() -> Self {
        Self { memory_kib: MIN_MEMORY_KIB, passes: MIN_PASSES }
    }
}

/// Hashes and compares passwords, one or two at a time. Dropping a future does not stop a hash that has begun; it keeps
/// its place in the pool until it ends.
pub struct PasswordPool {
    argon2: Argon2<'static>,
    random: SystemRandom,
    /// A hash of nothing, with the same cost, for users who do not exist.
    dummy: String,
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
    workers: mpsc::Sender<Job>,
}

type Job = Box<dyn FnOnce() + Send>;

struct Turn {
    _admitted: OwnedSemaphorePermit,
    _running: OwnedSemaphorePermit,
}

impl PasswordPool {
    /// A pool in which up to `max_waiting` callers (64 is plenty) wait for a place.
    ///
    /// # Errors
    /// A cost outside its bounds, or no random numbers.
    pub fn new(cost: PasswordCost, max_waiting: usize) -> Result<Self, PasswordError> {
        if !(MIN_MEMORY_KIB..=MAX_MEMORY_KIB).contains(&cost.memory_kib) {
            return Err(PasswordError::BadMemory { memory_kib: cost.memory_kib });
        }
        if !(MIN_PASSES..=MAX_PASSES).contains(&cost.passes) {
            return Err(PasswordError::BadPasses { passes: cost.passes });
        }
        let params =
            Params::new(cost.memory_kib, cost.passes, 1, None).expect("the bounds above are argon2's or narrower");
        let random = SystemRandom::new();
        let dummy = dummy_hash(&params, &random)?;
        let places = places();
        Ok(Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            random,
            dummy,
            admitted: Arc::new(Semaphore::new(places + max_waiting)),
            running: Arc::new(Semaphore::new(places)),
            workers: start_workers(places),
        })
    }

    /// The PHC string to store for a new password.
    pub async fn hash(&self, password: Secret) -> Result<String, PasswordError> {
        let len = password.expose().len();
        if !(MIN_PASSWORD_LEN..=MAX_PASSWORD_LEN).contains(&len) {
            return Err(PasswordError::BadLength { len });
        }
        let salt: [u8; 16] = random_bytes(&self.random)?;
        let argon2 = self.argon2.clone();
        self.run(move || {
            let hash = argon2.hash_password_with_salt(password.expose().as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(|_| PasswordError::NoResources)
        })
        .await
    }

    /// Whether the password is the one of the stored PHC string. Without one (no such user, or a user without a
    /// password) the answer is false after the same work. A stored hash of another cost takes its own time, so raising
    /// the cost shows which users have not set a password since.
    pub async fn verify(&self, password: Secret, stored: Option<String>) -> Result<bool, PasswordError> {
        let known = stored.is_some();
        let phc = stored.unwrap_or_else(|| self.dummy.clone());
        let argon2 = self.argon2.clone();
        self.run(move || match argon2.verify_password(password.expose().as_bytes(), phc.as_str()) {
            Ok(()) => Ok(known),
            Err(HashError::PasswordInvalid) => Ok(false),
            Err(HashError::OutOfMemory) => Err(PasswordError::NoResources),
            Err(_) => Err(PasswordError::BadStoredHash),
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let admitted = self.admitted.clone().try_acquire_owned().map_err(|_| PasswordError::Busy)?;
        let running = self.running.clone().acquire_owned().await.map_err(|_| PasswordError::Stopping)?;
        // The turn goes with the work: a caller who gives up must not make room for a third hash.
        let turn = Turn { _admitted: admitted, _running: running };
        let (done, result) = oneshot::channel();
        let job = Box::new(move || {
            let result = work();
            drop(turn);
            // Whether the caller still waits changes nothing.
            let _ = done.send(result);
        });
        self.workers.send(job).map_err(|_| PasswordError::Stopping)?;
        result.await.map_err(|_| PasswordError::Stopping)?
    }
}

/// How many hashes run at once. A thread that wakes for a message finds a core without one: with a hash on each of two
/// cores the p99 of messages doubled or trebled, for a niceness lets a thread go first only at the end of a time slice.
fn places() -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    (cores / 2).clamp(1, MAX_RUNNING)
}

/// Threads of the pool's own, always the same: the allocator keeps for each thread what it has once used, so that every
/// further one would cost the memory of a hash for good. They end with the pool.
fn start_workers(count: usize) -> mpsc::Sender<Job> {
    let (jobs, queue) = mpsc::channel::<Job>();
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..count {
        let queue = queue.clone();
        let next = move || queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        thread::spawn(move || {
            step_back();
            while let Ok(job) = next() {
                // A hash that panics is its caller's loss alone.
                let _ = panic::catch_unwind(AssertUnwindSafe(job));
            }
        });
    }
    jobs
}

/// Lets the threads that carry messages go first, where the system gives each thread a priority of its own.
fn step_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::warn!(%error, "logins by password are not put behind messages");
    }
}

/// A PHC string that no password is known for: the salt and the hash are random.
fn dummy_hash(params: &Params, random: &SystemRandom) -> Result<String, PasswordError> {
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params).expect("m, t and p fit a PHC string"),
        salt: Some(Salt::new(&random_bytes::<16>(random)?).expect("16 bytes are a valid salt")),
        hash: Some(
            Output::new(&random_bytes::<{ Params::DEFAULT_OUTPUT_LEN }>(random)?).expect("argon2's own output length"),
        ),
    };
    Ok(hash.to_string())
}

fn random_bytes<const N: usize>(random: &SystemRandom) -> Result<[u8; N], PasswordError> {
    let mut bytes = [0; N];
    random.fill(&mut bytes).map_err(|_| PasswordError::NoResources)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::from(text.to_owned())
    }

    fn pool(max_waiting: usize) -> PasswordPool {
        PasswordPool::new(PasswordCost::default(), max_waiting).unwrap()
    }

    #[tokio::test]
    async fn only_the_right_password_is_right() {
        let pool = pool(8);
        let phc = pool.hash(secret("correct horse")).await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert_ne!(phc, pool.hash(secret("correct horse")).await.unwrap(), "salts differ");
        assert_eq!(pool.verify(secret("correct horse"), Some(phc.clone())).await, Ok(true));
        for wrong in ["correct horse ", "Correct horse", "", "x"] {
            assert_eq!(pool.verify(secret(wrong), Some(phc.clone())).await, Ok(false), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn an_unknown_user_costs_the_same_work_and_is_never_right() {
        let mut pool = pool(8);
        let real = PasswordHash::new(&pool.hash(secret("correct horse")).await.unwrap()).unwrap();
        let dummy = PasswordHash::new(&pool.dummy).unwrap();
        assert_eq!(
            (dummy.algorithm, dummy.version, &dummy.params, dummy.salt.unwrap().len(), dummy.hash.unwrap().len()),
            (real.algorithm, real.version, &real.params, real.salt.unwrap().len(), real.hash.unwrap().len())
        );
        assert_eq!(pool.verify(secret("correct horse"), None).await, Ok(false));
        // Even a password that fits the dummy logs nobody in.
        pool.dummy = real.to_string();
        assert_eq!(pool.verify(secret("correct horse"), None).await, Ok(false));
    }

    #[tokio::test]
    async fn lengths_are_bounded_when_a_password_is_set() {
        let pool = pool(8);
        for len in [0, 7, 1025] {
            assert_eq!(pool.hash(secret(&"x".repeat(len))).await, Err(PasswordError::BadLength { len }));
        }
        for len in [8, 1024] {
            assert!(pool.hash(secret(&"x".repeat(len))).await.is_ok());
        }
    }

    #[tokio::test]
    async fn a_full_pool_is_busy_at_once() {
        let pool = Arc::new(pool(1));
        let all = places() as u32;
        let running = pool.running.clone().acquire_many_owned(all).await.unwrap();
        let turns = pool.admitted.clone().acquire_many_owned(all).await.unwrap();
        let waiting = tokio::spawn({
            let pool = pool.clone();
            async move { pool.verify(secret("password"), None).await }
        });
        while pool.admitted.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.verify(secret("password"), None).await, Err(PasswordError::Busy));
        drop((running, turns));
        assert_eq!(waiting.await.unwrap(), Ok(false));
    }

    #[tokio::test]
    async fn a_caller_who_gives_up_makes_no_room() {
        let pool = pool(0);
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let (started, mut has_started) = tokio::sync::mpsc::unbounded_channel();
        let work = pool.run(move || {
            let _ = started.send(());
            wait.recv().map_err(|_| PasswordError::Stopping)
        });
        tokio::select! {
            _ = work => panic!("the work cannot end before it is released"),
            _ = has_started.recv() => {}
        }
        // The future is dropped here, the hash is not.
        assert_eq!(pool.running.available_permits(), places() - 1);
        release.send(()).unwrap();
        let all = pool.running.acquire_many(places() as u32);
        assert!(tokio::time::timeout(std::time::Duration::from_secs(10), all).await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_broken_stored_hash_is_an_error_and_weak_costs_are_refused() {
        let pool = pool(8);
        for broken in
            ["", "plain", "$argon2id$v=19$m=1,t=2,p=1$YWJjZGVmZ2g$YWJjZGVmZ2g", "$scrypt$ln=4$YWJjZGVmZ2g$YWJjZGVmZ2g"]
        {
            let answer = pool.verify(secret("password"), Some(broken.to_owned())).await;
            assert_eq!(answer, Err(PasswordError::BadStoredHash), "{broken:?}");
        }
        // A hash string without its hash fits no password.
        let empty = "$argon2id$v=19$m=19456,t=2,p=1".to_owned();
        assert_eq!(pool.verify(secret("password"), Some(empty)).await, Ok(false));
        let new = |memory_kib, passes| PasswordPool::new(PasswordCost { memory_kib, passes }, 8).err();
        assert_eq!(new(19_455, 2), Some(PasswordError::BadMemory { memory_kib: 19_455 }));
        assert_eq!(new(19_456, 1), Some(PasswordError::BadPasses { passes: 1 }));
    }
}
