//! Following with the time in the test's hands.

use prost::Message;

use super::*;
use crate::{
    base::number::DeviceNo,
    live::{followers::GRACE, queue::Outbound},
    log::{AccountRecord, ContactRecord, keys},
    ops::id::ChannelId,
    store::{Batch, Durability, Engine, Table, memory::MemoryEngine},
};

struct Rig {
    engine: Arc<MemoryEngine>,
    log: Log,
    sessions: Sessions,
    presence: Presence,
    now: Instant,
}

impl Rig {
    /// Users 1 to `users`, whose uid is their number.
    async fn new(users: u32) -> Self {
        let engine = Arc::new(MemoryEngine::new());
        let mut batch = Batch::default();
        for no in 1..=users {
            let account =
                AccountRecord { uid: no.to_string(), last_seen_ms: 7, has_contacts: true, ..Default::default() };
            batch.put(Table::Users, keys::user(UserNo(no)), account.encode_to_vec());
            batch.put(Table::UserNames, no.to_string().into_bytes(), keys::user(UserNo(no)));
        }
        engine.commit(batch, Durability::Synced).await.unwrap();
        let (sessions, presence) = (Sessions::default(), Presence::default());
        Self { log: Log::new(engine.clone()), engine, sessions, presence, now: Instant::now() }
    }

    async fn set_contact(&self, user: u32, other: u32, record: ContactRecord) {
        let mut batch = Batch::default();
        batch.put(Table::Contacts, keys::contact(UserNo(user), UserNo(other)), record.encode_to_vec());
        self.log.engine().commit(batch, Durability::Synced).await.unwrap();
    }

    async fn befriend(&self, one: u32, other: u32) {
        let agreed = ContactRecord { asked_by_me: true, asked_by_them: true, blocked: false };
        self.set_contact(one, other, agreed).await;
        self.set_contact(other, one, agreed).await;
    }

    async fn follow(&self, channel: &Arc<Channel>, uids: &[u32], replace: bool) -> Result<Vec<bool>, FollowError> {
        let uids = uids.iter().map(u32::to_string).collect();
        let request = wire::PresenceRequest { uids, replace };
        let told = self.presence.follow(&self.log, &self.sessions, channel, &request).await?;
        Ok(told.into_iter().map(|presence| presence.online).collect())
    }

    async fn tick(&mut self, after: Duration) {
        self.now += after;
        self.presence.tick(&self.log, &self.sessions, self.now).await.unwrap();
    }
}

fn channel(user: u32) -> Arc<Channel> {
    Channel::new(ChannelId { user: UserNo(user), device: DeviceNo(1), conn_epoch: 1 }, 0)
}

/// What a follower has been told, signal by signal.
fn told(channel: &Channel) -> Vec<Vec<(u32, bool)>> {
    let signals = std::iter::from_fn(|| channel.take(true)).map(|outbound| match outbound {
        Outbound::Signal(signal) => {
            signal.presence.into_iter().map(|one| (one.uid.parse().unwrap(), one.online)).collect()
        }
        other => panic!("{other:?}"),
    });
    signals.collect()
}

#[tokio::test]
async fn a_reconnect_is_not_seen_and_a_farewell_is() {
    let mut rig = Rig::new(2).await;
    rig.befriend(1, 2).await;
    let (follower, followed) = (channel(1), channel(2));
    assert_eq!(rig.follow(&follower, &[2], false).await.unwrap(), [false]);
    rig.sessions.bind(followed.id, 0, false);
    rig.tick(TICK).await;
    assert_eq!(told(&follower), [[(2, true)]]);
    for _ in 0..3 {
        rig.sessions.unbind(followed.id);
        rig.tick(TICK).await;
        assert_eq!(rig.follow(&follower, &[2], false).await.unwrap(), [true], "nobody knows yet that they are gone");
        rig.sessions.bind(followed.id, 0, false);
        rig.tick(GRACE).await;
        assert!(told(&follower).is_empty());
    }
    rig.sessions.unbind(followed.id);
    rig.tick(TICK).await;
    rig.tick(GRACE - TICK).await;
    assert!(told(&follower).is_empty(), "the grace counts from the last farewell");
    assert!(!rig.presence.is_idle(), "it is to be told yet");
    rig.tick(TICK).await;
    assert_eq!(told(&follower), [[(2, false)]]);
    assert!(rig.presence.is_idle());
    assert_eq!(rig.follow(&follower, &[2], false).await.unwrap(), [false]);
}

#[tokio::test]
async fn what_was_dropped_is_told_again_as_it_is_then() {
    let mut rig = Rig::new(2).await;
    rig.befriend(1, 2).await;
    let (follower, followed) = (channel(1), channel(2));
    rig.follow(&follower, &[2], false).await.unwrap();
    while follower.signal(wire::Signal::default()) {}
    rig.sessions.bind(followed.id, 0, false);
    rig.tick(TICK).await;
    assert!(told(&follower).iter().all(Vec::is_empty), "its queue was full");
    assert!(!rig.presence.is_idle(), "it waits for another time");
    rig.tick(TICK).await;
    assert_eq!(told(&follower), [[(2, true)]]);
    rig.tick(TICK).await;
    assert!(told(&follower).is_empty(), "once is enough");
}

