//! Reading rows: accounts, devices, numbers of the table Meta. Every other file of this room reads through this.

use std::sync::Arc;

use bytes::Bytes;
use hongyan_proto::{Uid, wire::Audience};
use prost::Message;

use super::{
    keys,
    record::{AccountRecord, DeviceRecord},
};
use crate::{
    base::number::{DeviceNo, UserNo},
    store::{Engine, Scan, StoreError, Table},
};

/// Reads the log.
#[derive(Clone)]
pub struct Log {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) default_audience: Audience,
}

impl Log {
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, default_audience: Audience::Everybody }
    }

    /// Who may write to a user, or add them to groups, who has not said so.
    pub fn with_default_audience(self, default_audience: Audience) -> Self {
        Self { default_audience, ..self }
    }

    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// A number of the table Meta; 0 if it was never written.
    pub async fn meta(&self, key: &'static str) -> Result<u64, StoreError> {
        match self.engine.get(Table::Meta, Bytes::from_static(key.as_bytes())).await? {
            Some(value) => keys::parse_u64(&value),
            None => Ok(0),
        }
    }

    pub async fn user_no(&self, uid: &str) -> Result<Option<UserNo>, StoreError> {
        let key = Bytes::copy_from_slice(uid.as_bytes());
        let value = self.engine.get(Table::UserNames, key).await?;
        value.map(|value| keys::parse_u32(&value).map(UserNo)).transpose()
    }

    pub async fn account(&self, user: UserNo) -> Result<Option<AccountRecord>, StoreError> {
        decode(self.engine.get(Table::Users, keys::user(user)).await?)
    }

    pub async fn account_of(&self, uid: &Uid) -> Result<Option<(UserNo, AccountRecord)>, StoreError> {
        let Some(user) = self.user_no(uid.as_str()).await? else { return Ok(None) };
        Ok(self.account(user).await?.map(|account| (user, account)))
    }

    /// Accounts after `after`, in the order in which they were made.
    pub async fn accounts(&self, after: u32, limit: usize) -> Result<Vec<(UserNo, AccountRecord)>, StoreError> {
        let from = keys::user(UserNo(after.saturating_add(1)));
        let rows = self.scan(Table::Users, from, keys::END, limit).await?;
        rows.into_iter().map(|(key, value)| Ok((UserNo(keys::parse_u32(&key)?), parse(&value)?))).collect()
    }

    pub async fn device(&self, user: UserNo, device: DeviceNo) -> Result<Option<DeviceRecord>, StoreError> {
        decode(self.engine.get(Table::Devices, keys::device(user, device)).await?)
    }

    pub async fn devices(&self, user: UserNo) -> Result<Vec<(DeviceNo, DeviceRecord)>, StoreError> {
        let rows = self.scan(Table::Devices, keys::user(user), keys::after_user(user), usize::MAX).await?;
        rows.into_iter().map(|(key, value)| Ok((keys::parse_device(&key)?.1, parse(&value)?))).collect()
    }

    /// Devices of all users behind the position `after`, for upkeep.
    pub async fn all_devices(
        &self,
        after: Option<(UserNo, DeviceNo)>,
        limit: usize,
    ) -> Result<Vec<(UserNo, DeviceNo, DeviceRecord)>, StoreError> {
        let from = after.map_or(Bytes::new(), |(user, device)| keys::device(user, DeviceNo(device.0 + 1)));
        let rows = self.scan(Table::Devices, from, keys::END, limit).await?;
        rows.into_iter()
            .map(|(key, value)| keys::parse_device(&key).and_then(|(user, device)| Ok((user, device, parse(&value)?))))
            .collect()
    }

    pub(super) async fn scan(
        &self,
        table: Table,
        from: Bytes,
        to: Bytes,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        self.engine.scan(Scan { table, from, to, limit, descending: false }).await
    }
}

pub(super) fn parse<T: Message + Default>(value: &Bytes) -> Result<T, StoreError> {
    T::decode(value.clone()).map_err(|error| StoreError::Corrupt(format!("a row does not decode: {error}")))
}

pub(super) fn decode<T: Message + Default>(value: Option<Bytes>) -> Result<Option<T>, StoreError> {
    value.map(|value| parse(&value)).transpose()
}

pub fn encode(record: &impl Message) -> Bytes {
    record.encode_to_vec().into()
}

/// A row is not there that another names, though none is removed before those that name it.
pub fn missing(what: String) -> StoreError {
    StoreError::Corrupt(format!("{what} is referred to but not there"))
}
