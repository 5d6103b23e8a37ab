//! Binding a device: its row, its epoch, its next resume token, its place in the log, its channel: one step.

use hongyan_proto::{CloseCode, canary, wire};

use crate::{
    auth::resume::TokenHash,
    base::{
        environment::Now,
        number::{ConversationNo, DeviceNo, UserNo},
    },
    committer::{
        state::Committer,
        user::{Change, Device},
    },
    log::{DeviceRecord, keys},
    ops::{
        answer::{Answer, Bound, LoginError},
        effect::Effect,
        id::{AcceptNo, ChannelId},
        op::{Credential, Login, Who},
    },
    store::{StoreError, Table},
};

/// Where a device goes on in the log.
struct Place {
    cursor: u64,
    /// What the device has can not be continued: it starts over from here.
    reset: bool,
    /// The device has what lies before: it says so, or has acked it.
    is_proved: bool,
}

impl Committer {
    pub async fn log_in(&mut self, login: Login, now: Now) {
        let Login { op, who, next_hash, accepted } = login;
        let placed = match who {
            Who::Credential(credential) => self.log_in_by_credential(&credential, accepted, now).await,
            Who::Resume { user, device, hash, cursor } => {
                self.resume(user, device, TokenHash::from_bytes(hash), cursor, accepted, now).await
            }
        };
        let bound = placed.map(|(user, device, place)| {
            let is_proved = place.is_proved;
            let bound = self.bind(user, device, place, TokenHash::from_bytes(next_hash), accepted);
            self.visitors.push(user);
            if is_proved {
                // The ack, or the receipt that would have followed it, may have been lost with a connection.
                self.schedule_receipts(user, now);
            }
            Box::new(bound)
        });
        self.effects.push(Effect::Answer { op, answer: Answer::LoggedIn(bound) });
    }

    async fn log_in_by_credential(
        &mut self,
        credential: &Credential,
        accepted: AcceptNo,
        now: Now,
    ) -> Result<(UserNo, DeviceNo, Place), LoginError> {
        let no = match self.user_no(credential.uid.as_str(), now).await.map_err(unavailable)? {
            Some(no) => no,
            None if credential.by_token && !self.has_room_for_user() => {
                return Err(refused(CloseCode::OVERLOADED, "this server has as many users as its operator allows"));
            }
            None if credential.by_token => self.create_user(&credential.uid, None, now),
            None => return Err(refused(CloseCode::BAD_CREDENTIALS, "unknown user, wrong password or invalid token")),
        };
        let log_epoch = self.log_epoch;
        let devices_per_user = self.settings.devices_per_user;
        if self.user(no, now).await.map_err(unavailable)?.is_none() {
            return Err(refused(CloseCode::BAD_CREDENTIALS, "unknown user, wrong password or invalid token"));
        }
        let user = &self.users[&no];
        let account = &user.account;
        let old_epoch = credential.token_epoch.is_some_and(|epoch| epoch < account.revocation_epoch);
        // A token that says neither could be an old one.
        let undated = credential.by_token && credential.token_epoch.is_none() && account.revoked_at_s > 0;
        let issued_before = undated && credential.issued_at_s.is_none_or(|issued| issued < account.revoked_at_s);
        if account.disabled || old_epoch || issued_before {
            return Err(refused(CloseCode::REVOKED, "this user is disabled, or the token was revoked"));
        }
        let known = user.devices.iter().position(|device| device.record.name == credential.device.as_str());
        let known = known.map(|index| {
            let Device { no, record, .. } = &user.devices[index];
            (index, *no, record.device_epoch, record.last_send_no)
        });
        if let Some((_, device, ..)) = known {
            self.check_order(no, device, accepted)?;
        }
        let is_full = user.devices.len() >= devices_per_user;
        self.check_channels(no, known.map(|(_, device, ..)| device))?;
        let device = match known {
            Some((_, device, device_epoch, last_send_no))
                if device_epoch == credential.device_epoch || canary::is("no-device-epoch") =>
            {
                if credential.last_send_no < last_send_no {
                    return Err(refused(CloseCode::STATE_LOST, "this device has sent more than it remembers"));
                }
                if credential.log_epoch != 0 && credential.log_epoch != log_epoch {
                    self.follow_restored_device(no, device, credential.answered_send_no);
                }
                device
            }
            Some((older, ..)) => self.create_device(no, credential, Some(older)),
            None => {
                if is_full {
                    self.make_room_for_device(no)?;
                }
                self.create_device(no, credential, None)
            }
        };
        let place = self.place(no, device, credential, log_epoch);
        Ok((no, device, place))
    }

