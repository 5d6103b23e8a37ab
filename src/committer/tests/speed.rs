//! What a batch costs the committer and the session map, the disk left out: timed when asked for, and its allocations
//! limited always. Here, since both are private to the server.

use std::cell::RefCell;

use divan::{Bencher, counter::ItemsCount};
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::{
    committer::plan::Stop,
    ops::{effect::Effect, id::ChannelId},
};

const PAIRS: usize = 50;

/// Pairs of users, both logged in; the first of each writes to the second, whose device keeps up.
struct Crowd {
    runtime: Runtime,
    rig: Rig,
    pairs: Vec<(Arc<Channel>, Arc<Channel>, String)>,
    sent: usize,
}

impl Crowd {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().build().unwrap();
        let mut rig = runtime.block_on(Rig::with(CommitterSettings { send_window: 64, ..settings() }));
        let pair = |number| {
            let (from, to) = (format!("sender-{number}"), format!("recipient-{number}"));
            let from = runtime.block_on(rig.log_in(&from, "phone")).channel;
            (from, runtime.block_on(rig.log_in(&to, "phone")).channel, to)
        };
        let pairs = (0..PAIRS).map(pair).collect();
        Self { runtime, rig, pairs, sent: 0 }
    }

    /// The next `count` messages, taken in turn from all pairs; what the last ones brought has been taken by the links.
    fn submits(&mut self, count: usize) -> Vec<Op> {
        self.rig.now.instant += Duration::from_secs(1);
        for (from, to, _) in &self.pairs {
            drain(from);
            drain(to);
            to.catch_up(u64::MAX);
        }
        let first = self.sent;
        self.sent += count;
        let op = |message: usize| {
            let (from, _, to) = &self.pairs[message % PAIRS];
            send(from, (message / PAIRS) as u64 + 1, to)
        };
        (first..self.sent).map(op).collect()
    }

    fn process(&mut self, ops: Vec<Op>) {
        self.runtime.block_on(self.rig.process(ops));
    }
}

#[divan::bench(args = [1, 32, 1024], sample_count = 200, sample_size = 1)]
fn process_submits(bencher: Bencher<'_, '_>, count: usize) {
    let crowd = RefCell::new(Crowd::new());
    bencher
        .counter(ItemsCount::new(count))
        .with_inputs(|| crowd.borrow_mut().submits(count))
        .bench_local_values(|ops| crowd.borrow_mut().process(ops));
}

fn channel_of(user: u32) -> ChannelId {
    ChannelId { user: UserNo(user), device: DeviceNo(1), conn_epoch: 1 }
}

#[divan::bench(args = [1, 10, 10_000])]
fn bind_one_more(bencher: Bencher<'_, '_>, users: u32) {
    let sessions = Sessions::default();
    (1..=users).for_each(|user| sessions.bind(channel_of(user), 0, false));
    bencher.bench_local(|| {
        sessions.bind(channel_of(users + 1), 0, false);
        sessions.unbind(channel_of(users + 1));
    });
}

#[divan::bench(args = [1, 10, 10_000])]
fn for_each_of_one(bencher: Bencher<'_, '_>, users: u32) {
    let sessions = Sessions::default();
    (1..=users).for_each(|user| sessions.bind(channel_of(user), 0, false));
    let mut user = 0;
    bencher.bench_local(|| {
        user = (user + 7) % users;
        sessions.for_each_of(UserNo(user + 1), |channel| drop(divan::black_box(channel.clone())));
    });
}

#[test]
#[ignore = "takes seconds, and asserts nothing: cargo test --release --lib micro_benchmarks -- --ignored --nocapture"]
fn micro_benchmarks() {
    divan::Divan::default().run_benches();
}

/// Whether it refuses or not, every rule hands up room for one.
#[test]
fn a_stop_is_no_larger_than_the_errors_of_the_store() {
    assert_eq!(size_of::<Stop>(), size_of::<StoreError>());
}

/// Each message moves one of the first through the queue and one or two of the second to where they happen, by value. What
/// is large and rare stands in a box.
#[test]
fn operations_and_effects_stay_small() {
    assert!(size_of::<Op>() <= 104 && size_of::<Effect>() <= 104, "{} and {}", size_of::<Op>(), size_of::<Effect>());
}

/// Allocations are the same on every machine, so a test can hold them. The limits leave no room for one more a message.
#[test]
fn a_batch_allocates_no_more_than_it_must() {
    let mut crowd = Crowd::new();
    let warm_up = crowd.submits(20 * PAIRS);
    crowd.process(warm_up);
    for (count, limit) in [(1, 25), (32, 650), (1000, 3600)] {
        let ops = crowd.submits(count);
        let allocations = allocation_counter::measure(|| crowd.process(ops)).count_total;
        println!("a batch of {count} messages: {allocations} allocations, at most {limit} allowed");
        assert!(
            allocations <= limit,
            "a batch of {count} messages: {allocations} allocations, at most {limit} allowed"
        );
    }
}
