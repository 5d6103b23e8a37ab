//! Who follows whose presence, and who is to hear that it has changed. Nothing of it is stored; what a link follows ends
//! with the link. It neither reads what a user shows to whom nor tells anybody: it says who is to be told what.
//!
//! A change costs a mark at each follower, and each tick makes and hands out only so many: when ten thousand users come
//! online at once, the last of them is told some seconds later, and nobody else waits.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use rustc_hash::FxBuildHasher;

use super::{channel::Channel, sessions::Sessions};
use crate::base::number::{DeviceNo, UserNo};

/// Users that one connection follows.
pub const MAX_FOLLOWED: usize = 500;
/// Followers of one user; more are answered, and have to ask again.
const MAX_FOLLOWERS: usize = 10_000;
/// How long a user must be gone before it is told, so that a reconnect is not seen.
pub const GRACE: Duration = Duration::from_secs(5);
/// Changes that one follower is told in one tick.
const TOLD_AT_ONCE: usize = 100;
/// Marks made in one tick, rounded up to a user's followers.
const MARKS_PER_TICK: usize = 100_000;
/// Presences told in one tick, rounded up to a follower's.
const TOLD_PER_TICK: usize = 20_000;

/// One connection of a device.
type FollowerId = (UserNo, DeviceNo, u64);
type Numbers<K, V> = HashMap<K, V, FxBuildHasher>;
pub type Users = HashSet<UserNo, FxBuildHasher>;

/// The followers of everybody. Bounded by the connections there are.
#[derive(Default)]
pub struct Registry {
    followed: Numbers<UserNo, Followed>,
    followers: Numbers<FollowerId, Follower>,
    /// Users who may have gone, and when that is told; in rising time.
    leaving: VecDeque<(Instant, UserNo)>,
    /// Users whose followers are still to be marked.
    turned: VecDeque<UserNo>,
    /// Followers with something to hear, each once.
    waiting: VecDeque<FollowerId>,
}

struct Followed {
    /// As followers are told; for a while longer than it is so.
    is_online: bool,
    leaves_at: Option<Instant>,
    followers: HashSet<FollowerId, FxBuildHasher>,
}

struct Follower {
    channel: Arc<Channel>,
    follows: Users,
    /// Of whom it is to hear.
    marked: Users,
}

/// What one follower is told in this tick.
pub struct Telling {
    pub channel: Arc<Channel>,
    /// Who is online now, and who is not.
    pub users: Vec<(UserNo, bool)>,
}

impl Registry {
    /// Follows `users` from now on, with `replace` them alone. Those of them who are online; None: the connection would
    /// follow more than [`MAX_FOLLOWED`].
    pub fn follow(
        &mut self,
        sessions: &Sessions,
        channel: &Arc<Channel>,
        users: &[UserNo],
        replace: bool,
    ) -> Option<Users> {
        let id = id_of(channel);
        if replace {
            self.forget(channel);
        }
        let follows = self.followers.get(&id).map(|follower| &follower.follows);
        let new: Users =
            users.iter().copied().filter(|user| follows.is_none_or(|known| !known.contains(user))).collect();
        if follows.map_or(0, HashSet::len) + new.len() > MAX_FOLLOWED {
            return None;
        }
        for user in new {
            let followed = self.followed.entry(user).or_insert_with(|| Followed {
                is_online: sessions.is_online(user),
                leaves_at: None,
                followers: HashSet::default(),
            });
            if followed.followers.len() < MAX_FOLLOWERS {
                followed.followers.insert(id);
                let follower = self.followers.entry(id).or_insert_with(|| Follower {
                    channel: channel.clone(),
                    follows: Users::default(),
                    marked: Users::default(),
                });
                follower.follows.insert(user);
            }
        }
        let is_online = |user: &UserNo| self.followed.get(user).is_some_and(|followed| followed.is_online);
        Some(users.iter().copied().filter(is_online).collect())
    }

    /// Nobody is to be told anything, now or later, until there are news.
    pub fn is_idle(&self) -> bool {
        self.leaving.is_empty() && self.turned.is_empty() && self.waiting.is_empty()
    }

    /// The connection has ended, or follows others instead.
    pub fn forget(&mut self, channel: &Channel) {
        let id = id_of(channel);
        let Some(follower) = self.followers.remove(&id) else { return };
        for user in follower.follows {
            self.let_go(id, user);
        }
    }