    async fn resume(
        &mut self,
        no: UserNo,
        device_no: DeviceNo,
        hash: TokenHash,
        cursor: Option<u64>,
        accepted: AcceptNo,
        now: Now,
    ) -> Result<(UserNo, DeviceNo, Place), LoginError> {
        let not_valid = || Err(refused(CloseCode::RESUME_REFUSED, "the resume token is not valid any more"));
        let oldest_hour = self.hours.saturating_sub(self.settings.resume_ttl.as_secs().div_ceil(3600));
        let in_order = self.check_order(no, device_no, accepted);
        let Some(user) = self.user(no, now).await.map_err(unavailable)? else { return not_valid() };
        let (disabled, bounds) = (user.account.disabled, user.bounds);
        let Some(device) = user.device_mut(device_no) else { return not_valid() };
        if disabled || device.record.last_seen_hour < oldest_hour || device.slots.accept(&hash).is_none() {
            return not_valid();
        }
        in_order?;
        device.change = Change::Urgent;
        let cursor = cursor.unwrap_or(device.record.cursor);
        self.check_channels(no, Some(device_no))?;
        let reset = (cursor < bounds.low || cursor > bounds.head) && !canary::is("resume-beyond-the-log");
        Ok((no, device_no, Place { cursor, reset, is_proved: !reset }))
    }

    /// The store was restored from a backup, and the device has been answered for more than the backup knows: it goes on
    /// from there. What it was answered for since the backup is lost, as all else of that time.
    fn follow_restored_device(&mut self, no: UserNo, device: DeviceNo, answered: u64) {
        let device = self.users.get_mut(&no).and_then(|user| user.device_mut(device));
        if let Some(device) = device.filter(|device| device.record.last_send_no < answered) {
            device.record.last_send_no = answered;
            device.answers.clear();
            device.change = Change::Urgent;
        }
    }

    /// Too many devices: one that was made for one errand and is gone gives way; others never do.
    fn make_room_for_device(&mut self, no: UserNo) -> Result<(), LoginError> {
        let (bound, user) = (&self.bound, self.users.get_mut(&no).expect("the user has just been looked up"));
        let gone = |device: &&Device| device.record.ephemeral && !bound.is_live(no, device.no);
        let Some(oldest) = user.devices.iter().filter(gone).min_by_key(|device| device.record.last_seen_hour) else {
            return Err(refused(CloseCode::TOO_MANY_DEVICES, "this user has as many devices as the server allows"));
        };
        let oldest = oldest.no;
        user.devices.retain(|device| device.no != oldest);
        self.batch.remove(Table::Devices, keys::device(no, oldest));
        Ok(())
    }

    /// A device that was never here, or has lost its state and drawn a new epoch: then it replaces its older self.
    fn create_device(&mut self, no: UserNo, credential: &Credential, older: Option<usize>) -> DeviceNo {
        let user = self.users.get_mut(&no).expect("the user has just been looked up");
        let last = user.account.last_device.max(user.devices.iter().map(|device| device.no.0).max().unwrap_or(0));
        let device_no = DeviceNo(last + 1);
        user.account.last_device = device_no.0;
        user.account_change = Change::Urgent;
        let mut record = DeviceRecord {
            name: credential.device.as_str().into(),
            device_epoch: credential.device_epoch,
            ephemeral: credential.ephemeral,
            // What it has queued but not been answered for comes again under its number.
            last_send_no: credential.answered_send_no,
            ..Default::default()
        };
        if let Some(index) = older {
            let older = user.devices.remove(index);
            record.conn_epoch = older.record.conn_epoch;
            self.batch.remove(Table::Devices, keys::device(no, older.no));
            self.bound.remove(no, older.no);
            let reason = "the same device connected again, with a new device epoch".into();
            self.effects.push(Effect::Close { user: no, device: Some(older.no), code: CloseCode::REPLACED, reason });
        }
        user.devices.push(Device::new(device_no, record));
        device_no
    }

