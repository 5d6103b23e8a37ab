//! A store on a disk that takes its time, fills up, fails to sync, and forgets in a power cut what was not synced.
//!
//! As in the real engine, rows are seen once their commit has succeeded. One that fails, or that a crash interrupts, may
//! be there or not when the store is opened again. How to take rows back is remembered until they are on stable storage.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    future::poll_fn,
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard},
    task::Poll,
    time::Duration,
};

use bytes::Bytes;

use hongyan_proto::canary;

use super::{chance::Chance, clock::Clock, content};
use crate::store::{Batch, DumpSink, Durability, Engine, Row, Scan, StoreError, StoreFuture, Table, Write};

/// How the disk behaves when nothing is wrong.
#[derive(Clone, Copy, Debug)]
pub struct DiskSpeed {
    /// The longest time that one commit takes, in microseconds.
    pub commit_us: u64,
    /// One read in so many lets others go first; 0: none.
    pub yields_one_in: usize,
}

impl DiskSpeed {
    pub const fn longest(self) -> Duration {
        Duration::from_micros(self.commit_us)
    }
}

pub struct Disk {
    clock: Arc<Clock>,
    state: Mutex<State>,
}

struct State {
    tables: [BTreeMap<Bytes, Bytes>; Table::ALL.len()],
    /// Commits that are not on stable storage, oldest first.
    unsynced: VecDeque<Commit>,
    commits: u64,
    speed: DiskSpeed,
    chance: Chance,
    is_full: bool,
    next_sync_fails: bool,
    reads_fail: bool,
    /// Set by a failed sync, until the store is opened anew.
    failure: Option<StoreError>,
}

struct Commit {
    number: u64,
    /// Until they are seen.
    writes: Vec<Write>,
    /// What messages among them contain, by the numbers in the book.
    contents: Vec<u32>,
    /// What the rows held before, in the order of the writes; nothing before they are seen.
    before: Vec<(Table, Bytes, Option<Bytes>)>,
    /// The committer has been told that it succeeded.
    is_told: bool,
}

impl State {
    fn write(&mut self, table: Table, key: Bytes, value: Option<Bytes>) -> Option<Bytes> {
        let rows = &mut self.tables[table as usize];
        match value {
            Some(value) => rows.insert(key, value),
            None => rows.remove(&key),
        }
    }

    fn take_back(&mut self, commit: Commit) {
        for (table, key, value) in commit.before.into_iter().rev() {
            self.write(table, key, value);
        }
    }

    /// The rows of a commit are seen from now on.
    fn show(&mut self, number: u64) {
        let Some(index) = self.unsynced.iter().position(|commit| commit.number == number && !commit.is_told) else {
            return;
        };
        let writes = std::mem::take(&mut self.unsynced[index].writes);
        let before = writes.into_iter().map(|write| {
            let old = self.write(write.table, write.key.clone(), write.value);
            (write.table, write.key, old)
        });
        let before = before.collect();
        let commit = &mut self.unsynced[index];
        (commit.before, commit.is_told) = (before, true);
    }

    fn begin(&mut self, batch: Batch) -> Result<u64, StoreError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if self.is_full && !batch.is_empty() {
            return Err(StoreError::DiskFull { path: "simulated".into(), free: 0, reserve: 0 });
        }
        self.commits += 1;
        let (number, writes) = (self.commits, batch.writes);
        let contents = self.new_contents(&writes);
        self.unsynced.push_back(Commit { number, writes, contents, before: Vec::new(), is_told: false });
        Ok(number)
    }

    /// What messages contain that the rows which are overwritten did not.
    fn new_contents(&self, writes: &[Write]) -> Vec<u32> {
        let (mut old, mut new) = (HashSet::new(), Vec::new());
        for Write { key, value, .. } in writes.iter().filter(|write| write.table == Table::Messages) {
            let unseen = self.unsynced.iter().rev().flat_map(|commit| commit.writes.iter().rev());
            let unseen = unseen.filter(|write| write.table == Table::Messages).find(|write| write.key == *key);
            let before = match unseen {
                Some(write) => write.value.as_ref(),
                None => self.tables[Table::Messages as usize].get(key),
            };
            old.extend(before.into_iter().flat_map(|row| content::numbers_in(row)));
            new.extend(value.iter().flat_map(|row| content::numbers_in(row)));
        }
        new.retain(|content| !old.contains(content));
        new
    }

    fn finish(&mut self, number: u64, durability: Durability) -> Result<(), StoreError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if durability == Durability::Synced && std::mem::take(&mut self.next_sync_fails) {
            let failure = StoreError::Failed("the sync failed".into());
            if !canary::is("store-goes-on-after-a-failed-sync") {
                self.failure = Some(failure.clone());
            }
            return Err(failure);
        }
        self.show(number);
        if durability == Durability::Synced {
            self.unsynced.retain(|commit| commit.number > number);
        }
        Ok(())
    }

    fn yields(&mut self) -> bool {
        self.speed.yields_one_in > 0 && self.chance.one_in(self.speed.yields_one_in)
    }
}

