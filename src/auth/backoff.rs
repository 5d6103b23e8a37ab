//! Back-off after failed logins, per user and address and per address. Nobody is ever locked out: the longest wait is
//! bounded, failures are forgotten with time, and failures from elsewhere do not touch a user's own address.
//!
//! Only failures count, and they count when they are known. Attempts that run at the same time therefore pass
//! together; how many can is bounded by the password pool.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    net::IpAddr,
    time::{Duration, Instant},
};

use crate::base::address::AddressGroup;

/// How soon and how long failures slow a login down.
#[derive(Debug, Clone)]
pub struct BackoffPolicy {
    /// Failures of one user from one address that cost nothing; the next attempt waits. 3.
    pub free_per_user: u32,
    /// Failures from one address, whoever they named, that cost nothing; higher, because many share one. 20.
    pub free_per_address: u32,
    /// The first wait; each further failure doubles it. 1 s.
    pub first_wait: Duration,
    /// The longest wait. 60 s.
    pub longest_wait: Duration,
    /// One failure is forgotten after each such time without a new one. 5 min.
    pub forget_one_after: Duration,
    /// Entries in each of the two tables, at most some 300 bytes each with user ids of up to 64 bytes (which the caller
    /// has checked); a new one pushes the oldest out. 65,536.
    pub max_entries: usize,
}

impl Default for BackoffPolicy {
    fn default() -> Self {
        Self {
            free_per_user: 3,
            free_per_address: 20,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(60),
            forget_one_after: Duration::from_secs(300),
            max_entries: 65_536,
        }
    }
}

/// Remembers failed logins.
pub struct Backoff {
    policy: BackoffPolicy,
    by_user: Table<(Box<str>, AddressGroup)>,
    by_address: Table<AddressGroup>,
}

impl Backoff {
    pub fn new(policy: BackoffPolicy) -> Self {
        Self { by_user: Table::new(policy.max_entries), by_address: Table::new(policy.max_entries), policy }
    }

    /// May this user try from this address now? Asking changes nothing, and asking too early costs nothing.
    ///
    /// # Errors
    /// How long to wait, at most the policy's `longest_wait`.
    pub fn check(&self, uid: &str, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let group = AddressGroup::of(address);
        let wait =
            |failures: Option<&Failures>, free| failures.map_or(Duration::ZERO, |f| f.wait(&self.policy, free, now));
        let user = wait(self.by_user.entries.get(&(uid.into(), group)), self.policy.free_per_user);
        let address = wait(self.by_address.entries.get(&group), self.policy.free_per_address);
        match user.max(address) {
            Duration::ZERO => Ok(()),
            retry_after => Err(retry_after),
        }
    }

    /// A login failed: the proof was wrong, or there is no such user.
    pub fn on_failure(&mut self, uid: &str, address: IpAddr, now: Instant) {
        let group = AddressGroup::of(address);
        self.by_user.add((uid.into(), group), &self.policy, self.policy.free_per_user, now);
        self.by_address.add(group, &self.policy, self.policy.free_per_address, now);
    }

    /// A login succeeded: this user's failures from this address are forgotten. Those of the address stay, or one good
    /// account would buy unlimited guesses at the others.
    pub fn on_success(&mut self, uid: &str, address: IpAddr) {
        self.by_user.remove(&(uid.into(), AddressGroup::of(address)));
    }
}

struct Failures {
    count: u32,
    last: Instant,
    /// Where the table's age order has this entry.
    age: u64,
}

impl Failures {
    fn wait(&self, policy: &BackoffPolicy, free: u32, now: Instant) -> Duration {
        let Some(doublings) = self.count_at(policy, now).checked_sub(free) else { return Duration::ZERO };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let wait = policy.first_wait.saturating_mul(factor).min(policy.longest_wait);
        wait.saturating_sub(now.saturating_duration_since(self.last))
    }

    fn count_at(&self, policy: &BackoffPolicy, now: Instant) -> u32 {
        let quiet = now.saturating_duration_since(self.last).as_nanos();
        let forgotten = quiet / policy.forget_one_after.as_nanos().max(1);
        self.count.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX))
    }
}

/// Failures by key, with a bound: the entry whose last failure is the oldest goes first.
struct Table<K> {
    entries: HashMap<K, Failures>,
    by_age: BTreeMap<u64, K>,
    next_age: u64,
    max_entries: usize,
}

impl<K: Clone + Eq + Hash> Table<K> {
    fn new(max_entries: usize) -> Self {
        Self { entries: HashMap::new(), by_age: BTreeMap::new(), next_age: 0, max_entries: max_entries.max(1) }
    }

    fn add(&mut self, key: K, policy: &BackoffPolicy, free: u32, now: Instant) {
        // Beyond this count the wait no longer grows, and forgetting it all would only take longer.
        let enough = free.saturating_add(policy.doublings());
        let before = self.remove(&key).map_or(0, |failures| failures.count_at(policy, now));
        if self.entries.len() >= self.max_entries
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.entries.remove(&oldest);
        }
        let age = self.next_age;
        self.next_age += 1;
        self.by_age.insert(age, key.clone());
        self.entries.insert(key, Failures { count: before.saturating_add(1).min(enough), last: now, age });
    }

    fn remove(&mut self, key: &K) -> Option<Failures> {
        let failures = self.entries.remove(key)?;
        self.by_age.remove(&failures.age);
        Some(failures)
    }
}

impl BackoffPolicy {
    /// How many failures beyond the free ones bring the longest wait.
    fn doublings(&self) -> u32 {
        let ratio = self.longest_wait.as_nanos() / self.first_wait.as_nanos().max(1);
        u128::BITS - ratio.leading_zeros()
    }
}

#[cfg(test)]
mod tests;