#[tokio::test]
async fn who_blocks_or_is_blocked_is_seen_no_more() {
    for (blocking, blocked) in [(1, 2), (2, 1)] {
        let mut rig = Rig::new(2).await;
        rig.befriend(1, 2).await;
        let (follower, followed) = (channel(1), channel(2));
        rig.sessions.bind(followed.id, 0, false);
        assert_eq!(rig.follow(&follower, &[2], false).await.unwrap(), [true]);
        let block = ContactRecord { asked_by_me: true, asked_by_them: true, blocked: true };
        rig.set_contact(blocking, blocked, block).await;
        rig.sessions.veil(UserNo(2), Some(UserNo(1)));
        rig.tick(TICK).await;
        assert_eq!(told(&follower), [[(2, false)]]);
        assert_eq!(rig.follow(&follower, &[2], false).await.unwrap(), [false]);
        rig.sessions.unbind(followed.id);
        rig.tick(TICK).await;
        rig.tick(GRACE).await;
        assert!(told(&follower).is_empty());
    }
}

#[tokio::test]
async fn a_connection_follows_up_to_its_limit() {
    let rig = Rig::new(602).await;
    let follower = channel(1);
    for other in 2..=602 {
        rig.befriend(1, other).await;
    }
    for first in [2, 102, 202, 302, 402] {
        let uids: Vec<u32> = (first..first + 100).collect();
        rig.follow(&follower, &uids, false).await.unwrap();
        rig.follow(&follower, &uids, false).await.unwrap();
    }
    assert!(matches!(rig.follow(&follower, &[502], false).await, Err(FollowError::Full)));
    let too_many: Vec<u32> = (1..=101).collect();
    assert!(matches!(rig.follow(&follower, &too_many, false).await, Err(FollowError::TooMany)));
    rig.follow(&follower, &[502], true).await.unwrap();
    rig.follow(&follower, &[503], false).await.expect("there is room again");
}

#[tokio::test]
async fn many_changes_are_told_in_signals_that_fit_a_frame() {
    const USERS: u32 = 90;
    let mut rig = Rig::new(USERS).await;
    let follower = channel(1);
    let others: Vec<u32> = (2..=USERS).collect();
    for other in &others {
        rig.befriend(1, *other).await;
    }
    rig.follow(&follower, &others, false).await.unwrap();
    others.iter().for_each(|other| rig.sessions.bind(channel(*other).id, 0, false));
    rig.tick(TICK).await;
    let signals = told(&follower);
    assert!(signals.iter().all(|signal| signal.len() <= MAX_IN_SIGNAL));
    let mut heard = signals.concat();
    heard.sort_unstable();
    assert_eq!(heard, others.into_iter().map(|other| (other, true)).collect::<Vec<_>>());
}

/// Whichever read fails, what was to be told is told in the next tick.
#[tokio::test]
async fn what_could_not_be_read_is_told_later() {
    for fails in 0..2 {
        let mut rig = Rig::new(3).await;
        rig.befriend(1, 2).await;
        rig.befriend(1, 3).await;
        let (follower, two, three) = (channel(1), channel(2), channel(3));
        rig.follow(&follower, &[2, 3], false).await.unwrap();
        rig.sessions.bind(two.id, 0, false);
        rig.sessions.bind(three.id, 0, false);
        rig.engine.fail_a_read_after(fails);
        assert!(rig.presence.tick(&rig.log, &rig.sessions, rig.now).await.is_err());
        assert!(!rig.presence.is_idle(), "it is to be told yet");
        rig.tick(TICK).await;
        let mut heard = told(&follower).concat();
        heard.sort_unstable();
        assert_eq!(heard, [(2, true), (3, true)], "read {fails} failed");
    }
}

#[tokio::test]
async fn who_shows_themselves_no_more_is_let_go_though_a_read_fails() {
    for fails in 0..3 {
        let mut rig = Rig::new(2).await;
        rig.befriend(1, 2).await;
        let (follower, followed) = (channel(1), channel(2));
        rig.sessions.bind(followed.id, 0, false);
        assert_eq!(rig.follow(&follower, &[2], false).await.unwrap(), [true]);
        rig.set_contact(2, 1, ContactRecord { blocked: true, ..Default::default() }).await;
        rig.sessions.veil(followed.id.user, Some(follower.id.user));
        rig.engine.fail_a_read_after(fails);
        let failed = rig.presence.tick(&rig.log, &rig.sessions, rig.now).await.is_err();
        rig.tick(TICK).await;
        assert_eq!(told(&follower).concat(), [(2, false)], "read {fails} failed: {failed}");
    }
}