impl Disk {
    pub fn new(clock: Arc<Clock>, chance: Chance, speed: DiskSpeed) -> Arc<Self> {
        let state = State {
            tables: Default::default(),
            unsynced: VecDeque::new(),
            commits: 0,
            speed,
            chance,
            is_full: false,
            next_sync_fails: false,
            reads_fail: false,
            failure: None,
        };
        Arc::new(Self { clock, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds the tables")
    }

    pub fn fill_up(&self, is_full: bool) {
        self.state().is_full = is_full;
    }

    pub fn fail_next_sync(&self, fail: bool) {
        self.state().next_sync_fails = fail;
    }

    pub fn fail_reads(&self, fail: bool) {
        self.state().reads_fail = fail;
    }

    pub fn set_speed(&self, speed: DiskSpeed) {
        self.state().speed = speed;
    }

    pub fn is_failed(&self) -> bool {
        self.state().failure.is_some()
    }

    /// The process has died: what was written and not told to anybody may be there or not.
    pub fn on_process_killed(&self) {
        let mut state = self.state();
        let told = state.unsynced.iter().rposition(|commit| commit.is_told).map_or(0, |index| index + 1);
        let untold = state.unsynced.len() - told;
        let kept = told + state.chance.below(untold + 1);
        state.forget_after(kept);
    }

    /// The power is gone: of what was not synced, only some first part is there.
    pub fn on_power_cut(&self) {
        let mut state = self.state();
        let unsynced = state.unsynced.len();
        let kept = state.chance.below(unsynced + 1);
        state.forget_after(kept);
        state.unsynced.clear();
    }

    /// The contents that rows of messages hold, by their numbers in the book.
    pub fn contents(&self) -> Vec<u32> {
        let state = self.state();
        state.tables[Table::Messages as usize].values().flat_map(|row| content::numbers_in(row)).collect()
    }

    /// Whether the row that holds this content is not on stable storage yet.
    pub fn is_unsynced(&self, content: u32) -> bool {
        self.state().unsynced.iter().any(|commit| commit.contents.contains(&content))
    }
}

impl State {
    fn forget_after(&mut self, kept: usize) {
        while self.unsynced.len() > kept {
            if let Some(commit) = self.unsynced.pop_back() {
                self.take_back(commit);
            }
        }
        let untold: Vec<u64> = self.unsynced.iter().map(|commit| commit.number).collect();
        untold.into_iter().for_each(|number| self.show(number));
        self.failure = None;
        self.next_sync_fails = false;
    }

    fn scan(&self, scan: Scan) -> Vec<Row> {
        if scan.from >= scan.to {
            return Vec::new();
        }
        let owned = |(key, value): (&Bytes, &Bytes)| (key.clone(), value.clone());
        let rows = self.tables[scan.table as usize].range(scan.from..scan.to);
        match scan.descending {
            true => rows.rev().take(scan.limit).map(owned).collect(),
            false => rows.take(scan.limit).map(owned).collect(),
        }
    }
}

/// Hands `value` over, at once or after everybody else had a turn.
fn read<T: Send + 'static>(value: Result<T, StoreError>, mut yields: bool) -> StoreFuture<'static, T> {
    let mut value = Some(value);
    Box::pin(poll_fn(move |context| {
        if std::mem::take(&mut yields) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        value.take().map_or(Poll::Pending, Poll::Ready)
    }))
}

impl Engine for Disk {
    fn commit(&self, batch: Batch, durability: Durability) -> StoreFuture<'_, ()> {
        let mut state = self.state();
        let begun = state.begin(batch);
        let most = state.speed.commit_us;
        let takes = if most == 0 { Duration::ZERO } else { state.chance.span(0, most) };
        Box::pin(async move {
            let number = begun?;
            if takes > Duration::ZERO {
                self.clock.sleep(takes).await;
            }
            self.state().finish(number, durability)
        })
    }

    fn get(&self, table: Table, key: Bytes) -> StoreFuture<'_, Option<Bytes>> {
        let mut state = self.state();
        let yields = state.yields();
        let value = match state.reads_fail {
            true => Err(StoreError::Io("the simulated disk does not answer".into())),
            false => Ok(state.tables[table as usize].get(&key).cloned()),
        };
        read(value, yields)
    }

    fn scan(&self, scan: Scan) -> StoreFuture<'_, Vec<Row>> {
        let mut state = self.state();
        let yields = state.yields();
        let rows = match state.reads_fail {
            true => Err(StoreError::Io("the simulated disk does not answer".into())),
            false => Ok(state.scan(scan)),
        };
        read(rows, yields)
    }

    fn dump(&self, each: &mut DumpSink<'_>) -> Result<(), StoreError> {
        let state = self.state();
        for (table, rows) in Table::ALL.into_iter().zip(&state.tables) {
            for (key, value) in rows {
                if each(table, key, value) == ControlFlow::Break(()) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
