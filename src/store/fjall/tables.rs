//! The tables as fjall's keyspaces, and how each is kept: the engine writes that into the store when it creates a table;
//! for a table that exists, what was written then holds.

use std::sync::Arc;

use fjall::{
    CompressionType, Database, Error, Keyspace, KeyspaceCreateOptions,
    compaction::Leveled,
    config::{BlockSizePolicy, CompressionPolicy, FilterPolicy},
};

use crate::store::table::Table;

const MIB: u64 = 1 << 20;

/// In the order of [`Table::ALL`].
pub(super) type Keyspaces = [Keyspace; Table::ALL.len()];

/// Opens every table, creating those that are not there.
pub(super) fn open(db: &Database) -> Result<Keyspaces, Error> {
    let keyspaces = Table::ALL.into_iter().map(|table| db.keyspace(table.name(), || options(table)));
    let keyspaces = keyspaces.collect::<Result<Vec<_>, _>>()?;
    Ok(keyspaces.try_into().ok().expect("one keyspace was opened for each table"))
}

fn options(table: Table) -> KeyspaceCreateOptions {
    let options = KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes(table));
    match table {
        // Appended and read in ranges. The bodies are most of the store, and text compresses well.
        Table::Messages => options
            .filter_policy(FilterPolicy::disabled())
            .compaction_strategy(Arc::new(gathering()))
            .data_block_size_policy(BlockSizePolicy::all(8 * 1024))
            .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4)),
        // Appended and read in ranges only, where a filter is of no use.
        Table::Timelines | Table::Memberships | Table::Expiry => {
            options.filter_policy(FilterPolicy::disabled()).data_block_size_policy(BlockSizePolicy::all(8 * 1024))
        }
        // Read by keys that were read from elsewhere, so the filter of the last level would never say no.
        Table::Meta | Table::Users | Table::Devices | Table::Conversations => options.expect_point_read_hits(true),
        // Asked for what may well not be there: unknown names, pairs that have not talked yet.
        Table::UserNames | Table::Pairs | Table::Members | Table::Reactions | Table::Contacts => options,
    }
}

/// What is new belongs to all conversations, so that bringing it into the first level rewrites all of that level: this is
/// done seldom, with much at once, and the level is small beside it. With half the rows gathered and files twice as large the
/// engine writes a quarter to a third more in all.
fn gathering() -> Leveled {
    Leveled::default().with_l0_threshold(12).with_table_target_size(8 * MIB)
}

/// What a table gathers in memory before it goes to a file of its own. Small enough that the journal, which must hold
/// everything not yet in a file, stays near its cap.
pub(super) fn memtable_bytes(table: Table) -> u64 {
    match table {
        Table::Messages => 64 * MIB,
        Table::Timelines => 16 * MIB,
        Table::Devices => 8 * MIB,
        // Rewritten as people receive and read.
        Table::Memberships => 2 * MIB,
        Table::Meta | Table::Users | Table::Members | Table::Reactions | Table::Expiry => MIB / 2,
        // Written once, and a row takes four times its bytes here.
        Table::UserNames | Table::Conversations | Table::Pairs | Table::Contacts => MIB / 4,
    }
}
