//! Beginning a new log epoch, after which what clients remember of the log is not taken for true any more.

use bytes::Bytes;
use prost::Message;

use super::{
    keys::{self, meta},
    record::DeviceRecord,
};
use crate::store::{Batch, Durability, Engine, Scan, StoreError, Table};

/// Devices rewritten in one commit.
const STEP: usize = 1024;

/// The log may have gone on after what this store knows of it, in another way than it will now. A new epoch tells clients
/// so, and no resume token, which would skip telling, is valid any more. `epoch` must never have been used.
pub async fn begin(engine: &dyn Engine, epoch: u64) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    batch.put(Table::Meta, meta::LOG_EPOCH.as_bytes(), keys::number(epoch));
    let mut from = Bytes::new();
    loop {
        let scan = Scan { table: Table::Devices, from, to: keys::END, limit: STEP, descending: false };
        let rows = engine.scan(scan).await?;
        for (key, value) in &rows {
            let mut record = DeviceRecord::decode(value.clone())
                .map_err(|error| StoreError::Corrupt(format!("a device does not decode: {error}")))?;
            record.resume_slots = Bytes::new();
            batch.put(Table::Devices, key.clone(), record.encode_to_vec());
        }
        engine.commit(std::mem::take(&mut batch), Durability::Synced).await?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        from = Bytes::from([last, &[0][..]].concat());
    }
}
