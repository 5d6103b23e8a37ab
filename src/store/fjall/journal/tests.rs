//! Journals that the engine wrote, cut short and damaged in every way.

use std::io::Write as _;

use super::*;
use crate::store::{
    batch::Batch,
    engine::{Durability, Engine},
    fjall::engine::{FjallEngine, FjallOptions},
    table::Table,
};

fn open(path: &Path) -> Result<FjallEngine, StoreError> {
    FjallEngine::open(path, FjallOptions::default())
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn commit(engine: &FjallEngine, key: u8, value: Vec<u8>) {
    let mut batch = Batch::default();
    batch.put(Table::Messages, vec![key], value);
    batch.put(Table::Timelines, vec![key], vec![key; 20]);
    wait(engine.commit(batch, Durability::Synced)).unwrap();
}

fn stored_keys(path: &Path) -> Vec<u8> {
    let mut keys = Vec::new();
    let mut each = |table, key: &[u8], _: &[u8]| {
        keys.extend((table == Table::Messages).then_some(key[0]));
        std::ops::ControlFlow::Continue(())
    };
    open(path).unwrap().dump(&mut each).unwrap();
    keys
}

/// A store of the given values; the bytes of its journal, and where each batch ends in it.
fn store(values: Vec<Vec<u8>>) -> (tempfile::TempDir, PathBuf, Vec<u8>, Vec<usize>) {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).unwrap();
    for (key, value) in (1..).zip(values) {
        commit(&engine, key, value);
    }
    drop(engine);
    let journal = list(dir.path()).unwrap().pop().unwrap();
    let mut bytes = fs::read(&journal).unwrap();
    bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1);
    let mut ends = Vec::new();
    let mut rest = &bytes[..];
    while let Some(batch) = read_batch(&mut rest).unwrap() {
        ends.push(ends.last().unwrap_or(&0) + batch.size_bytes as usize);
    }
    assert_eq!(ends.last(), Some(&bytes.len()), "the journal is read to its end");
    (dir, journal, bytes, ends)
}

fn small_store() -> (tempfile::TempDir, PathBuf, Vec<u8>, Vec<usize>) {
    store((1..=5).map(|key| vec![key; 30]).collect())
}

fn is_refused(path: &Path) -> bool {
    matches!(check(path, false), Err(StoreError::Corrupt(_)))
}

#[test]
fn a_hole_is_damage_unless_the_tail_may_be_lost() {
    let (dir, journal, mut bytes, ends) = small_store();
    // The third of five batches was never written, though the two after it were.
    bytes[ends[1]..ends[2]].fill(0);
    fs::write(&journal, &bytes).unwrap();
    assert!(is_refused(dir.path()));
    check(dir.path(), true).unwrap();
    assert_eq!(stored_keys(dir.path()), [1, 2]);
    commit(&open(dir.path()).unwrap(), 6, b"after".to_vec());
    assert_eq!(stored_keys(dir.path()), [1, 2, 6]);
}

#[test]
fn a_batch_cut_at_any_byte_is_dropped_and_no_other() {
    let (dir, journal, bytes, ends) = small_store();
    for length in ends[3]..bytes.len() {
        for zeros in [0, 100, 5000] {
            fs::write(&journal, [&bytes[..length], &vec![0; zeros]].concat()).unwrap();
            check(dir.path(), false).unwrap();
            let left = fs::read(&journal).unwrap();
            assert_eq!(&left[..ends[3]], &bytes[..ends[3]]);
            assert!(left[ends[3]..].iter().all(|byte| *byte == 0), "cut at {length}");
        }
    }
    assert_eq!(stored_keys(dir.path()), [1, 2, 3, 4]);
    commit(&open(dir.path()).unwrap(), 6, b"after".to_vec());
    assert_eq!(stored_keys(dir.path()), [1, 2, 3, 4, 6]);
}

