//! The committer over an engine that fails on demand, with the time in the test's hands.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hongyan_proto::{CloseCode, ConversationId, DeviceName, Uid, wire};

use super::{Committer, CommitterSettings, Syncing};
use crate::{
    auth::resume::ResumeToken,
    base::{
        environment::Now,
        metrics::Metrics,
        number::{DeviceNo, UserNo},
    },
    live::{channel::Channel, queue::Outbound, sessions::Sessions},
    log::{
        Log,
        keys::{self, meta},
    },
    ops::{
        answer::{Answer, Bound, LoginError},
        id::{ChannelId, OpId, SendNumber},
        op::{Addressed, Asked, Credential, Login, Op, Submit, Who},
    },
    session::LoggedIn,
    store::{Batch, Durability, Engine, StoreError, Table, memory::MemoryEngine},
};
use front::Front;

mod accounts;
mod acts;
mod answers;
mod cast;
mod cursors;
mod damage;
mod front;
mod halves;
mod kills;
mod large;
mod model;
mod speed;

const EPOCH: u64 = 77;

struct Rig {
    engine: Arc<MemoryEngine>,
    front: Front,
    committer: Committer,
    now: Now,
    secrets: u8,
}

fn settings() -> CommitterSettings {
    let limits = wire::Limits { sends_per_s: 1000, send_burst: 1000, ..Default::default() };
    CommitterSettings {
        syncing: Syncing::EachCommit,
        gather: Duration::ZERO,
        limits,
        send_window: 4,
        accept_unknown_recipients: false,
        accounts: 1_000_000,
        devices_per_user: 2,
        channels_per_user: 2,
        resume_ttl: Duration::from_secs(7200),
        receipt_delay: Duration::from_millis(500),
        timeline_entries: 10,
        edit_within: Duration::from_secs(3600),
        recall_within: Duration::from_secs(3600),
        fan_out_threshold: 5,
        group_members: 8,
        receipts_up_to: 3,
        default_audience: wire::Audience::Everybody,
        link_key: [7; 32],
    }
}

impl Rig {
    async fn new() -> Self {
        Self::with(settings()).await
    }

    async fn syncing(syncing: Syncing) -> Self {
        Self::with(CommitterSettings { syncing, ..settings() }).await
    }

    async fn with(settings: CommitterSettings) -> Self {
        let engine = Arc::new(MemoryEngine::new());
        let mut batch = Batch::default();
        batch.put(Table::Meta, meta::LOG_EPOCH.as_bytes(), keys::number(EPOCH));
        engine.commit(batch, Durability::Synced).await.unwrap();
        let front = Front::new();
        let log = Log::new(engine.clone());
        let committer = Committer::open(log, Arc::new(Metrics::default()), settings, front.outlet()).await.unwrap();
        let now = Now { instant: Instant::now(), unix_ms: 1_800_000_000_000 };
        Self { engine, front, committer, now, secrets: 0 }
    }

    async fn process(&mut self, ops: Vec<Op>) {
        self.committer.process(ops, self.now).await;
    }

    async fn pass(&mut self, time: Duration) {
        self.now.instant += time;
        self.process(Vec::new()).await;
    }

    /// Messages 1 to `last`, a second apart: each makes a run of its own, and none is too soon after another.
    async fn send_slowly(&mut self, channel: &Arc<Channel>, to: &str, last: u64) {
        for send_no in 1..=last {
            self.now.instant += Duration::from_secs(1);
            self.process(vec![send(channel, send_no, to)]).await;
        }
    }

    async fn log_in_as(&mut self, who: Who) -> Result<LoggedIn, LoginError> {
        self.secrets = self.secrets.wrapping_add(1);
        self.front.log_in(&mut self.committer, self.now, who, [self.secrets; 32]).await
    }

    async fn log_in(&mut self, uid: &str, device: &str) -> LoggedIn {
        self.log_in_as(Who::Credential(credential(uid, device))).await.unwrap()
    }

    async fn resume(&mut self, token: &Bytes, cursor: u64) -> Result<LoggedIn, LoginError> {
        let token = ResumeToken::decode(token).unwrap();
        let (user, device) = (UserNo(token.user_no() as u32), DeviceNo(token.device_no() as u32));
        self.log_in_as(Who::Resume { user, device, hash: token.hash().to_bytes(), cursor: Some(cursor) }).await
    }
}

