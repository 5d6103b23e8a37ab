//! The devices that are present without a connection. Between two requests nothing connects a device with the server but its
//! bearer token; this table keeps its session for a grace, so that it stays in the session map and its channel collects what
//! comes. The token outlives that: whoever brings a valid one later, after a restart of the server too, is logged in
//! again by the way.

use std::{
    borrow::Cow,
    collections::HashMap,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hongyan_proto::CloseCode;
use ring::digest::{SHA256, digest};

use super::{
    dispatch::Session,
    gate::{Attempt, Rejection},
    login::LoggedIn,
    service::Service,
};
use crate::base::rate::Bucket;

/// Devices that come back at the same time with tokens of different classes do not wait for each other.
const CLASSES: usize = 64;

/// What a bearer token is known by here: its hash, so that looking one up takes no time that depends on it.
type Key = [u8; 32];

/// How much of the server devices may take up.
pub struct DeviceLimits {
    /// Devices at once, and as many unused tickets.
    pub present: usize,
    /// Of one device.
    pub requests_per_second: u32,
    pub requests_burst: u32,
}

/// Why a device is not served. Nothing has changed by the attempt.
#[derive(Debug)]
pub enum DeviceError {
    /// Too many are present.
    Full,
    /// Too many tickets are unused.
    TicketsFull,
    /// The ticket was used before, has expired, or never was one.
    TicketInvalid,
    /// The device makes more requests than it may.
    TooManyRequests { retry_after: Duration },
    /// Its session is over.
    Ended(CloseCode, Cow<'static, str>),
    /// Its token does not bring it back.
    Refused(Rejection),
}

impl From<Rejection> for DeviceError {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

/// A session that is not bound to a connection.
pub struct Device {
    session: Session,
    /// What brings it back.
    token: Bytes,
    state: Mutex<State>,
}

struct State {
    requests: Bucket,
    last_used: Instant,
    is_confirmed: bool,
    cursor: u64,
}

/// A device while somebody works with it: it is not forgotten meanwhile.
pub struct Present(Arc<Device>);

impl Deref for Present {
    type Target = Device;

    fn deref(&self) -> &Device {
        &self.0
    }
}

#[cfg(test)]
impl Present {
    /// As another request of the device has it.
    pub fn again(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.lock().last_used = self.0.session.now();
    }
}

impl Device {
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The device has stored everything up to here.
    pub fn cursor(&self) -> u64 {
        self.lock().cursor
    }

    /// The device has stored everything up to `useq`.
    pub fn acked(&self, useq: u64) {
        let mut state = self.lock();
        state.cursor = state.cursor.max(useq);
        drop(state);
        self.session.acked(useq);
    }

    /// Why the session has ended, if it has: replaced, revoked, the server is stopping.
    pub fn ended(&self) -> Option<(CloseCode, Cow<'static, str>)> {
        self.session.channel().end()
    }

    /// Counts a request; the first one shows that the device has its token.
    fn admit(&self, limits: &DeviceLimits) -> Result<(), DeviceError> {
        let mut state = self.lock();
        let taken = state.requests.take(limits.requests_per_second, limits.requests_burst, self.session.now());
        taken.map_err(|retry_after| DeviceError::TooManyRequests { retry_after })?;
        if !std::mem::replace(&mut state.is_confirmed, true) {
            self.session.confirm_token();
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All of them, by token; and the tickets that stand for one.
pub struct Devices {
    service: Arc<Service>,
    limits: DeviceLimits,
    table: Mutex<HashMap<Key, Arc<Device>>>,
    tickets: Mutex<HashMap<Key, (Bytes, Instant)>>,
    opening: [tokio::sync::Mutex<()>; CLASSES],
}

impl Devices {
    pub fn new(service: Arc<Service>, limits: DeviceLimits) -> Self {
        let opening = std::array::from_fn(|_| tokio::sync::Mutex::default());
        Self { service, limits, table: Mutex::default(), tickets: Mutex::default(), opening }
    }

    /// A place for one more, or word that there is none.
    pub fn check_room(&self) -> Result<(), DeviceError> {
        match lock(&self.table).len() < self.limits.present {
            true => Ok(()),
            false => Err(DeviceError::Full),
        }
    }

    /// A device that has just logged in.
    pub fn insert(&self, login: LoggedIn) -> Present {
        let token = login.resume_token.clone();
        let session = Session::new(self.service.clone(), &login);
        let last_used = self.service.now();
        let state = State { requests: Bucket::default(), last_used, is_confirmed: false, cursor: login.cursor };
        let device = Arc::new(Device { session, token: token.clone(), state: Mutex::new(state) });
        let present = Present(device.clone());
        let older = lock(&self.table).insert(key(&token), device);
        drop(older);
        present
    }

    /// The device with this token, brought back if need be: `attempt` is asked only then.
    pub async fn find(&self, token: &[u8], attempt: impl FnOnce() -> Attempt) -> Result<Present, DeviceError> {
        let key = key(token);
        let device = match self.known(&key) {
            Some(device) => device,
            None => {
                let _turn = self.opening[usize::from(key[0]) % CLASSES].lock().await;
                match self.known(&key) {
                    Some(device) => device,
                    None => {
                        self.check_room()?;
                        let login = self.service.reopen(token, &attempt()).await?;
                        self.insert(login)
                    }
                }
            }
        };
        if let Some((code, reason)) = device.ended() {
            return Err(DeviceError::Ended(code, reason));
        }
        device.admit(&self.limits)?;
        Ok(device)
    }

    fn known(&self, key: &Key) -> Option<Present> {
        lock(&self.table).get(key).cloned().map(Present)
    }

    /// The device leaves; its token may be valid still.
    pub fn remove(&self, device: &Device) {
        let removed = lock(&self.table).remove(&key(&device.token));
        drop(removed);
    }

    /// Forgets tickets that were not used, and devices that nobody has worked with for the grace.
    pub fn expire(&self, grace: Duration) {
        let now = self.service.now();
        lock(&self.tickets).retain(|_, (_, expires)| *expires > now);
        let mut gone = Vec::new();
        lock(&self.table).retain(|_, device| {
            // Others come to hold it only under this lock, so that nobody does who is not counted.
            let is_present = Arc::strong_count(device) > 1 || device.lock().last_used + grace > now;
            if !is_present {
                gone.push(device.clone());
            }
            is_present
        });
        // Their sessions end here, without the lock.
        drop(gone);
    }

    /// A ticket that opens one stream of this device.
    pub fn issue_ticket(&self, device: &Device, ttl: Duration) -> Result<[u8; 32], DeviceError> {
        let ticket = self.service.environment().random();
        let mut tickets = lock(&self.tickets);
        if tickets.len() >= self.limits.present {
            return Err(DeviceError::TicketsFull);
        }
        tickets.insert(key(&ticket), (device.token.clone(), self.service.now() + ttl));
        Ok(ticket)
    }

    /// The token that a ticket stands for; it stands for it once.
    pub fn redeem(&self, ticket: &[u8]) -> Result<Bytes, DeviceError> {
        let redeemed = lock(&self.tickets).remove(&key(ticket));
        let valid = redeemed.filter(|(_, expires)| *expires > self.service.now());
        valid.map(|(token, _)| token).ok_or(DeviceError::TicketInvalid)
    }
}

fn key(token: &[u8]) -> Key {
    digest(&SHA256, token).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing between lock and unlock can panic half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
