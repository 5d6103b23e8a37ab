//! Which devices of which users are live: uid → channels, one for each device.

use std::{sync::Arc, time::Instant};

use dashmap::DashMap;
use hongyan_proto::CloseCode;
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use crate::{
    channel::Channel,
    log::{DeviceNo, UserNo},
};

/// The channels of one user; mostly one.
pub type Channels = SmallVec<[Arc<Channel>; 1]>;

/// The live channels of all users.
///
/// *Architecture Invariant*: only the committer binds, so that binding, taking over from an older connection and fixing
/// the head of the log are one step between two commits.
#[derive(Default)]
pub struct Sessions {
    users: DashMap<UserNo, Channels, FxBuildHasher>,
}

impl Sessions {
    /// Makes `channel` the only one of its device; an older connection of the device is closed.
    pub fn bind(&self, channel: &Arc<Channel>) {
        let mut channels = self.users.entry(channel.user).or_default();
        channels.retain(|old| {
            let replaced = old.device == channel.device;
            if replaced {
                old.close(CloseCode::REPLACED, "the same device connected again");
            }
            !replaced
        });
        channels.push(channel.clone());
    }

    /// Takes a channel out, unless it was replaced already.
    pub fn unbind(&self, channel: &Channel) {
        if let Some(mut channels) = self.users.get_mut(&channel.user) {
            channels.retain(|bound| bound.device != channel.device || bound.conn_epoch != channel.conn_epoch);
        }
        self.users.remove_if(&channel.user, |_, channels| channels.is_empty());
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

    /// Calls `each` with every live channel; it must not come back here.
    pub fn for_each(&self, mut each: impl FnMut(&Arc<Channel>)) {
        self.users.iter().for_each(|channels| channels.iter().for_each(&mut each));
    }

    /// When the live connection of a device was accepted.
    pub fn accepted_at(&self, user: UserNo, device: DeviceNo) -> Option<Instant> {
        let channels = self.users.get(&user)?;
        channels.iter().find(|channel| channel.device == device).map(|channel| channel.accepted_at)
    }

    pub fn is_live(&self, user: UserNo, device: DeviceNo) -> bool {
        self.users.get(&user).is_some_and(|channels| channels.iter().any(|channel| channel.device == device))
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
        let channel = |device, epoch| Channel::new(UserNo(1), DeviceNo(device), epoch, 0, Instant::now());
        let (old, other, new) = (channel(1, 1), channel(2, 1), channel(1, 2));
        sessions.bind(&old);
        sessions.bind(&other);
        sessions.bind(&new);
        assert!(matches!(old.take_close(), Some((CloseCode::REPLACED, _))));
        assert!(other.take_close().is_none());
        assert_eq!(sessions.channels(UserNo(1)).len(), 2);
        sessions.unbind(&old);
        assert!(sessions.is_live(UserNo(1), DeviceNo(1)), "the late farewell of a replaced connection changes nothing");
        sessions.unbind(&new);
        sessions.unbind(&other);
        assert!(sessions.is_empty());
    }
}