#[test]
fn a_batch_with_a_sector_that_was_not_written_is_dropped() {
    let (dir, journal, bytes, ends) = store(vec![vec![7; 100], vec![8; 3000]]);
    let first_sector = ends[0].next_multiple_of(512);
    // Of the sector in which it begins, what stood there before remains.
    let others = (first_sector..bytes.len() - 512).step_by(512).map(|sector| sector..sector + 512);
    for unwritten in others.chain(std::iter::once(ends[0]..first_sector)) {
        let mut torn = bytes.clone();
        torn[unwritten.clone()].fill(0);
        fs::write(&journal, torn).unwrap();
        check(dir.path(), false).unwrap();
        assert_eq!(fs::read(&journal).unwrap(), &bytes[..ends[0]], "not written: {unwritten:?}");
    }
    assert_eq!(stored_keys(dir.path()), [1]);
}

#[test]
fn a_flipped_bit_is_refused_and_nothing_is_changed() {
    let (dir, journal, bytes, ends) = small_store();
    // Sequence numbers are not hashed: the first may become lower, and the last higher, without being out of order.
    let (first_seqno, last_seqno) = (5..13, ends[3] + 5..ends[3] + 13);
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&journal, &damaged).unwrap();
        let is_higher = damaged[bit / 8] > bytes[bit / 8];
        if (first_seqno.contains(&(bit / 8)) && !is_higher) || (last_seqno.contains(&(bit / 8)) && is_higher) {
            check(dir.path(), false).unwrap();
        } else {
            assert!(is_refused(dir.path()), "bit {bit}");
            assert_eq!(fs::read(&journal).unwrap(), damaged);
        }
    }
}

#[test]
fn damage_that_a_whole_batch_follows_is_refused_whatever_stands_at_the_end() {
    let (dir, journal, mut bytes, ends) = store(vec![vec![7; 30], vec![8; 30], vec![0; 2000], vec![9; 30]]);
    bytes[ends[0]] ^= 4;
    for length in [bytes.len(), bytes.len() - 1, ends[2]] {
        fs::write(&journal, &bytes[..length]).unwrap();
        assert!(is_refused(dir.path()), "cut at {length}");
    }
}

#[test]
fn an_older_journal_may_not_be_broken_at_all() {
    let (dir, journal, bytes, _) = small_store();
    fs::write(&journal, &bytes[..bytes.len() - 1]).unwrap();
    File::create(dir.path().join("1.jnl")).unwrap().write_all(&[0; 4096]).unwrap();
    assert!(is_refused(dir.path()));
    fs::write(&journal, &bytes).unwrap();
    check(dir.path(), false).unwrap();
    fs::write(dir.path().join("1.jnl"), &bytes).unwrap();
    assert!(is_refused(dir.path()), "the same sequence numbers again");
}

#[test]
fn opening_refuses_what_the_check_refuses() {
    let (dir, journal, mut bytes, ends) = small_store();
    bytes[ends[0]] ^= 4;
    fs::write(&journal, &bytes).unwrap();
    let error = open(dir.path()).err().unwrap();
    let expected = format!("the batch at byte {} of the journal {}", ends[0], journal.display());
    assert!(error.to_string().contains(&expected), "{error}");
}

/// Bytes that no compression makes smaller.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn journals_that_the_engine_has_rotated_are_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let value = noise(1, 1 << 20);
    let mut most = 0;
    for round in 0..3_u32 {
        let engine = open(dir.path()).unwrap();
        for number in 0..70_u32 {
            let mut batch = Batch::default();
            batch.put(Table::Messages, (round * 1000 + number).to_be_bytes().to_vec(), value.clone());
            batch.put(Table::Meta, "next", number.to_be_bytes().to_vec());
            wait(engine.commit(batch, Durability::Buffered)).unwrap();
            most = most.max(list(dir.path()).unwrap().len());
        }
        drop(engine);
        most = most.max(list(dir.path()).unwrap().len());
        check(dir.path(), false).unwrap();
    }
    assert!(most > 1, "the engine has not rotated its journal");
    let mut rows = 0;
    let mut each = |_, _: &[u8], _: &[u8]| {
        rows += 1;
        std::ops::ControlFlow::Continue(())
    };
    open(dir.path()).unwrap().dump(&mut each).unwrap();
    assert_eq!(rows, 3 * 70 + 1);
}
