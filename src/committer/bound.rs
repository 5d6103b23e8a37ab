//! Which devices are live, as the committer has it. It is the one who binds, so it need not ask: the map of channels follows
//! by its effects, and is behind while a commit is under way.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use crate::{
    base::number::{DeviceNo, UserNo},
    ops::id::{AcceptNo, ChannelId},
};

/// The connection that each live device is bound to.
#[derive(Default)]
pub struct BoundDevices {
    devices: HashMap<(UserNo, DeviceNo), Connection, FxBuildHasher>,
    /// What the commit under way has changed, and how it was before: taken back if it fails.
    before: Vec<((UserNo, DeviceNo), Option<Connection>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Connection {
    conn_epoch: u64,
    accepted: AcceptNo,
}

impl BoundDevices {
    /// The device's connection is this one from now on.
    pub fn bind(&mut self, channel: ChannelId, accepted: AcceptNo) {
        let device = (channel.user, channel.device);
        let before = self.devices.insert(device, Connection { conn_epoch: channel.conn_epoch, accepted });
        self.before.push((device, before));
    }

    /// The device is there no more, whatever connection it has.
    pub fn remove(&mut self, user: UserNo, device: DeviceNo) {
        let before = self.devices.remove(&(user, device));
        self.before.push(((user, device), before));
    }

    /// A connection has ended, whether or not the commit under way fails. It counts for nothing if the device has another.
    pub fn unbind(&mut self, channel: ChannelId) {
        let device = (channel.user, channel.device);
        if self.devices.get(&device).is_some_and(|bound| bound.conn_epoch == channel.conn_epoch) {
            self.devices.remove(&device);
        }
        for (_, before) in self.before.iter_mut().filter(|(changed, _)| *changed == device) {
            if before.is_some_and(|bound| bound.conn_epoch == channel.conn_epoch) {
                *before = None;
            }
        }
        if self.devices.is_empty() {
            self.devices = HashMap::default();
        }
    }

    /// Where the device's connection stands in the order of all. None: the device is not live.
    pub fn accepted(&self, user: UserNo, device: DeviceNo) -> Option<AcceptNo> {
        self.devices.get(&(user, device)).map(|bound| bound.accepted)
    }

    pub fn is_live(&self, user: UserNo, device: DeviceNo) -> bool {
        self.devices.contains_key(&(user, device))
    }

    /// The commit stands.
    pub fn keep(&mut self) {
        self.before.clear();
    }

    /// The commit has failed: whoever it would have bound is not.
    pub fn take_back(&mut self) {
        while let Some((device, before)) = self.before.pop() {
            match before {
                Some(bound) => self.devices.insert(device, bound),
                None => self.devices.remove(&device),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: UserNo = UserNo(1);
    const DEVICE: DeviceNo = DeviceNo(1);

    fn channel(conn_epoch: u64) -> ChannelId {
        ChannelId { user: USER, device: DEVICE, conn_epoch }
    }

    #[test]
    fn a_failed_commit_leaves_the_older_connection_bound() {
        let mut bound = BoundDevices::default();
        bound.bind(channel(1), AcceptNo(5));
        bound.keep();
        bound.bind(channel(2), AcceptNo(6));
        bound.bind(channel(3), AcceptNo(7));
        bound.take_back();
        assert_eq!(bound.accepted(USER, DEVICE), Some(AcceptNo(5)));
    }

    #[test]
    fn a_connection_that_has_ended_does_not_come_back_with_a_failed_commit() {
        let mut bound = BoundDevices::default();
        bound.bind(channel(1), AcceptNo(5));
        bound.keep();
        bound.bind(channel(2), AcceptNo(6));
        bound.unbind(channel(1));
        assert_eq!(bound.accepted(USER, DEVICE), Some(AcceptNo(6)), "the newer one is live");
        bound.take_back();
        assert!(!bound.is_live(USER, DEVICE));
    }
}
