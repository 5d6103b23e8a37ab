//! Reading rows, whatever they mean, and the numbers of the table Meta. Every other file of this room that reads does so
//! through this.

use std::sync::Arc;

use bytes::Bytes;
use hongyan_proto::wire::Audience;
use prost::Message;

use super::keys;
use crate::store::{Engine, Scan, StoreError, Table};

/// Reads the log.
#[derive(Clone)]
pub struct Log {
    engine: Arc<dyn Engine>,
    default_audience: Audience,
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

    pub(super) fn default_audience(&self) -> Audience {
        self.default_audience
    }

    /// A number of the table Meta; 0 if it was never written.
    pub async fn meta(&self, key: &'static str) -> Result<u64, StoreError> {
        match self.engine.get(Table::Meta, Bytes::from_static(key.as_bytes())).await? {
            Some(value) => keys::parse_u64(&value),
            None => Ok(0),
        }
    }

    /// One row. None: there is none under this key.
    pub async fn row<T: Message + Default>(&self, table: Table, key: Bytes) -> Result<Option<T>, StoreError> {
        let value = self.engine.get(table, key.clone()).await?;
        value.map(|value| decode(table, &key, &value)).transpose()
    }

    /// Rows with keys in `from .. to`, in rising order.
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

/// What stands in a row.
pub fn decode<T: Message + Default>(table: Table, key: &Bytes, value: &Bytes) -> Result<T, StoreError> {
    let damaged = |error| format!("the row {:02x?} of {} does not decode: {error}", &key[..], table.name());
    T::decode(value.clone()).map_err(|error| StoreError::Corrupt(damaged(error)))
}

pub fn encode(record: &impl Message) -> Bytes {
    record.encode_to_vec().into()
}

/// A row is not there that another names, though none is removed before those that name it.
pub fn missing(what: String) -> StoreError {
    StoreError::Corrupt(format!("{what} is referred to but not there"))
}