    /// Of two connections the one that was accepted later stands, also if the login of the other was read later: its
    /// client has given it up.
    fn check_order(&self, no: UserNo, device: DeviceNo, accepted: AcceptNo) -> Result<(), LoginError> {
        let is_older = self.bound.accepted(no, device).is_some_and(|newest| newest > accepted);
        match is_older && !canary::is("older-connection-wins") {
            true => Err(refused(CloseCode::REPLACED, "the same device has connected again since")),
            false => Ok(()),
        }
    }

    fn check_channels(&self, no: UserNo, device: Option<DeviceNo>) -> Result<(), LoginError> {
        let live = self.users[&no].devices.iter().filter(|known| self.bound.is_live(no, known.no));
        let others = live.filter(|known| Some(known.no) != device).count();
        match others < self.settings.channels_per_user {
            true => Ok(()),
            false => Err(refused(CloseCode::TOO_MANY_DEVICES, "this user has too many devices connected")),
        }
    }

    fn place(&self, no: UserNo, device: DeviceNo, credential: &Credential, log_epoch: u64) -> Place {
        let user = &self.users[&no];
        let bounds = user.bounds;
        if credential.from_head {
            return Place { cursor: bounds.head, reset: false, is_proved: false };
        }
        let known = user.devices.iter().find(|known| known.no == device);
        // A device that is new here has nothing yet.
        let cursor = credential.cursor.unwrap_or_else(|| known.map_or(0, |known| known.record.cursor));
        let cursor = if canary::is("login-below-the-log") { cursor.max(bounds.low) } else { cursor };
        let foreign = cursor > 0 && credential.cursor.is_some() && credential.log_epoch != log_epoch;
        let beyond = (cursor < bounds.low || cursor > bounds.head) && !canary::is("login-beyond-the-log");
        let reset = foreign || beyond;
        Place { cursor, reset, is_proved: !reset }
    }

    fn bind(
        &mut self,
        no: UserNo,
        device_no: DeviceNo,
        place: Place,
        next_hash: TokenHash,
        accepted: AcceptNo,
    ) -> Bound {
        let hours = self.hours;
        let log_epoch = self.log_epoch;
        let user = self.users.get_mut(&no).expect("the user has just been looked up");
        let (uid, bounds) = (user.uid.clone(), user.bounds);
        let attends: Vec<_> = user.account.large_groups.iter().copied().map(ConversationNo).collect();
        let device = user.device_mut(device_no).expect("the device has just been looked up");
        device.slots.offer(next_hash);
        device.record.conn_epoch += 1;
        device.record.last_seen_hour = hours;
        // Until the device says more it may not have heard of the reset, and is told again when it comes without a cursor.
        device.record.cursor = if place.reset { 0 } else { place.cursor };
        device.change = Change::Urgent;
        let (conn_epoch, last_send_no) = (device.record.conn_epoch, device.record.last_send_no);
        let reset = place.reset.then_some(wire::SyncReset { log_epoch, low: bounds.low, head: bounds.head });
        self.touch(no);
        let channel = ChannelId { user: no, device: device_no, conn_epoch };
        self.bound.bind(channel, accepted);
        self.effects.push(Effect::Bind { channel, head: bounds.head, attends });
        Bound { uid, channel, head: bounds.head, cursor: place.cursor, last_send_no, reset }
    }
}

fn refused(code: CloseCode, reason: &'static str) -> LoginError {
    LoginError::Refused { code, reason: reason.into() }
}

fn unavailable(error: StoreError) -> LoginError {
    LoginError::Unavailable(error.to_string())
}
