//! What one commit writes, and what it will leave under a key.

use std::collections::HashMap;

use bytes::Bytes;
use rustc_hash::FxBuildHasher;

use super::table::{MAX_KEY_BYTES, MAX_VALUE_BYTES, Table};

/// Up to so many writes looking through them is quicker than an index.
const FEW: usize = 32;

/// Room for so many writes is made at most before they come.
const EXPECTED: usize = 256;

/// Changes that become visible and durable together, applied in order.
#[derive(Debug, Default)]
pub struct Batch {
    pub writes: Vec<Write>,
    /// Of the first `indexed` writes: which is the newest of each key in each table, from 1. Made when a large batch is
    /// looked into.
    index: HashMap<Bytes, [u32; Table::ALL.len()], FxBuildHasher>,
    indexed: usize,
}

/// One row written (`value` is some) or removed (`value` is none).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub table: Table,
    pub key: Bytes,
    pub value: Option<Bytes>,
}

impl Batch {
    pub fn put(&mut self, table: Table, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.writes.push(Write { table, key: key.into(), value: Some(value.into()) });
    }

    pub fn remove(&mut self, table: Table, key: impl Into<Bytes>) {
        self.writes.push(Write { table, key: key.into(), value: None });
    }

    /// All of it, with room left for about as much.
    pub fn take(&mut self) -> Self {
        let writes = Vec::with_capacity(self.writes.len().min(EXPECTED));
        std::mem::replace(self, Self { writes, ..Self::default() })
    }

    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// What the batch will leave under a key: `None` if it does not touch it, `Some(None)` if it removes it.
    pub fn find(&mut self, table: Table, key: &[u8]) -> Option<Option<&Bytes>> {
        let at = if self.writes.len() <= FEW {
            self.writes.iter().rposition(|write| write.table == table && write.key == key)?
        } else {
            self.newest(table, key)?
        };
        Some(self.writes[at].value.as_ref())
    }

    fn newest(&mut self, table: Table, key: &[u8]) -> Option<usize> {
        for write in &self.writes[self.indexed..] {
            self.indexed += 1;
            self.index.entry(write.key.clone()).or_default()[write.table.index()] = self.indexed as u32;
        }
        let place = self.index.get(key)?[table.index()];
        (place as usize).checked_sub(1)
    }

    /// The bytes of all keys and values together.
    pub fn size_bytes(&self) -> u64 {
        self.writes.iter().map(|write| (write.key.len() + write.value.as_ref().map_or(0, Bytes::len)) as u64).sum()
    }

    /// Panics on a row that no engine can hold: such a batch is a mistake in this program.
    pub(super) fn assert_sizes(&self) {
        for Write { table, key, value } in &self.writes {
            let (key, value) = (key.len(), value.as_ref().map_or(0, Bytes::len));
            assert!((1..=MAX_KEY_BYTES).contains(&key), "a key of {key} bytes for table {}", table.name());
            assert!(value <= MAX_VALUE_BYTES, "a value of {value} bytes for table {}", table.name());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_knows_what_it_leaves_however_large_it_is() {
        let mut batch = Batch::default();
        for number in 0..4 * FEW {
            let (key, value) = ([number as u8], format!("{number}"));
            batch.put(Table::Users, key.to_vec(), value.clone());
            batch.put(Table::Devices, key.to_vec(), "another table");
            assert_eq!(batch.find(Table::Users, &key), Some(Some(&value.into())));
            assert_eq!(batch.find(Table::Members, &key), None);
            batch.put(Table::Users, key.to_vec(), "newer");
            assert_eq!(batch.find(Table::Users, &key), Some(Some(&"newer".into())));
            batch.remove(Table::Users, key.to_vec());
            assert_eq!(batch.find(Table::Users, &key), Some(None));
            assert_eq!(batch.find(Table::Users, &[number as u8 + 1]), None);
            assert_eq!(batch.find(Table::Devices, &[0]), Some(Some(&"another table".into())));
        }
    }
}
