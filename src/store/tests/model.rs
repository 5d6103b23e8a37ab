//! Random batches, scans and restarts: the durable engine must answer what the memory one answers.

use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::store::{batch::Write, memory::MemoryEngine};

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<Write>, Durability),
    Read(Vec<(Table, Bytes)>, Vec<Scan>),
    Reopen,
}

fn table() -> impl Strategy<Value = Table> {
    prop::sample::select(&Table::ALL[..])
}

/// Few different keys, so that they meet; some are beginnings of others.
fn key() -> impl Strategy<Value = Bytes> {
    vec(prop::sample::select(&[0_u8, 1, 7, 0xFF][..]), 1..4).prop_map(Bytes::from)
}

fn write() -> impl Strategy<Value = Write> {
    let value = option::weighted(0.7, vec(any::<u8>(), 0..200).prop_map(Bytes::from));
    (table(), key(), value).prop_map(|(table, key, value)| Write { table, key, value })
}

fn a_scan() -> impl Strategy<Value = Scan> {
    (table(), key(), key(), 0_usize..20, any::<bool>()).prop_map(|(table, from, to, limit, descending)| Scan {
        table,
        from,
        to,
        limit,
        descending,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let durability = prop_oneof![Just(Durability::Synced), Just(Durability::Buffered)];
    prop_oneof![
        6 => (vec(write(), 0..30), durability).prop_map(|(writes, durability)| Step::Commit(writes, durability)),
        3 => (vec((table(), key()), 0..10), vec(a_scan(), 0..10)).prop_map(|(gets, scans)| Step::Read(gets, scans)),
        1 => Just(Step::Reopen),
    ]
}

fn batch(writes: &[Write]) -> Batch {
    let mut batch = Batch::default();
    batch.writes.extend_from_slice(writes);
    batch
}

fn run(steps: Vec<Step>) {
    let dir = tempfile::tempdir().unwrap();
    let model = MemoryEngine::new();
    let mut engine = open(dir.path());
    for step in steps {
        match step {
            Step::Commit(writes, durability) => {
                wait(model.commit(batch(&writes), durability)).unwrap();
                wait(engine.commit(batch(&writes), durability)).unwrap();
            }
            Step::Read(gets, scans) => {
                for (table, key) in gets {
                    assert_eq!(wait(engine.get(table, key.clone())).unwrap(), wait(model.get(table, key)).unwrap());
                }
                for what in scans {
                    assert_eq!(scan(&engine, what.clone()), scan(&model, what));
                }
            }
            Step::Reopen => {
                drop(engine);
                engine = open(dir.path());
            }
        }
    }
    assert_eq!(dump(&engine), dump(&model));
    drop(engine);
    assert_eq!(dump(&open(dir.path())), dump(&model));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]
    #[test]
    fn fjall_answers_like_memory(steps in vec(step(), 1..25)) {
        run(steps);
    }
}
