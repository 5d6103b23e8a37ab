//! What a message to a large group costs: rows and memory that do not depend on how many members it has, and one thing
//! passed to each device that is online.

use std::{
    ops::RangeInclusive,
    sync::atomic::{AtomicUsize, Ordering},
};

use hongyan_proto::wire::act::What;

use super::*;
use crate::{
    ops::op::{AccountAction, AccountChange},
    store::{DumpSink, Row, Scan, StoreFuture},
};

/// Counts the rows that are written and read.
struct Counting {
    inner: Box<dyn Engine>,
    written: AtomicUsize,
    read: AtomicUsize,
}

impl Counting {
    fn over(inner: Box<dyn Engine>) -> Arc<Self> {
        Arc::new(Self { inner, written: AtomicUsize::new(0), read: AtomicUsize::new(0) })
    }
}

impl Engine for Counting {
    fn commit(&self, batch: Batch, durability: Durability) -> StoreFuture<'_, ()> {
        self.written.fetch_add(batch.writes.len(), Ordering::Relaxed);
        self.inner.commit(batch, durability)
    }

    fn get(&self, table: Table, key: Bytes) -> StoreFuture<'_, Option<Bytes>> {
        self.read.fetch_add(1, Ordering::Relaxed);
        self.inner.get(table, key)
    }

    fn scan(&self, scan: Scan) -> StoreFuture<'_, Vec<Row>> {
        self.read.fetch_add(1, Ordering::Relaxed);
        self.inner.scan(scan)
    }

    fn dump(&self, each: &mut DumpSink<'_>) -> Result<(), StoreError> {
        self.inner.dump(each)
    }
}

struct Crowd {
    engine: Arc<Counting>,
    front: Front,
    committer: Committer,
    now: Now,
    owner: Arc<Channel>,
    send_no: u64,
}

impl Crowd {
    /// A group of `members` and its owner; `online` of them are connected.
    async fn of(members: usize, online: usize, engine: Arc<Counting>) -> (Self, Vec<Arc<Channel>>) {
        let front = Front::new();
        let settings = CommitterSettings { group_members: 1_000_000, ..settings() };
        let log = Log::new(engine.clone());
        let mut committer = Committer::open(log, Arc::default(), settings, front.outlet()).await.unwrap();
        let now = Now { instant: Instant::now(), unix_ms: 1_800_000_000_000 };
        for from in (0..members).step_by(1000) {
            let made = (from..members.min(from + 1000)).map(|number| {
                let uid = Uid::new(&format!("m{number}")).unwrap();
                front.desk.ask(|op| Op::Account(Box::new(AccountChange { op, uid, action: AccountAction::Ensure })))
            });
            let made: Vec<_> = made.collect();
            committer.process(front.desk.queue().take().unwrap(), now).await;
            drop(made);
        }
        let owner = bind(&front, &mut committer, now, "owner").await;
        let mut channels = Vec::new();
        for number in 0..online {
            channels.push(bind(&front, &mut committer, now, &format!("m{number}")).await);
        }
        let mut crowd = Self { engine, front, committer, now, owner, send_no: 0 };
        crowd.act("", What::GroupCreate(wire::GroupCreate::default())).await;
        for from in (0..members).step_by(500) {
            let uids = (from..members.min(from + 500)).map(|number| format!("m{number}")).collect();
            crowd.act("#1", What::GroupInvite(wire::GroupInvite { uids })).await;
        }
        for channel in &channels {
            while channel.take(true).is_some() {}
        }
        (crowd, channels)
    }

    async fn act(&mut self, to: &str, what: What) {
        self.say(to, Asked::Act(Box::new(what))).await;
    }

    async fn say(&mut self, to: &str, asked: Asked) {
        self.send_no += 1;
        let body = Ok(Addressed { to: ConversationId::new(to).ok(), asked });
        let submit = Submit { from: self.owner.id, op: None, number: SendNumber::Given(self.send_no), body };
        self.committer.process(vec![Op::Submit(submit)], self.now).await;
        while self.owner.take(true).is_some() {}
    }

    /// Rows written and read for one message.
    async fn cost_of_message(&mut self) -> (usize, usize) {
        self.engine.written.store(0, Ordering::Relaxed);
        self.engine.read.store(0, Ordering::Relaxed);
        self.say("#1", Asked::Message { content: Bytes::from_static(b"hello"), extras: None }).await;
        (self.engine.written.load(Ordering::Relaxed), self.engine.read.load(Ordering::Relaxed))
    }
}

async fn bind(front: &Front, committer: &mut Committer, now: Now, uid: &str) -> Arc<Channel> {
    let who = Who::Credential(Credential { log_epoch: 0, token_epoch: None, ..credential(uid, "phone") });
    let channel = front.log_in(committer, now, who, [1; 32]).await.unwrap().channel;
    channel.catch_up(channel.head());
    channel
}

