//! Following many and being followed by many, with the time in the test's hands.

use super::*;
use crate::{base::number::DeviceNo, live::sessions::News};

const TICK: Duration = Duration::from_secs(1);

struct Rig {
    sessions: Sessions,
    registry: Registry,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        Self { sessions: Sessions::default(), registry: Registry::default(), now: Instant::now() }
    }

    fn follow(&mut self, channel: &Arc<Channel>, users: &[UserNo]) -> Users {
        self.registry.follow(&self.sessions, channel, users, false).unwrap()
    }

    fn tick(&mut self, after: Duration) -> Vec<Telling> {
        self.now += after;
        let News { turned, .. } = self.sessions.take_news();
        self.registry.advance(&self.sessions, turned, self.now)
    }
}

fn channel(user: u32) -> Arc<Channel> {
    Channel::new(ChannelId { user: UserNo(user), device: DeviceNo(1), conn_epoch: 1 }, 0)
}

#[test]
fn what_ends_leaves_nothing_behind() {
    let mut rig = Rig::new();
    let (one, other) = (channel(1), channel(2));
    let users: Vec<UserNo> = (3..103).map(UserNo).collect();
    rig.follow(&one, &users);
    rig.follow(&other, &users[..1]);
    rig.registry.forget(&one);
    assert_eq!((rig.registry.followed.len(), rig.registry.followers.len()), (1, 1));
    rig.registry.follow(&rig.sessions, &other, &users[1..2], true).unwrap();
    assert_eq!(rig.registry.followed.len(), 1, "replaced");
    rig.registry.forget(&other);
    assert!(rig.registry.followed.is_empty() && rig.registry.followers.is_empty());
}

#[test]
fn a_user_whom_too_many_follow_is_told_to_those_who_came_first() {
    let mut rig = Rig::new();
    let user = UserNo(1);
    let followers: Vec<_> = (0..=MAX_FOLLOWERS as u32).map(|no| channel(2 + no)).collect();
    followers.iter().for_each(|follower| assert!(rig.follow(follower, &[user]).is_empty()));
    rig.sessions.bind(channel(1).id, 0, false);
    let told: Vec<_> = std::iter::from_fn(|| Some(rig.tick(TICK)).filter(|told| !told.is_empty())).flatten().collect();
    assert!(told.iter().all(|telling| telling.users == [(user, true)]));
    let (late, early) = followers.split_last().unwrap();
    assert_eq!(told.len(), early.len());
    assert!(told.iter().all(|telling| !Arc::ptr_eq(&telling.channel, late)));
    assert!(rig.follow(late, &[user]).contains(&user), "but it is answered");
    rig.registry.forget(&early[0]);
    rig.follow(late, &[user]);
    rig.sessions.unbind(channel(1).id);
    assert!(rig.tick(TICK).is_empty());
    let told = rig.tick(GRACE);
    let late = told.iter().find(|telling| Arc::ptr_eq(&telling.channel, late));
    assert_eq!(late.unwrap().users, [(user, false)], "there was room again");
}

/// Everybody comes online at once: each follower hears of each in the end, and no tick does more than its share.
#[test]
fn a_storm_is_spread_over_ticks() {
    const USERS: u32 = 2000;
    let mut rig = Rig::new();
    for no in 0..400 {
        let users: Vec<UserNo> = (0..500).map(|user| UserNo((no * 4 + user) % USERS + 1)).collect();
        rig.follow(&channel(USERS + 1 + no), &users);
    }
    let users: Vec<_> = (1..=USERS).map(channel).collect();
    users.iter().for_each(|user| rig.sessions.bind(user.id, 0, false));
    let mut heard: HashMap<UserNo, HashSet<(UserNo, bool)>> = HashMap::new();
    let mut ticks = 0;
    loop {
        let tellings = rig.tick(TICK);
        let is_idle = rig.registry.is_idle();
        let in_tick: usize = tellings.iter().map(|telling| telling.users.len()).sum();
        for Telling { channel, users } in tellings {
            assert!(users.len() <= TOLD_AT_ONCE);
            let heard = heard.entry(channel.id.user).or_default();
            assert!(users.into_iter().all(|change| heard.insert(change)), "told twice");
        }
        if ticks == 0 {
            assert!(!rig.registry.turned.is_empty(), "the first tick makes no more marks than it should");
        }
        if in_tick == 0 {
            assert!(is_idle);
            break;
        }
        assert!(!is_idle || heard.values().all(|heard| heard.len() == 500), "some have not heard");
        assert!(in_tick < TOLD_PER_TICK + TOLD_AT_ONCE, "{in_tick}");
        ticks += 1;
    }
    assert_eq!(heard.len(), 400);
    assert!(heard.values().all(|heard| heard.len() == 500 && heard.iter().all(|(_, online)| *online)));
    assert!((10..=12).contains(&ticks), "{ticks}");
}
