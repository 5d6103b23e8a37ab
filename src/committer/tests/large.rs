//! What a message to a large group costs: rows and memory that do not depend on how many members it has, and one thing
//! passed to each device that is online.

use std::{
    ops::RangeInclusive,
    sync::atomic::{AtomicUsize, Ordering},
};

use hongyan_proto::wire::act::What;

use super::*;
use crate::{
    committer::op::{AccountAction, AccountChange},
    store::{DumpSink, Row, Scan, StoreFuture},
};

/// Counts the rows that are written and read.
#[derive(Default)]
struct Counting {
    inner: MemoryEngine,
    written: AtomicUsize,
    read: AtomicUsize,
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
    sessions: Arc<Sessions>,
    committer: Committer,
    now: Now,
    owner: Arc<Channel>,
    send_no: u64,
}

impl Crowd {
    /// A group of `members` and its owner; `online` of them are connected.
    async fn of(members: usize, online: usize) -> (Self, Vec<Arc<Channel>>) {
        let engine = Arc::new(Counting::default());
        let sessions = Arc::new(Sessions::default());
        let settings = CommitterSettings { group_members: 1_000_000, ..settings() };
        let mut committer =
            Committer::open(Log::new(engine.clone()), sessions.clone(), Arc::new(Metrics::default()), settings)
                .await
                .unwrap();
        let now = Now { instant: Instant::now(), unix_ms: 1_800_000_000_000 };
        for from in (0..members).step_by(1000) {
            let ops = (from..members.min(from + 1000)).map(|number| {
                let uid = Uid::new(&format!("m{number}")).unwrap();
                let (reply, _) = oneshot::channel();
                Op::Account(Box::new(AccountChange { uid, action: AccountAction::Ensure, reply }))
            });
            committer.process(ops.collect(), now).await;
        }
        let owner = bind(&mut committer, now, "owner").await;
        let mut channels = Vec::new();
        for number in 0..online {
            channels.push(bind(&mut committer, now, &format!("m{number}")).await);
        }
        let mut crowd = Self { engine, sessions, committer, now, owner, send_no: 0 };
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
        let submit = Submit { channel: self.owner.clone(), number: SendNumber::Given(self.send_no), body };
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

async fn bind(committer: &mut Committer, now: Now, uid: &str) -> Arc<Channel> {
    let (reply, answer) = oneshot::channel();
    let who = Who::Credential(Credential { log_epoch: 0, token_epoch: None, ..credential(uid, "phone") });
    let login = Login { who, next_secret: [1; 32], accepted_at: now.instant, reply };
    committer.process(vec![Op::Login(Box::new(login))], now).await;
    let channel = answer.await.unwrap().unwrap().channel;
    channel.catch_up(channel.head());
    channel
}

async fn check(members: usize, online: usize, rows: RangeInclusive<usize>) {
    let (mut crowd, channels) = Crowd::of(members, online).await;
    assert_eq!(crowd.sessions.len(), online + 1);
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
