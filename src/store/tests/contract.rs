//! One suite for both engines.

use super::*;
use crate::store::memory::MemoryEngine;

fn check(engine: &dyn Engine) {
    get_and_overwrite(engine);
    ranges(engine);
    order_within_a_batch(engine);
    tables_are_apart(engine);
    bytes_are_compared_as_numbers(engine);
    a_synced_empty_batch_is_fine(engine);
    calls_decide_the_order(engine);
    a_dump_is_of_one_moment(engine);
    no_half_of_a_batch_is_seen(engine);
}

#[test]
fn memory_keeps_the_contract() {
    check(&MemoryEngine::new());
}

#[test]
fn fjall_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    check(&open(dir.path()));
}

fn get_and_overwrite(engine: &dyn Engine) {
    assert_eq!(get(engine, Table::Users, "a"), None);
    commit(engine, &[(Table::Users, "a", Some("1"))]).unwrap();
    assert_eq!(get(engine, Table::Users, "a").as_deref(), Some("1"));
    commit(engine, &[(Table::Users, "a", Some(""))]).unwrap();
    assert_eq!(get(engine, Table::Users, "a").as_deref(), Some(""));
    commit(engine, &[(Table::Users, "a", None), (Table::Users, "never there", None)]).unwrap();
    assert_eq!(get(engine, Table::Users, "a"), None);
}

fn ranges(engine: &dyn Engine) {
    let table = Table::Messages;
    commit(engine, &["b", "c", "bb", "a", "d"].map(|key| (table, key, Some("x")))).unwrap();
    assert_eq!(keys(engine, range(table, "a", "z")), ["a", "b", "bb", "c", "d"]);
    assert_eq!(keys(engine, range(table, "b", "d")), ["b", "bb", "c"], "the upper end is excluded");
    assert_eq!(keys(engine, Scan { limit: 2, ..range(table, "b", "d") }), ["b", "bb"]);
    assert_eq!(keys(engine, Scan { descending: true, ..range(table, "b", "d") }), ["c", "bb", "b"]);
    assert_eq!(keys(engine, Scan { limit: 1, descending: true, ..range(table, "b", "d") }), ["c"]);
    assert!(keys(engine, Scan { limit: 0, ..range(table, "a", "z") }).is_empty());
    assert!(keys(engine, range(table, "b", "b")).is_empty());
    assert!(keys(engine, range(table, "d", "a")).is_empty(), "a range upside down is empty");
    assert_eq!(keys(engine, range(table, "", "b")), ["a"]);
}

fn order_within_a_batch(engine: &dyn Engine) {
    let table = Table::Meta;
    commit(engine, &[(table, "k", Some("1")), (table, "k", None), (table, "k", Some("3"))]).unwrap();
    assert_eq!(get(engine, table, "k").as_deref(), Some("3"));
    commit(engine, &[(table, "k", Some("4")), (table, "k", None)]).unwrap();
    assert_eq!(get(engine, table, "k"), None);
}

fn tables_are_apart(engine: &dyn Engine) {
    for table in Table::ALL {
        commit(engine, &[(table, "same key", Some(table.name()))]).unwrap();
    }
    for table in Table::ALL {
        assert_eq!(get(engine, table, "same key").as_deref(), Some(table.name()));
    }
}

fn bytes_are_compared_as_numbers(engine: &dyn Engine) {
    let mut batch = Batch::default();
    for number in [1_u64, 255, 256, u64::MAX, 1 << 40] {
        batch.put(Table::Timelines, number.to_be_bytes().to_vec(), number.to_string());
    }
    wait(engine.commit(batch, Durability::Synced)).unwrap();
    let (from, to) = (Bytes::copy_from_slice(&[0; 8]), Bytes::copy_from_slice(&(1_u64 << 62).to_be_bytes()));
    let rows = scan(engine, Scan { table: Table::Timelines, from, to, limit: 9, descending: false });
    let values: Vec<_> = rows.iter().map(|(_, value)| &value[..]).collect();
    assert_eq!(values, [&b"1"[..], b"255", b"256", b"1099511627776"]);
}

fn a_synced_empty_batch_is_fine(engine: &dyn Engine) {
    wait(engine.commit(Batch::default(), Durability::Synced)).unwrap();
}

fn calls_decide_the_order(engine: &dyn Engine) {
    let first = engine.commit(batch(&[(Table::Meta, "order", Some("first"))]), Durability::Buffered);
    let second = engine.commit(batch(&[(Table::Meta, "order", Some("second"))]), Durability::Buffered);
    wait(second).unwrap();
    drop(first);
    assert_eq!(get(engine, Table::Meta, "order").as_deref(), Some("second"));
}

fn a_dump_is_of_one_moment(engine: &dyn Engine) {
    let before = dump(engine);
    let mut seen = Vec::new();
    engine
        .dump(&mut |table, key, value| {
            // Each row seen is overwritten and another put behind everything: neither may show.
            let later = format!("zzz{}", seen.len());
            commit(engine, &[(table, &later, Some("late")), (Table::Messages, "a", Some("late"))]).unwrap();
            seen.push((table, Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(seen, before);
    assert!(dump(engine).len() > before.len());
    assert!(before.is_sorted(), "by table, then by key");
}

fn no_half_of_a_batch_is_seen(engine: &dyn Engine) {
    let table = Table::Conversations;
    let rows = |value: u32| {
        let mut batch = Batch::default();
        (0..50_u8).for_each(|key| batch.put(table, vec![1, key], value.to_be_bytes().to_vec()));
        batch
    };
    let everything = Scan { from: vec![1].into(), to: vec![2].into(), ..range(table, "", "") };
    wait(engine.commit(rows(0), Durability::Buffered)).unwrap();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for value in 1..400 {
                wait(engine.commit(rows(value), Durability::Buffered)).unwrap();
            }
        });
        while !writing.is_finished() {
            let seen = scan(engine, everything.clone());
            assert_eq!(seen.len(), 50);
            assert!(seen.iter().all(|(_, value)| *value == seen[0].1), "rows of two batches in one scan");
        }
    });
}

#[test]
#[should_panic(expected = "a key of 0 bytes")]
fn memory_refuses_an_empty_key() {
    drop(MemoryEngine::new().commit(batch(&[(Table::Meta, "", Some("x"))]), Durability::Buffered));
}

#[test]
#[should_panic(expected = "a key of 65536 bytes")]
fn fjall_refuses_a_key_that_is_too_long() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).commit(batch(&[(Table::Meta, &"k".repeat(65_536), None)]), Durability::Buffered));
}
