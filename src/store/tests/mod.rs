//! What both engines promise, and what the durable one must survive. Here are the tools that the tests share.

use std::{future::Future, path::Path};

use bytes::Bytes;

use super::{
    batch::Batch,
    engine::{Durability, Engine, Scan},
    error::StoreError,
    fjall::{FjallEngine, FjallOptions},
    table::{Row, Table},
};

mod archive;
mod contract;
mod crash;
mod faults;
mod flips;
mod model;
mod purge;

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn open(path: &Path) -> FjallEngine {
    FjallEngine::open(path, FjallOptions::default()).unwrap()
}

fn batch(rows: &[(Table, &str, Option<&str>)]) -> Batch {
    let mut batch = Batch::default();
    for (table, key, value) in rows {
        match value {
            Some(value) => batch.put(*table, key.to_string(), value.to_string()),
            None => batch.remove(*table, key.to_string()),
        }
    }
    batch
}

fn commit(engine: &dyn Engine, rows: &[(Table, &str, Option<&str>)]) -> Result<(), StoreError> {
    wait(engine.commit(batch(rows), Durability::Buffered))
}

fn get(engine: &dyn Engine, table: Table, key: &str) -> Option<String> {
    let value = wait(engine.get(table, Bytes::copy_from_slice(key.as_bytes()))).unwrap();
    value.map(|value| String::from_utf8(value.into()).unwrap())
}

fn range(table: Table, from: &str, to: &str) -> Scan {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    Scan { table, from: bytes(from), to: bytes(to), limit: usize::MAX, descending: false }
}

fn scan(engine: &dyn Engine, scan: Scan) -> Vec<Row> {
    wait(engine.scan(scan)).unwrap()
}

fn keys(engine: &dyn Engine, what: Scan) -> Vec<String> {
    scan(engine, what).into_iter().map(|(key, _)| String::from_utf8(key.into()).unwrap()).collect()
}

fn dump(engine: &dyn Engine) -> Vec<(Table, Bytes, Bytes)> {
    let mut rows = Vec::new();
    engine
        .dump(&mut |table, key, value| {
            rows.push((table, Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    rows
}
