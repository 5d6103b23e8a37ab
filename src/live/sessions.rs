//! Which devices of which users are live: uid → channels, one for each device.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use dashmap::DashMap;
use hongyan_proto::{CloseCode, canary};
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;
use tokio::sync::Notify;

use super::channel::Channel;
use crate::{
    base::number::{ConversationNo, DeviceNo, UserNo},
    ops::id::ChannelId,
};

/// The channels of one user; mostly one.
pub type Channels = SmallVec<[Arc<Channel>; 1]>;

/// What others may have to hear of since it was last asked for.
#[derive(Default)]
pub struct News {
    /// Users whose first device has come or whose last one has gone.
    pub turned: HashSet<UserNo, FxBuildHasher>,
    /// Users who show themselves to somebody else than before; or to one user only, more or less than before.
    pub veiled: HashSet<(UserNo, Option<UserNo>), FxBuildHasher>,
}

/// The live channels of all users.
///
/// *Architecture Invariant*: only the committer binds, so that binding, taking over from an older connection and fixing
/// the head of the log are one step between two commits; and only the committer unbinds, after what the device has said.
#[derive(Default)]
pub struct Sessions {
    users: DashMap<UserNo, Channels, FxBuildHasher>,
    /// Who is online, or was until something was last written there, of the members of each large group.
    attending: DashMap<ConversationNo, HashSet<UserNo, FxBuildHasher>, FxBuildHasher>,
    /// Never more than there are users.
    news: Mutex<News>,
    has_news: Notify,
}

impl Sessions {
    /// Makes a channel, the only one of its device from now on; an older connection of the device is closed.
    pub fn bind(&self, id: ChannelId, head: u64, owes_hints: bool) {
        let channel = Channel::new(id, head);
        if owes_hints {
            channel.owe_hints();
        }
        let mut channels = self.users.entry(id.user).or_default();
        channels.retain(|old| {
            let replaced = old.id.device == id.device && !canary::is("replaced-stays-bound");
            if replaced && !canary::is("replaced-not-closed") {
                old.close(CloseCode::REPLACED, "the same device connected again");
            }
            !replaced
        });
        let is_first = channels.is_empty();
        channels.push(channel);
        drop(channels);
        if is_first {
            self.note(|news| news.turned.insert(id.user));
        }
    }

    /// Takes a channel out, unless it was replaced already.
    pub fn unbind(&self, id: ChannelId) {
        if let Some(mut channels) = self.users.get_mut(&id.user) {
            channels.retain(|bound| bound.id != id);
        }
        if self.users.remove_if(&id.user, |_, channels| channels.is_empty()).is_some() {
            self.note(|news| news.turned.insert(id.user));
        }
    }

    /// The channel of this very connection, if it is live.
    pub fn channel(&self, id: ChannelId) -> Option<Arc<Channel>> {
        self.users.get(&id.user)?.iter().find(|channel| channel.id == id).cloned()
    }

    /// What a user shows of themselves has changed: to everybody, or to one watcher.
    pub fn veil(&self, user: UserNo, watcher: Option<UserNo>) {
        self.note(|news| news.veiled.insert((user, watcher)));
    }

    /// What has happened since the last time.
    pub fn take_news(&self) -> News {
        std::mem::take(&mut *self.news())
    }

    /// Waits until there may be news.
    pub async fn wait_for_news(&self) {
        self.has_news.notified().await;
    }

    fn note(&self, what: impl FnOnce(&mut News) -> bool) {
        if what(&mut self.news()) {
            self.has_news.notify_one();
        }
    }

    pub fn is_online(&self, user: UserNo) -> bool {
        self.users.contains_key(&user)
    }

    fn news(&self) -> MutexGuard<'_, News> {
        // Sets of numbers: there is no half-way through a change.
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The live channels of a user.
    pub fn channels(&self, user: UserNo) -> Channels {
        self.users.get(&user).map(|channels| channels.clone()).unwrap_or_default()
    }

    /// Calls `each` with every live channel of a user; it must not come back here.
    pub fn for_each_of(&self, user: UserNo, each: impl FnMut(&Arc<Channel>)) {
        if let Some(channels) = self.users.get(&user) {
            channels.iter().for_each(each);
        }
    }

    /// A member of a large group is online.
    pub fn attend(&self, no: ConversationNo, user: UserNo) {
        if self.users.contains_key(&user) {
            self.attending.entry(no).or_default().insert(user);
        }
    }

    pub fn depart(&self, no: ConversationNo, user: UserNo) {
        if canary::is("departed-still-attends") {
            return;
        }
        if let Some(mut members) = self.attending.get_mut(&no) {
            members.remove(&user);
        }
        self.attending.remove_if(&no, |_, members| members.is_empty());
    }

    /// Calls `each` with every live channel of the online members of a large group, `except` one's; it must not come back
    /// here. Forgets who has gone offline, so that this costs what is delivered and no more.
    pub fn for_each_attending(&self, no: ConversationNo, except: Option<UserNo>, mut each: impl FnMut(&Arc<Channel>)) {
        let Some(mut members) = self.attending.get_mut(&no) else { return };
        members.retain(|user| match self.users.get(user) {
            Some(channels) => {
                if Some(*user) != except {
                    channels.iter().for_each(&mut each);
                }
                true
            }
            None => false,
        });
    }

    /// Calls `each` with every live channel; it must not come back here.
    pub fn for_each(&self, mut each: impl FnMut(&Arc<Channel>)) {
        self.users.iter().for_each(|channels| channels.iter().for_each(&mut each));
    }

    pub fn is_live(&self, user: UserNo, device: DeviceNo) -> bool {
        self.users.get(&user).is_some_and(|channels| channels.iter().any(|channel| channel.id.device == device))
    }

    /// How many devices are live.
    pub fn len(&self) -> usize {
        self.users.iter().map(|channels| channels.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_one_channel_and_the_newest_wins() {
        let sessions = Sessions::default();
        let id = |device, conn_epoch| ChannelId { user: UserNo(1), device: DeviceNo(device), conn_epoch };
        let bind = |id| {
            sessions.bind(id, 0, false);
            sessions.channel(id).unwrap()
        };
        let (old, other) = (bind(id(1, 1)), bind(id(2, 1)));
        bind(id(1, 2));
        assert!(sessions.channel(id(1, 1)).is_none());
        assert!(matches!(old.end(), Some((CloseCode::REPLACED, _))));
        assert!(other.end().is_none());
        assert_eq!(sessions.channels(UserNo(1)).len(), 2);
        sessions.unbind(id(1, 1));
        assert!(sessions.is_live(UserNo(1), DeviceNo(1)), "the late farewell of a replaced connection changes nothing");
        sessions.unbind(id(1, 2));
        sessions.unbind(id(2, 1));
        assert!(sessions.is_empty());
    }
}
