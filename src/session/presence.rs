//! Who follows whose presence, and telling them when it changes: each follower at most once a second, with
//! everything that has changed for it. Nothing of it is stored; what a link follows ends with the link.
//!
//! A change costs a mark at each follower, and each tick makes and tells only so many: when ten thousand users come
//! online at once, the last of them is told some seconds later, and nobody else waits.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hongyan_proto::wire;
use rustc_hash::FxBuildHasher;

use crate::{
    base::number::{DeviceNo, UserNo},
    live::{
        channel::Channel,
        sessions::{News, Sessions},
    },
    log::Log,
    store::StoreError,
};

/// Users asked for at once.
pub const MAX_ASKED: usize = 100;
/// Users that one connection follows.
pub const MAX_FOLLOWED: usize = 500;
/// Followers of one user; more are answered, and have to ask again.
const MAX_FOLLOWERS: usize = 10_000;
/// How long a user must be gone before it is told, so that a reconnect is not seen.
const GRACE: Duration = Duration::from_secs(5);
/// Changes that one follower is told in one tick.
const TOLD_AT_ONCE: usize = 100;
/// Presences in one signal, which fit the smallest frame that can be configured.
const MAX_IN_SIGNAL: usize = 20;
/// Marks made in one tick, rounded up to a user's followers.
const MARKS_PER_TICK: usize = 100_000;
/// Presences told in one tick, rounded up to a follower's.
const TOLD_PER_TICK: usize = 20_000;

/// How often [`Presence::tick`] is to be called, unless [`Presence::is_idle`].
pub const TICK: Duration = Duration::from_secs(1);

/// Why a request for presence is refused.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    #[error("uids: at most {MAX_ASKED} at once")]
    TooMany,
    #[error("a connection follows at most {MAX_FOLLOWED} users: let go of others with `replace`")]
    Full,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One connection of a device.
type FollowerId = (UserNo, DeviceNo, u64);
type Numbers<K, V> = HashMap<K, V, FxBuildHasher>;
type Users = HashSet<UserNo, FxBuildHasher>;

/// The followers of everybody. Bounded by the connections there are.
#[derive(Default)]
pub struct Presence {
    registry: Mutex<Registry>,
}

#[derive(Default)]
struct Registry {
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
struct Telling {
    channel: Arc<Channel>,
    users: Vec<(UserNo, bool)>,
}

impl Presence {
    /// Answers who of `uids` is online, and follows those who show it to the user of `channel`.
    pub async fn follow(
        &self,
        log: &Log,
        sessions: &Sessions,
        channel: &Arc<Channel>,
        request: &wire::PresenceRequest,
    ) -> Result<Vec<wire::Presence>, FollowError> {
        if request.uids.len() > MAX_ASKED {
            return Err(FollowError::TooMany);
        }
        let mut shown = Vec::with_capacity(request.uids.len());
        for uid in &request.uids {
            shown.push(match log.user_no(uid).await? {
                Some(user) if log.shows_presence_to(user, channel.user).await? => Some(user),
                // Who does not exist and who does not show it look alike.
                _ => None,
            });
        }
        let users: Vec<UserNo> = shown.iter().flatten().copied().collect();
        let online = self.lock().follow(sessions, channel, &users, request.replace)?;
        let mut presences = Vec::with_capacity(shown.len());
        for (uid, user) in request.uids.iter().zip(shown) {
            presences.push(match user {
                Some(user) => presence(log, user, online.contains(&user)).await?,
                None => wire::Presence { uid: uid.clone(), ..Default::default() },
            });
        }
        Ok(presences)
    }

    /// Nobody is to be told anything, now or later, until there are news.
    pub fn is_idle(&self) -> bool {
        let registry = self.lock();
        registry.leaving.is_empty() && registry.turned.is_empty() && registry.waiting.is_empty()
    }

    /// The connection has ended.
    pub fn forget(&self, channel: &Channel) {
        self.lock().forget(id_of(channel));
    }

    /// Tells followers what has changed.
    pub async fn tick(&self, log: &Log, sessions: &Sessions, now: Instant) -> Result<(), StoreError> {
        let News { turned, veiled } = sessions.take_news();
        for (user, watcher) in veiled {
            self.veil(log, user, watcher).await?;
        }
        let tellings = self.lock().advance(sessions, turned, now);
        for Telling { channel, users } in tellings {
            for users in users.chunks(MAX_IN_SIGNAL) {
                let mut presences = Vec::with_capacity(users.len());
                for (user, is_online) in users {
                    presences.push(presence(log, *user, *is_online).await?);
                }
                if !channel.signal(wire::Signal { presence: presences, ..Default::default() }) {
                    self.lock().mark_again(id_of(&channel), users);
                }
            }
        }
        Ok(())
    }

    /// Lets go of followers to whom the user shows themselves no more, and tells them nothing but that.
    async fn veil(&self, log: &Log, user: UserNo, watcher: Option<UserNo>) -> Result<(), StoreError> {
        let followers = self.lock().followers_of(user, watcher);
        for channel in followers {
            if !log.shows_presence_to(user, channel.user).await? {
                self.lock().unfollow(id_of(&channel), user);
                let hidden = wire::Presence { uid: log.uid(user).await?, ..Default::default() };
                channel.signal(wire::Signal { presence: vec![hidden], ..Default::default() });
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        // A panic between two steps could at worst leave a mark too many.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Those of `users` who are online.
    fn follow(
        &mut self,
        sessions: &Sessions,
        channel: &Arc<Channel>,
        users: &[UserNo],
        replace: bool,
    ) -> Result<Users, FollowError> {
        let id = id_of(channel);
        if replace {
            self.forget(id);
        }
        let follows = self.followers.get(&id).map(|follower| &follower.follows);
        let new: Users =
            users.iter().copied().filter(|user| follows.is_none_or(|known| !known.contains(user))).collect();
        if follows.map_or(0, HashSet::len) + new.len() > MAX_FOLLOWED {
            return Err(FollowError::Full);
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
        Ok(users
            .iter()
            .copied()
            .filter(|user| self.followed.get(user).is_some_and(|followed| followed.is_online))
            .collect())
    }

    fn forget(&mut self, id: FollowerId) {
        let Some(follower) = self.followers.remove(&id) else { return };
        for user in follower.follows {
            self.let_go(id, user);
        }
    }

    fn unfollow(&mut self, id: FollowerId, user: UserNo) {
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
    fn followers_of(&self, user: UserNo, watcher: Option<UserNo>) -> Vec<Arc<Channel>> {
        let followers = self.followed.get(&user).into_iter().flat_map(|followed| &followed.followers);
        let asked = followers.filter(|(follower, _, _)| watcher.is_none_or(|watcher| watcher == *follower));
        asked.filter_map(|id| self.followers.get(id)).map(|follower| follower.channel.clone()).collect()
    }

    /// Takes in who has come and gone, and says what is to be told now.
    fn advance(&mut self, sessions: &Sessions, turned: Users, now: Instant) -> Vec<Telling> {
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

    /// The signal was dropped: once more in the next tick.
    fn mark_again(&mut self, id: FollowerId, users: &[(UserNo, bool)]) {
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

async fn presence(log: &Log, user: UserNo, is_online: bool) -> Result<wire::Presence, StoreError> {
    let account = log.account(user).await?.unwrap_or_default();
    let last_seen_ms = if is_online { 0 } else { account.last_seen_ms };
    Ok(wire::Presence { uid: account.uid, online: is_online, last_seen_ms })
}

#[cfg(test)]
mod tests;
