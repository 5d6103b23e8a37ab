//! Following somebody's presence, and telling followers when it changes: each at most once a second, with everything
//! that has changed for it. Who shows themselves to whom stands in the log; who is to hear what, the [`Registry`] knows.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hongyan_proto::wire;

use crate::{
    base::number::UserNo,
    live::{
        channel::Channel,
        followers::{MAX_FOLLOWED, Registry, Telling},
        sessions::{News, Sessions},
    },
    log::Log,
    store::StoreError,
};

/// Users asked for at once.
const MAX_ASKED: usize = 100;
/// Presences in one signal, which fit the smallest frame that can be configured.
const MAX_IN_SIGNAL: usize = 20;

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

/// Who follows whom, for all threads.
#[derive(Default)]
pub struct Presence {
    registry: Mutex<Registry>,
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
                Some(user) if log.shows_presence_to(user, channel.id.user).await? => Some(user),
                // Who does not exist and who does not show it look alike.
                _ => None,
            });
        }
        let users: Vec<UserNo> = shown.iter().flatten().copied().collect();
        let online = self.lock().follow(sessions, channel, &users, request.replace).ok_or(FollowError::Full)?;
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
        self.lock().is_idle()
    }

    /// The connection has ended.
    pub fn forget(&self, channel: &Channel) {
        self.lock().forget(channel);
    }

    /// Tells followers what has changed. What could not be read is told in the next tick.
    pub async fn tick(&self, log: &Log, sessions: &Sessions, now: Instant) -> Result<(), StoreError> {
        let News { turned, veiled } = sessions.take_news();
        let mut read = Ok(());
        for (user, watcher) in veiled {
            if let Err(error) = self.veil(log, user, watcher).await {
                sessions.veil(user, watcher);
                read = Err(error);
            }
        }
        let tellings = self.lock().advance(sessions, turned, now);
        for Telling { channel, users } in &tellings {
            for users in users.chunks(MAX_IN_SIGNAL) {
                let is_told = match read {
                    Ok(()) => self.tell(log, channel, users).await,
                    // What fails once fails for thousands: they wait for the next tick too.
                    Err(_) => Ok(false),
                };
                if !matches!(is_told, Ok(true)) {
                    self.lock().mark_again(channel, users);
                }
                read = read.and(is_told.map(drop));
            }
        }
        read
    }

    /// False: the channel has no room for it now.
    async fn tell(&self, log: &Log, channel: &Channel, users: &[(UserNo, bool)]) -> Result<bool, StoreError> {
        let mut presences = Vec::with_capacity(users.len());
        for (user, is_online) in users {
            presences.push(presence(log, *user, *is_online).await?);
        }
        Ok(channel.signal(wire::Signal { presence: presences, ..Default::default() }))
    }

    /// Lets go of followers to whom the user shows themselves no more, and tells them nothing but that.
    async fn veil(&self, log: &Log, user: UserNo, watcher: Option<UserNo>) -> Result<(), StoreError> {
        let followers = self.lock().followers_of(user, watcher);
        for channel in followers {
            if !log.shows_presence_to(user, channel.id.user).await? {
                let hidden = wire::Presence { uid: log.uid(user).await?, ..Default::default() };
                self.lock().unfollow(&channel, user);
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

async fn presence(log: &Log, user: UserNo, is_online: bool) -> Result<wire::Presence, StoreError> {
    let account = log.account(user).await?.unwrap_or_default();
    let last_seen_ms = if is_online { 0 } else { account.last_seen_ms };
    Ok(wire::Presence { uid: account.uid, online: is_online, last_seen_ms })
}

#[cfg(test)]
mod tests;