    /// The connection follows `user` no more.
    pub fn unfollow(&mut self, channel: &Channel, user: UserNo) {
        let id = id_of(channel);
        if let Some(follower) = self.followers.get_mut(&id) {
            follower.follows.remove(&user);
            follower.marked.remove(&user);
        }
        self.let_go(id, user);
    }

    fn let_go(&mut self, id: FollowerId, user: UserNo) {
        if let Some(followed) = self.followed.get_mut(&user) {
            followed.followers.remove(&id);
            if followed.followers.is_empty() {
                self.followed.remove(&user);
            }
        }
    }

    /// The connections that follow `user`; if `watcher` is named, only theirs.
    pub fn followers_of(&self, user: UserNo, watcher: Option<UserNo>) -> Vec<Arc<Channel>> {
        let followers = self.followed.get(&user).into_iter().flat_map(|followed| &followed.followers);
        let asked = followers.filter(|(follower, _, _)| watcher.is_none_or(|watcher| watcher == *follower));
        asked.filter_map(|id| self.followers.get(id)).map(|follower| follower.channel.clone()).collect()
    }

    /// Takes in who has come and gone, and says what is to be told now.
    pub fn advance(&mut self, sessions: &Sessions, turned: Users, now: Instant) -> Vec<Telling> {
        for user in turned {
            self.turn(user, sessions.is_online(user), now);
        }
        while let Some((due, user)) = self.leaving.front().copied().filter(|(due, _)| *due <= now) {
            self.leaving.pop_front();
            if let Some(followed) = self.followed.get_mut(&user).filter(|followed| followed.leaves_at == Some(due)) {
                followed.leaves_at = None;
                followed.is_online = false;
                self.turned.push_back(user);
            }
        }
        self.mark();
        self.tellings()
    }

    fn turn(&mut self, user: UserNo, is_online: bool, now: Instant) {
        let Some(followed) = self.followed.get_mut(&user) else { return };
        match (followed.is_online, is_online) {
            (true, true) => followed.leaves_at = None,
            (false, true) => {
                followed.is_online = true;
                self.turned.push_back(user);
            }
            (true, false) if followed.leaves_at.is_none() => {
                let due = now + GRACE;
                followed.leaves_at = Some(due);
                self.leaving.push_back((due, user));
            }
            (_, false) => {}
        }
    }

    /// Marks at followers who has turned.
    fn mark(&mut self) {
        let mut marks = 0;
        while marks < MARKS_PER_TICK
            && let Some(user) = self.turned.pop_front()
        {
            let Some(followed) = self.followed.get(&user) else { continue };
            marks += followed.followers.len();
            for id in &followed.followers {
                let Some(follower) = self.followers.get_mut(id) else { continue };
                if follower.marked.is_empty() {
                    self.waiting.push_back(*id);
                }
                follower.marked.insert(user);
            }
        }
    }

    /// Each follower that waits gets its turn once; what is too much at once waits on.
    fn tellings(&mut self) -> Vec<Telling> {
        let (mut tellings, mut told) = (Vec::new(), 0);
        for _ in 0..self.waiting.len() {
            if told >= TOLD_PER_TICK {
                break;
            }
            let Some(id) = self.waiting.pop_front() else { break };
            let Some(follower) = self.followers.get_mut(&id) else { continue };
            let users: Vec<UserNo> = follower.marked.iter().copied().take(TOLD_AT_ONCE).collect();
            for user in &users {
                follower.marked.remove(user);
            }
            if !follower.marked.is_empty() {
                self.waiting.push_back(id);
            }
            told += users.len();
            let is_online = |user| self.followed.get(&user).is_some_and(|followed| followed.is_online);
            let users = users.into_iter().map(|user| (user, is_online(user))).collect();
            tellings.push(Telling { channel: follower.channel.clone(), users });
        }
        tellings
    }

    /// What it was to be told was dropped: once more in the next tick.
    pub fn mark_again(&mut self, channel: &Channel, users: &[(UserNo, bool)]) {
        let id = id_of(channel);
        let Some(follower) = self.followers.get_mut(&id) else { return };
        let waits = !follower.marked.is_empty();
        let still = users.iter().map(|(user, _)| *user).filter(|user| follower.follows.contains(user));
        follower.marked.extend(still);
        if !waits && !follower.marked.is_empty() {
            self.waiting.push_back(id);
        }
    }
}

fn id_of(channel: &Channel) -> FollowerId {
    (channel.user, channel.device, channel.conn_epoch)
}

#[cfg(test)]
mod tests;