fn credential(uid: &str, device: &str) -> Credential {
    Credential {
        uid: Uid::new(uid).unwrap(),
        by_token: true,
        token_epoch: Some(0),
        issued_at_s: None,
        device: DeviceName::new(device).unwrap(),
        device_epoch: 1,
        cursor: None,
        log_epoch: EPOCH,
        last_send_no: 0,
        answered_send_no: 0,
        from_head: false,
        ephemeral: false,
    }
}

fn send(channel: &Channel, send_no: u64, to: &str) -> Op {
    let body = Ok(Addressed {
        to: ConversationId::new(to).ok(),
        asked: Asked::Message { content: Bytes::from_static(b"hi"), extras: None },
    });
    Op::Submit(Submit { from: channel.id, op: None, number: SendNumber::Given(send_no), body })
}

fn acked(channel: &Channel, useq: u64) -> Op {
    Op::Acked { by: channel.id, useq }
}

/// What waits in a channel, in short: a(cked), r(efused), e(ntry), with their numbers.
fn drain(channel: &Channel) -> Vec<(char, u64, u64)> {
    let mut found = Vec::new();
    while let Some(outbound) = channel.take(true) {
        found.push(match outbound {
            Outbound::Acked(ack) => ('a', ack.send_no, ack.useq),
            Outbound::Refused(nack) => ('r', nack.send_no, nack.code as u64),
            Outbound::Entry { useq, .. } => ('e', useq, 0),
            other => panic!("{other:?}"),
        });
    }
    found
}

fn is_refused(login: Result<LoggedIn, LoginError>, with: CloseCode) -> bool {
    matches!(login, Err(LoginError::Refused { code, .. }) if code == with)
}

const UNAVAILABLE: u64 = wire::NackCode::NackUnavailable as u64;

#[tokio::test]
async fn a_failed_commit_has_not_happened_for_anybody() {
    let mut rig = Rig::new().await;
    let (alice, bob) = (rig.log_in("alice", "phone").await.channel, rig.log_in("bob", "phone").await.channel);
    assert!(bob.catch_up(0));
    rig.engine.fail_next_commit(StoreError::DiskFull { path: "/".into(), free: 0, reserve: 1 });
    // The repetition in the same batch would be answered from a number that never became durable.
    rig.process(vec![send(&alice, 1, "bob"), send(&alice, 1, "bob"), send(&alice, 2, "bob")]).await;
    assert_eq!(drain(&alice), [('r', 1, UNAVAILABLE), ('r', 1, UNAVAILABLE), ('r', 2, UNAVAILABLE)]);
    assert_eq!(drain(&bob), []);
    rig.process(vec![send(&alice, 1, "bob"), send(&alice, 2, "bob")]).await;
    assert_eq!(drain(&alice), [('a', 1, 1), ('a', 2, 2)]);
    assert_eq!(drain(&bob), [('e', 1, 0), ('e', 2, 0)]);
}

#[tokio::test]
async fn a_failed_login_binds_nothing() {
    let mut rig = Rig::new().await;
    rig.engine.fail_next_commit(StoreError::DiskFull { path: "/".into(), free: 0, reserve: 1 });
    let login = rig.log_in_as(Who::Credential(credential("alice", "phone"))).await;
    assert!(matches!(login, Err(LoginError::Unavailable(_))));
    assert!(rig.front.sessions.is_empty());
    assert_eq!(rig.log_in("alice", "phone").await.channel.id.conn_epoch, 1);
}

#[tokio::test]
async fn numbers_are_the_same_after_memory_is_lost() {
    let mut rig = Rig::new().await;
    let (alice, bob) = (rig.log_in("alice", "phone").await.channel, rig.log_in("bob", "phone").await.channel);
    for send_no in 1..=9 {
        rig.process(vec![send(&alice, send_no, "bob")]).await;
    }
    drain(&alice);
    rig.committer.forget_memory().await.unwrap();
    rig.process((4..=11).map(|send_no| send(&alice, send_no, "bob")).collect()).await;
    let expired = wire::NackCode::NackAnswerExpired as u64;
    let mut expected = vec![('r', 4, expired), ('r', 5, expired)];
    expected.extend((6..=11).map(|send_no| ('a', send_no, send_no)));
    assert_eq!(drain(&alice), expected, "the last 4 answers are kept, and the numbers go on");
    let bounds = rig.committer.log.bounds(bob.id.user).await.unwrap();
    assert_eq!((bounds.low, bounds.head), (0, 11));
}

