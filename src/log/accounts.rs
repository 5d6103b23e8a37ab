//! Reading accounts and the devices of each.

use bytes::Bytes;
use hongyan_proto::Uid;

use super::{
    keys,
    record::{AccountRecord, DeviceRecord},
    rows::{Log, missing, parse},
};
use crate::{
    base::number::{DeviceNo, UserNo},
    store::{StoreError, Table},
};

impl Log {
    pub async fn user_no(&self, uid: &str) -> Result<Option<UserNo>, StoreError> {
        let key = Bytes::copy_from_slice(uid.as_bytes());
        let value = self.engine().get(Table::UserNames, key).await?;
        value.map(|value| keys::parse_u32(&value).map(UserNo)).transpose()
    }

    pub async fn account(&self, user: UserNo) -> Result<Option<AccountRecord>, StoreError> {
        self.row(Table::Users, keys::user(user)).await
    }

    pub async fn account_of(&self, uid: &Uid) -> Result<Option<(UserNo, AccountRecord)>, StoreError> {
        let Some(user) = self.user_no(uid.as_str()).await? else { return Ok(None) };
        Ok(self.account(user).await?.map(|account| (user, account)))
    }

    pub async fn uid(&self, user: UserNo) -> Result<String, StoreError> {
        let account = self.account(user).await?;
        account.map(|account| account.uid).ok_or_else(|| missing(format!("user {}", user.0)))
    }

    /// Accounts after `after`, in the order in which they were made.
    pub async fn accounts(&self, after: u32, limit: usize) -> Result<Vec<(UserNo, AccountRecord)>, StoreError> {
        let from = keys::user(UserNo(after.saturating_add(1)));
        let rows = self.scan(Table::Users, from, keys::END, limit).await?;
        rows.into_iter().map(|(key, value)| Ok((UserNo(keys::parse_u32(&key)?), parse(&value)?))).collect()
    }

    pub async fn device(&self, user: UserNo, device: DeviceNo) -> Result<Option<DeviceRecord>, StoreError> {
        self.row(Table::Devices, keys::device(user, device)).await
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
}
