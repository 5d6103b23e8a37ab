//! `kill -9` in the middle of commits, and what is left of a store whose creation was cut short.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use super::*;

const DIR: &str = "HONGYAN_TEST_CRASH_DIR";
const TABLES: [Table; 3] = [Table::Messages, Table::Timelines, Table::Devices];
/// After how many acknowledged batches each life of the child ends.
const LIVES: [u64; 10] = [0, 1, 2, 30, 7, 60, 1, 90, 3, 120];

fn key(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// Every seventh batch is large, so that the engine's background work is under way as well when the end comes.
fn value(table: Table, number: u64) -> Vec<u8> {
    format!("{} {number} ", table.name()).repeat(if number.is_multiple_of(7) { 20_000 } else { 3 }).into_bytes()
}

fn all(table: Table) -> Scan {
    Scan { table, from: key(0), to: key(u64::MAX), limit: usize::MAX, descending: false }
}

/// The process that is killed. It goes on from what it finds.
#[test]
#[ignore = "started by acknowledged_batches_survive_kill"]
fn child() {
    let Some(dir) = env::var_os(DIR) else { return };
    let engine = open(Path::new(&dir));
    let first = scan(&engine, all(TABLES[0])).len() as u64;
    let mut stdout = std::io::stdout();
    for number in first.. {
        let mut batch = Batch::default();
        for table in TABLES {
            batch.put(table, key(number), value(table, number));
        }
        wait(engine.commit(batch, Durability::Synced)).unwrap();
        writeln!(stdout, "\ncommitted {number}").and_then(|()| stdout.flush()).unwrap();
    }
}

/// Runs the child until it has acknowledged `count` batches, kills it, and returns the last number it printed.
fn live_and_die(dir: &Path, count: u64) -> Option<u64> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["store::tests::crash::child", "--exact", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = 0;
    let mut last = None;
    if count == 0 {
        child.kill().unwrap();
    }
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let Some(number) = line.unwrap().strip_prefix("committed ").map(|number| number.parse().unwrap()) else {
            continue;
        };
        last = Some(number);
        seen += 1;
        if seen == count {
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success(), "the child ended by itself");
    last
}

#[test]
fn acknowledged_batches_survive_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for count in LIVES {
        if let Some(last) = live_and_die(dir.path(), count) {
            acknowledged = last + 1;
        }
        let engine = open(dir.path());
        let stored = scan(&engine, all(TABLES[0])).len() as u64;
        assert!(stored >= acknowledged, "{acknowledged} batches were acknowledged, {stored} are there");
        assert!(stored <= acknowledged + 1, "one batch at most was under way, {stored} of {acknowledged} are there");
        for table in TABLES {
            let rows = scan(&engine, all(table));
            let expected = (0..stored).map(|number| (key(number), Bytes::from(value(table, number))));
            assert!(rows.into_iter().eq(expected), "{} has other rows than {stored} batches", table.name());
        }
    }
    assert!(acknowledged > 200);
}

#[test]
fn a_creation_cut_short_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let journal = dir.path().join("0.jnl");
    for version in [None, Some("")] {
        // What is there when the version, which comes last, is missing or was not written yet.
        fs::remove_dir_all(dir.path().join("keyspaces")).unwrap();
        fs::create_dir(dir.path().join("keyspaces")).unwrap();
        fs::File::create(&journal).unwrap().set_len(64 << 20).unwrap();
        match version {
            Some(content) => fs::write(dir.path().join("version"), content).unwrap(),
            None => fs::remove_file(dir.path().join("version")).unwrap(),
        }
        let engine = open(dir.path());
        commit(&engine, &[(Table::Meta, "k", Some("v"))]).unwrap();
        drop(engine);
        assert_eq!(get(&open(dir.path()), Table::Meta, "k").as_deref(), Some("v"));
    }
}

/// A power cut may take the directory of a table whose name the engine has written down already.
#[test]
fn a_creation_that_has_lost_a_table_is_begun_again() {
    for lost in ["1", "5", "13"] {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()));
        fs::remove_dir_all(dir.path().join("keyspaces").join(lost)).unwrap();
        let engine = open(dir.path());
        for table in Table::ALL {
            commit(&engine, &[(table, "name", Some(table.name()))]).unwrap();
        }
        drop(engine);
        let engine = open(dir.path());
        for table in Table::ALL {
            assert_eq!(get(&engine, table, "name").as_deref(), Some(table.name()), "{lost} was lost");
        }
    }
}

#[test]
fn a_version_that_is_not_whole_is_that_of_a_creation_cut_short() {
    for content in [&b"F"[..], b"FJL", &[0; 4]] {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()));
        fs::write(dir.path().join("version"), content).unwrap();
        drop(open(dir.path()));
    }
}

#[test]
fn data_without_a_version_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    commit(&engine, &[(Table::Meta, "k", Some("v"))]).unwrap();
    drop(engine);
    let version = fs::read(dir.path().join("version")).unwrap();
    fs::remove_file(dir.path().join("version")).unwrap();
    let error = FjallEngine::open(dir.path(), FjallOptions::default()).err().unwrap();
    assert!(matches!(&error, StoreError::Corrupt(reason) if reason.contains("`version`")), "{error}");
    fs::write(dir.path().join("version"), version).unwrap();
    assert_eq!(get(&open(dir.path()), Table::Meta, "k").as_deref(), Some("v"));
}