#[tokio::test]
async fn an_older_connection_changes_nothing_any_more() {
    let mut rig = Rig::new().await;
    let old = rig.log_in("alice", "phone").await.channel;
    let new = rig.log_in("alice", "phone").await.channel;
    assert!(old.end().is_some_and(|(code, _)| code == CloseCode::REPLACED));
    rig.process(vec![send(&old, 1, "alice"), acked(&old, 1)]).await;
    assert_eq!(drain(&old), []);
    rig.process(vec![send(&new, 1, "alice")]).await;
    assert_eq!(drain(&new), [('a', 1, 1)]);
}

#[tokio::test]
async fn a_resume_token_is_used_up_when_its_successor_is_known_to_be_stored() {
    let mut rig = Rig::new().await;
    let first = rig.log_in("alice", "phone").await;
    let second = rig.resume(&first.resume_token, 0).await.unwrap();
    let third = rig.resume(&first.resume_token, 0).await.unwrap();
    assert!(is_refused(rig.resume(&second.resume_token, 0).await, CloseCode::RESUME_REFUSED), "its offer was replaced");
    rig.process(vec![send(&third.channel, 1, "alice")]).await;
    assert!(is_refused(rig.resume(&first.resume_token, 0).await, CloseCode::RESUME_REFUSED), "it was used");
    assert!(rig.resume(&third.resume_token, 1).await.is_ok());
    for _ in 0..4 {
        rig.process(vec![Op::Hour]).await;
    }
    assert!(is_refused(rig.resume(&third.resume_token, 1).await, CloseCode::RESUME_REFUSED), "it is too old");
}

#[tokio::test]
async fn receipts_are_gathered_and_told_once() {
    let mut rig = Rig::new().await;
    let (alice, bob) = (rig.log_in("alice", "phone").await.channel, rig.log_in("bob", "phone").await.channel);
    assert!(alice.catch_up(0));
    rig.process((1..=3).map(|send_no| send(&alice, send_no, "bob")).collect()).await;
    drain(&alice);
    for useq in 1..=3 {
        rig.process(vec![acked(&bob, useq)]).await;
    }
    assert_eq!(drain(&alice), []);
    rig.pass(Duration::from_millis(500)).await;
    assert_eq!(drain(&alice), [('e', 4, 0)], "one receipt for three messages");
    rig.pass(Duration::from_secs(5)).await;
    rig.committer.forget_memory().await.unwrap();
    rig.process(vec![acked(&bob, 3)]).await;
    rig.pass(Duration::from_secs(5)).await;
    assert_eq!(drain(&alice), []);
}

#[tokio::test]
async fn silent_devices_are_forgotten_and_live_ones_never() {
    let mut rig = Rig::new().await;
    let phone = rig.log_in("alice", "phone").await.channel;
    let (user, device) = (phone.id.user, phone.id.device);
    rig.process(vec![Op::Forget { user, device, last_seen_hour: 0 }]).await;
    assert_eq!(rig.committer.log.devices(user).await.unwrap().len(), 1);
    rig.process(vec![Op::Left(phone.id), Op::Forget { user, device, last_seen_hour: 7 }]).await;
    rig.pass(Duration::from_secs(2)).await;
    assert_eq!(rig.committer.log.devices(user).await.unwrap().len(), 1, "it has been seen since");
    rig.process(vec![Op::Forget { user, device, last_seen_hour: 0 }]).await;
    rig.pass(Duration::from_secs(2)).await;
    assert_eq!(rig.committer.log.devices(user).await.unwrap().len(), 0);
}

#[tokio::test]
async fn only_devices_for_one_errand_make_room() {
    let mut rig = Rig::new().await;
    let errand = Credential { ephemeral: true, ..credential("alice", "errand") };
    let errand = rig.log_in_as(Who::Credential(errand)).await.unwrap().channel;
    rig.log_in("alice", "phone").await;
    let third = || Who::Credential(credential("alice", "third"));
    assert!(is_refused(rig.log_in_as(third()).await, CloseCode::TOO_MANY_DEVICES), "both are connected");
    rig.process(vec![Op::Left(errand.id)]).await;
    assert!(rig.log_in_as(third()).await.is_ok());
    assert_eq!(rig.committer.log.devices(errand.id.user).await.unwrap().len(), 2);
}