async fn check(members: usize, online: usize, rows: RangeInclusive<usize>) {
    let (mut crowd, channels) = Crowd::of(members, online, Counting::over(Box::new(MemoryEngine::new()))).await;
    assert_eq!(crowd.front.sessions.len(), online + 1);
    // What somebody who was never in the memory has to read is read once.
    crowd.cost_of_message().await;
    let (written, read) = crowd.cost_of_message().await;
    assert!(rows.contains(&written), "{written} rows for a message to {members} members, {online} of them online");
    assert_eq!(read, 0, "everything that a message needs is in memory");
    for channel in channels {
        let passed: Vec<_> = std::iter::from_fn(|| channel.take(true)).collect();
        assert!(matches!(passed.as_slice(), [Outbound::Passed { .. }, Outbound::Passed { .. }]), "{passed:?}");
    }
    println!("{members} members, {online} online: {written} rows written and {read} read for a message");
}

#[tokio::test]
async fn a_message_to_a_large_group_costs_the_same_few_rows_whatever_its_size() {
    check(10, 5, 1..=4).await;
    check(3000, 50, 1..=4).await;
}

#[tokio::test]
async fn a_hundred_thousand_members_cost_the_same_few_rows() {
    check(100_000, 2000, 1..=4).await;
}

/// The resident memory of this process, in MiB.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

/// What one of two people who are not in the group waits for, commit included, in microseconds: in rising order.
async fn wait_of_others(
    crowd: &mut Crowd,
    pair: &(Arc<Channel>, Arc<Channel>),
    first: u64,
    group_in: Option<u64>,
) -> Vec<u64> {
    const MESSAGES: u64 = 2000;
    let mut waits = Vec::new();
    for send_no in first..first + MESSAGES {
        crowd.now.instant += Duration::from_millis(10);
        let mut batch = vec![send(&pair.0, send_no, "other-1")];
        if group_in.is_some_and(|every| send_no % every == 0) {
            crowd.send_no += 1;
            let (channel, number) = (crowd.owner.clone(), SendNumber::Given(crowd.send_no));
            let asked = Asked::Message { content: Bytes::from_static(&[b'x'; 100]), extras: None };
            let body = Ok(Addressed { to: ConversationId::new("#1").ok(), asked });
            batch.insert(0, Op::Submit(Submit { from: channel.id, op: None, number, body }));
        }
        let started = Instant::now();
        crowd.committer.process(batch, crowd.now).await;
        waits.push(started.elapsed().as_micros() as u64);
        for channel in [&pair.0, &pair.1, &crowd.owner] {
            while channel.take(true).is_some() {}
            channel.catch_up(channel.head());
        }
    }
    waits.sort_unstable();
    waits
}

#[tokio::test]
#[ignore = "prints figures: cargo test --release --lib figures_of_a_group -- --ignored --nocapture"]
async fn figures_of_a_group_of_a_hundred_thousand() {
    let directory = tempfile::tempdir().unwrap();
    let engine = crate::store::fjall::FjallEngine::open(directory.path(), Default::default()).unwrap();
    let at_start = resident_mib();
    let (mut crowd, channels) = Crowd::of(100_000, 2000, Counting::over(Box::new(engine))).await;
    let with_members = resident_mib();
    let mut pair = Vec::new();
    for name in ["other-0", "other-1"] {
        pair.push(bind(&crowd.front, &mut crowd.committer, crowd.now, name).await);
    }
    let pair = (pair[0].clone(), pair[1].clone());
    let readers = channels.clone();
    let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let over = is_over.clone();
    // What the links of the online members do: they take what was passed.
    let reading = std::thread::spawn(move || {
        let mut taken = 0;
        while !over.load(Ordering::Relaxed) {
            taken += readers.iter().map(|channel| std::iter::from_fn(|| channel.take(true)).count()).sum::<usize>();
            std::thread::sleep(Duration::from_millis(1));
        }
        taken
    });
    let phases =
        [("nothing", None), ("a message in every tenth commit", Some(10)), ("a message in every commit", Some(1))];
    let (mut next, mut waits) = (1, [const { Vec::new() }; 3]);
    for round in 0..6 {
        let found = wait_of_others(&mut crowd, &pair, next, phases[round % 3].1).await;
        next += found.len() as u64;
        waits[round % 3] = found;
    }
    let (written, read) = crowd.cost_of_message().await;
    is_over.store(true, Ordering::Relaxed);
    let taken = reading.join().unwrap();
    let at = |waits: &[u64], percent: usize| waits[waits.len() * percent / 100];
    println!("100,000 members, 2,000 online: {written} rows written and {read} read for a message; {taken} passed");
    for ((name, _), waits) in phases.iter().zip(&waits) {
        let (p50, p90, p99) = (at(waits, 50), at(waits, 90), at(waits, 99));
        println!("others wait, {name} for the group: p50 {p50} us, p90 {p90} us, p99 {p99} us");
    }
    println!("resident: {at_start:.0} MiB empty, {with_members:.0} with the members, {:.0} after", resident_mib());
}
