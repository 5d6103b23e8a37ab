//! Who leaves: connections that end, devices that are forgotten, users with nothing to do, who need not be in memory. And
//! the hours by which that is counted.

use std::{sync::Arc, time::Duration};

use hongyan_proto::canary;

use crate::{
    base::{
        environment::Now,
        number::{DeviceNo, UserNo},
    },
    committer::{
        state::{Committer, NumberMap},
        user::{Change, User},
    },
    live::channel::Channel,
    log::keys::{self, meta},
    store::Table,
};

/// A user with nothing to do for so long leaves memory.
const IDLE: Duration = Duration::from_secs(30);

impl Committer {
    /// A connection has ended: from now on its device is silent. Up to here it was live, for what it has said came before:
    /// had an older connection of the device logged in meanwhile, that would have counted for nothing.
    pub async fn left(&mut self, channel: &Arc<Channel>, now: Now) {
        if !canary::is("route-not-removed") {
            self.sessions.unbind(channel);
        }
        let (hours, is_online) = (self.hours, self.sessions.is_online(channel.user));
        self.visitors.push(channel.user);
        let Ok(Some(user)) = self.user(channel.user, now).await else { return };
        if !is_online {
            user.account.last_seen_ms = now.unix_ms;
            user.account_change.raise(Change::Lazy);
        }
        let Some(device) = user.device_mut(channel.device) else { return };
        if device.record.conn_epoch == channel.conn_epoch && device.record.last_seen_hour != hours {
            device.record.last_seen_hour = hours;
            device.change.raise(Change::Lazy);
        }
        self.touch_lazily(channel.user, now);
    }

    /// Forgets a device, unless it is live or has been seen since.
    pub async fn forget_device(&mut self, no: UserNo, device_no: DeviceNo, last_seen_hour: u64, now: Now) {
        if self.sessions.is_live(no, device_no) {
            return;
        }
        let Ok(Some(user)) = self.user(no, now).await else { return };
        let silent = |seen: u64| seen == last_seen_hour;
        if user.device_mut(device_no).is_some_and(|device| silent(device.record.last_seen_hour)) {
            user.devices.retain(|device| device.no != device_no);
            self.batch.remove(Table::Devices, keys::device(no, device_no));
            self.due.put_off(now);
        }
    }

    pub fn count_hour(&mut self, now: Now) {
        self.hours += 1;
        self.put_meta(meta::HOURS, self.hours);
        self.due.put_off(now);
    }

    /// Most who log in are then idle, most who leave are gone, and often many do so at once: none of them stays in memory.
    pub fn let_go_of_visitors(&mut self, now: Now) {
        let is_idle = |user: &User| !user.is_unsaved() && !user.receipts_wait && user.sends.is_full(now.instant);
        for no in std::mem::take(&mut self.visitors) {
            if self.users.get(&no).is_some_and(is_idle)
                && let Some(user) = self.users.remove(&no)
            {
                self.names.remove(&user.uid);
            }
        }
    }

    /// Keeps memory small: who has had nothing to do for a while is read from the log again when there is something.
    pub fn let_go_of_idle_users(&mut self, now: Now) {
        if self.due.sweep.is_none_or(|due| due > now.instant) {
            return;
        }
        let names = &mut self.names;
        self.users.retain(|_, user| {
            let kept = user.is_unsaved() || user.receipts_wait || user.last_used + IDLE > now.instant;
            if !kept {
                names.remove(&user.uid);
            }
            kept
        });
        self.users.shrink_to(2 * self.users.len());
        self.names.shrink_to(2 * self.users.len());
        self.conversations.retain(|_, conversation| conversation.last_used + IDLE > now.instant);
        self.conversations.shrink_to(2 * self.conversations.len());
        if self.pairs.len() > 2 * self.users.len() {
            self.pairs = NumberMap::default();
        }
        self.due.sweep = None;
        if !self.users.is_empty() {
            self.due.expect_sweep(now);
        }
    }
}