#[tokio::test]
async fn by_default_what_is_answered_is_synced() {
    let mut rig = Rig::new().await;
    let phone = rig.log_in("alice", "phone").await.channel;
    rig.process(vec![send(&phone, 1, "alice")]).await;
    assert_eq!((drain(&phone), rig.engine.unsynced_commits()), (vec![('a', 1, 1)], 0));
    rig.process(vec![acked(&phone, 1)]).await;
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!(rig.engine.unsynced_commits(), 1, "nobody waits for a cursor");
    assert_eq!(rig.committer.due.sync, None);
    rig.committer.finish(rig.now).await;
    assert_eq!(rig.engine.unsynced_commits(), 0);
}

#[tokio::test]
async fn an_interval_begins_with_the_first_unsynced_commit() {
    let interval = Duration::from_millis(100);
    let mut rig = Rig::syncing(Syncing::Within(interval)).await;
    let due = rig.now.instant + interval;
    let phone = rig.log_in("alice", "phone").await.channel;
    rig.now.instant += Duration::from_millis(99);
    rig.process(vec![send(&phone, 1, "alice")]).await;
    assert_eq!((drain(&phone), rig.engine.unsynced_commits()), (vec![('a', 1, 1)], 2), "answered before the sync");
    assert_eq!(rig.committer.due.sync, Some(due));
    rig.now.instant = due;
    rig.process(vec![send(&phone, 2, "alice")]).await;
    assert_eq!((drain(&phone), rig.engine.unsynced_commits()), (vec![('a', 2, 2)], 0));
    assert_eq!(rig.committer.due.sync, None, "nothing is left to sync");
}

#[tokio::test]
async fn a_sync_that_fails_for_now_is_tried_again() {
    let interval = Duration::from_millis(100);
    let mut rig = Rig::syncing(Syncing::Within(interval)).await;
    rig.log_in("alice", "phone").await;
    rig.engine.fill_up(true);
    rig.pass(interval).await;
    assert_eq!(rig.committer.due.sync, Some(rig.now.instant + interval), "not at once, which would spin");
    rig.engine.fill_up(false);
    rig.pass(interval).await;
    assert_eq!(rig.engine.unsynced_commits(), 0);
    rig.log_in("alice", "phone").await;
    rig.engine.fail_next_commit(StoreError::Failed("worn out".into()));
    rig.pass(interval).await;
    assert_eq!(rig.committer.due.sync, None, "this store takes nothing any more");
}

#[tokio::test]
async fn left_to_the_system_only_the_end_is_synced() {
    let mut rig = Rig::syncing(Syncing::BySystem).await;
    let phone = rig.log_in("alice", "phone").await.channel;
    rig.process(vec![send(&phone, 1, "alice")]).await;
    assert_eq!((drain(&phone), rig.committer.due.sync), (vec![('a', 1, 1)], None));
    rig.pass(Duration::from_secs(3600)).await;
    assert_eq!(rig.engine.unsynced_commits(), 2);
    rig.committer.finish(rig.now).await;
    assert_eq!(rig.engine.unsynced_commits(), 0);
}

#[tokio::test]
async fn idle_users_leave_memory_and_come_back_the_same() {
    let mut rig = Rig::new().await;
    let first = rig.log_in("alice", "phone").await;
    let bob = rig.log_in("bob", "phone").await.channel;
    rig.process(vec![send(&first.channel, 1, "bob")]).await;
    for _ in 0..5 {
        rig.pass(Duration::from_secs(10)).await;
    }
    assert!(rig.committer.users.is_empty() && rig.committer.names.is_empty() && rig.committer.pairs.is_empty());
    assert_eq!(rig.committer.due.poll_timeout(), None);
    drain(&first.channel);
    rig.process(vec![send(&first.channel, 1, "bob"), send(&first.channel, 2, "bob")]).await;
    assert_eq!(drain(&first.channel), [('a', 1, 1), ('a', 2, 2)]);
    assert!(rig.front.sessions.is_live(bob.id.user, bob.id.device));
    assert!(rig.resume(&first.resume_token, 0).await.is_ok(), "it was confirmed, as the newest");
}
