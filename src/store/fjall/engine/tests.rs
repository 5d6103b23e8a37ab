//! What the engine keeps beside the tables' files stays within what it was given: rows in memory, blocks that were read,
//! journals. What its own threads do meanwhile shows in no read, and what a purge was about to do in no later run.

use std::{
    thread,
    time::{Duration, Instant},
};

use fjall::KeyspaceCreateOptions;
use futures_util::FutureExt as _;

use super::*;

const MIB: usize = 1 << 20;
/// Whatever the engine's own threads are to do is done within this time, or the test fails.
const DEADLINE: Duration = Duration::from_secs(60);

fn until(what: &str, is_reached: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_reached() {
        assert!(since.elapsed() < DEADLINE, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Bytes that no compression makes fewer.
fn noise(len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    rand::fill(&mut bytes[..]);
    bytes.into()
}

fn commit(engine: &FjallEngine, table: Table, key: usize, value: &Bytes) {
    let mut batch = Batch::default();
    batch.put(table, key.to_be_bytes().to_vec(), value.clone());
    engine.commit(batch, Durability::Buffered).now_or_never().unwrap().unwrap();
}

#[test]
fn rows_in_memory_go_to_a_file_when_they_are_as_many_as_their_table_gathers() {
    let dir = tempfile::tempdir().unwrap();
    let engine = FjallEngine::open(dir.path(), FjallOptions::default()).unwrap();
    let noise = noise(7 * MIB);
    let mut together = 0;
    for table in Table::ALL {
        let most = tables::memtable_bytes(table) as usize;
        together += most;
        let tenth = noise.slice(..most / 10);
        let files = || engine.parts.keyspace(table).table_count();
        (0..9).for_each(|key| commit(&engine, table, key, &tenth));
        assert_eq!(files(), 0, "{table:?} gathers less than it may");
        (9..11).for_each(|key| commit(&engine, table, key, &tenth));
        until(&format!("{table:?} keeps in memory what it has no room for"), || files() > 0);
    }
    assert!(together <= 96 * MIB, "all tables together may gather {together} bytes");
}

#[test]
fn blocks_that_were_read_stay_in_memory_as_far_as_the_cache_goes() {
    const CACHE: u64 = 1 << 20;
    let dir = tempfile::tempdir().unwrap();
    let engine = FjallEngine::open(dir.path(), FjallOptions { cache_bytes: CACHE, ..Default::default() }).unwrap();
    let noise = noise(8000);
    (0..512).for_each(|key| commit(&engine, Table::Messages, key, &noise));
    engine.flush();
    let mut most = 0;
    for key in 0..512_usize {
        assert!(engine.read(Table::Messages, &key.to_be_bytes()).unwrap().is_some());
        most = most.max(engine.parts.db.cache_size());
    }
    assert!((CACHE / 2..=CACHE).contains(&most), "{most} bytes are kept");
}

/// One row of a table that is hardly ever written would keep every journal since.
#[test]
fn journals_go_when_they_are_as_large_as_they_may_be() {
    let dir = tempfile::tempdir().unwrap();
    let engine = FjallEngine::open(dir.path(), FjallOptions::default()).unwrap();
    let noise = noise(MIB);
    commit(&engine, Table::Users, 0, &noise.slice(..10));
    let list = || journal::list(dir.path()).unwrap();
    for journal in 0..2 {
        let written = list().pop();
        let filled = (0..6).find(|part| {
            (0..16).for_each(|key| commit(&engine, Table::Messages, 100 * journal + 16 * part + key, &noise));
            engine.parts.keyspace(Table::Messages).rotate_memtable_and_wait().unwrap();
            list().pop() != written
        });
        assert!(filled.is_some(), "a journal grows for ever");
    }
    // The one that is written, which ends where a table goes to a file.
    let newest = (64 << 20) + tables::memtable_bytes(Table::Messages);
    let most = FjallOptions::MIN_JOURNAL_BYTES + newest;
    until("journals stay that are too many", || engine.parts.db.journal_disk_space().unwrap() <= most);
}

#[test]
fn a_table_that_goes_to_a_file_shows_no_half_of_a_batch() {
    let dir = tempfile::tempdir().unwrap();
    let engine = FjallEngine::open(dir.path(), FjallOptions::default()).unwrap();
    // The first and the last row of a batch that takes its time.
    let commit = |value: u32| {
        let mut batch = Batch::default();
        batch.put(Table::Users, vec![0], value.to_be_bytes().to_vec());
        (0..1000_u16).for_each(|key| batch.put(Table::Meta, key.to_be_bytes().to_vec(), vec![]));
        batch.put(Table::Users, vec![1], value.to_be_bytes().to_vec());
        engine.commit(batch, Durability::Buffered).now_or_never().unwrap().unwrap();
    };
    commit(0);
    let both =
        Scan { table: Table::Users, from: vec![0].into(), to: vec![2].into(), limit: usize::MAX, descending: false };
    thread::scope(|scope| {
        let writing = scope.spawn(|| (1..300).for_each(commit));
        while !writing.is_finished() {
            engine.parts.keyspace(Table::Users).rotate_memtable_and_wait().unwrap();
            let rows = engine.read_range(both.clone()).unwrap();
            assert_eq!(rows[0].1, rows[1].1, "rows of two batches in one scan");
        }
    });
}

/// The engine gives the numbers of a purge's last rows again, if it ends before anything else is committed.
#[test]
fn a_purge_cut_short_leaves_a_store_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let open = || FjallEngine::open(dir.path(), FjallOptions::default()).unwrap();
    let engine = open();
    let row = Bytes::from("a row");
    commit(&engine, Table::Meta, 1, &row);
    let Parts { db, .. } = &engine.parts;
    let filler = db.keyspace(purge::FILLER, KeyspaceCreateOptions::default).unwrap();
    for _ in 0..20 {
        engine.parts.writer().unwrap().put(db, &filler, journal::FILLING, Some(b"chunk")).unwrap();
    }
    db.delete_keyspace(filler).unwrap();
    drop(engine);
    commit(&open(), Table::Meta, 1, &row);
    drop(open());
}
