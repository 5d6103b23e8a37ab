//! Taking out of the files what was overwritten or removed. The engine keeps an older row until it happens to merge the
//! table file that it is in, and a journal until the next one has 64 MB; neither is in a hurry.
//!
//! 1. Rows without meaning fill the journal until the engine begins a new one; then all tables go to files, after which
//!    it removes the journals that were there when the purge began.
//! 2. The tables that hold what people wrote are merged whole, and of each key the newest row is written anew.
//! 3. The engine keeps the files of the version before; the next file of a table lets go of them.
//!
//! The files that this leaves have none of it. What was in the blocks of the disk that they have given up is the file
//! system's business.

use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use fjall::{Keyspace, KeyspaceCreateOptions};

use super::{
    errors,
    journal::{self, FILLING},
    parts::Parts,
};
use crate::store::{error::StoreError, table::Table};

/// The tables that hold what people wrote.
const WRITTEN_BY_PEOPLE: [Table; 4] = [Table::Messages, Table::Reactions, Table::Memberships, Table::Conversations];
/// The keyspace of the rows without meaning. It is there only while a purge goes on, or was cut short.
pub(super) const FILLER: &str = "filler";
/// A key that no table has: they begin with numbers of at least four bytes.
const NO_KEY: &[u8] = &[0];
const CHUNK_BYTES: usize = 1 << 20;
/// Twice what the engine lets a journal grow to before it begins a new one.
const MAX_CHUNKS: usize = 128;
/// The engine looks at how many snapshots were closed, and at each multiple of this finds out which rows nobody sees any more.
const SNAPSHOTS_PER_LOOK: usize = 10_000;
/// How long the engine may take to remove the old journals, in steps.
const STEP: Duration = Duration::from_millis(20);
const MAX_STEPS: usize = 3000;

/// See the module's page. Nobody may be reading a snapshot that is older than the purge.
pub(super) fn purge(parts: &Parts) -> Result<(), StoreError> {
    let room = parts.keyspace(Table::Messages).disk_space() + (MAX_CHUNKS * CHUNK_BYTES) as u64;
    parts.writer()?.check_room(room)?;
    let old = journal::list(&parts.path).map_err(|error| StoreError::Io(error.to_string()))?;
    fill_journal(parts, &old)?;
    flush_until_gone(parts, &old)?;
    let tables = WRITTEN_BY_PEOPLE.map(|table| parts.keyspace(table));
    look_for_old_rows(parts)?;
    for keyspace in tables {
        keyspace.major_compact().map_err(errors::on_commit)?;
    }
    for keyspace in tables {
        parts.writer()?.put(&parts.db, keyspace, NO_KEY, None)?;
    }
    look_for_old_rows(parts)?;
    for keyspace in tables {
        keyspace.rotate_memtable_and_wait().map_err(errors::on_commit)?;
    }
    Ok(())
}

/// What the snapshot that readers share still shows would count as seen, so that it is renewed first.
fn look_for_old_rows(parts: &Parts) -> Result<(), StoreError> {
    parts.publish(&*parts.writer()?);
    for _ in 0..SNAPSHOTS_PER_LOOK {
        drop(parts.snapshot());
    }
    Ok(())
}

/// Writes until the newest of the `old` journals is no longer the one that the engine writes.
fn fill_journal(parts: &Parts, old: &[PathBuf]) -> Result<(), StoreError> {
    let Some(newest) = old.last() else { return Ok(()) };
    let filler = parts.db.keyspace(FILLER, KeyspaceCreateOptions::default).map_err(errors::on_commit)?;
    let filled = fill(parts, &filler, newest);
    parts.db.delete_keyspace(filler).map_err(errors::on_commit)?;
    filled
}

fn fill(parts: &Parts, filler: &Keyspace, newest: &Path) -> Result<(), StoreError> {
    let directory = newest.parent().unwrap_or(newest);
    // The journal compresses, so that only what is random fills it.
    let mut chunk = vec![0; CHUNK_BYTES];
    rand::fill(&mut chunk[..]);
    for number in 0..MAX_CHUNKS {
        parts.writer()?.put(&parts.db, filler, FILLING, Some(&chunk))?;
        // Where the journal stands is looked at when a table goes to a file.
        if number % 8 == 7 {
            filler.rotate_memtable_and_wait().map_err(errors::on_commit)?;
        }
        let found = journal::list(directory).map_err(|error| StoreError::Io(error.to_string()))?;
        if found.last().is_some_and(|journal| journal != newest) {
            return Ok(());
        }
    }
    Err(StoreError::Io("the engine begins no new journal".into()))
}

/// A journal goes when all that is in it stands in table files.
fn flush_until_gone(parts: &Parts, old: &[PathBuf]) -> Result<(), StoreError> {
    for _ in 0..MAX_STEPS {
        for keyspace in &parts.keyspaces {
            keyspace.rotate_memtable_and_wait().map_err(errors::on_commit)?;
        }
        if !old.iter().any(|journal| journal.exists()) {
            return Ok(());
        }
        thread::sleep(STEP);
    }
    Err(StoreError::Io("the engine keeps a journal that it needs no more".into()))
}
