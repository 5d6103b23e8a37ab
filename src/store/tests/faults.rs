//! A full disk, a failed write, a directory in use.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::*;
use crate::store::memory::MemoryEngine;

const RESERVE: u64 = 1_000_000;

/// An engine on a disk whose free space the test decides; `u64::MAX` makes the question fail.
fn open_on_disk(path: &Path) -> (FjallEngine, Arc<AtomicU64>) {
    let free = Arc::new(AtomicU64::new(10 * RESERVE));
    let seen = Arc::clone(&free);
    let probe = move |_: &Path| match seen.load(Ordering::SeqCst) {
        u64::MAX => Err(io::Error::other("the disk is gone")),
        free => Ok(free),
    };
    let options = FjallOptions { reserve_bytes: RESERVE, ..FjallOptions::default() };
    (FjallEngine::open_with_probe(path, options, Box::new(probe), Duration::ZERO).unwrap(), free)
}

#[test]
fn a_full_disk_refuses_commits_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, free) = open_on_disk(dir.path());
    commit(&engine, &[(Table::Users, "a", Some("before"))]).unwrap();

    free.store(RESERVE - 1, Ordering::SeqCst);
    let refused = commit(&engine, &[(Table::Users, "a", Some("while full")), (Table::Users, "b", Some("while full"))]);
    let error = refused.unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { free: 999_999, reserve: RESERVE, .. }), "{error}");
    assert!(!error.is_permanent());
    assert_eq!(get(&engine, Table::Users, "a").as_deref(), Some("before"), "reads go on, nothing was written");
    assert_eq!(get(&engine, Table::Users, "b"), None);

    free.store(RESERVE + 100, Ordering::SeqCst);
    commit(&engine, &[(Table::Users, "a", Some("after"))]).unwrap();
    assert_eq!(get(&engine, Table::Users, "a").as_deref(), Some("after"));
    let large = "x".repeat(101);
    let refused = commit(&engine, &[(Table::Users, "c", Some(&large))]);
    assert!(matches!(refused, Err(StoreError::DiskFull { .. })), "the batch itself counts");
}

#[test]
fn a_permanent_error_stops_commits_for_good_and_reads_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, free) = open_on_disk(dir.path());
    commit(&engine, &[(Table::Users, "a", Some("1"))]).unwrap();

    free.store(u64::MAX, Ordering::SeqCst);
    let error = commit(&engine, &[(Table::Users, "a", Some("2"))]).unwrap_err();
    assert!(matches!(&error, StoreError::Failed(reason) if reason.contains("the disk is gone")), "{error}");

    free.store(10 * RESERVE, Ordering::SeqCst);
    let error = commit(&engine, &[(Table::Users, "a", Some("3"))]).unwrap_err();
    assert!(matches!(&error, StoreError::Failed(reason) if reason.contains("the disk is gone")), "{error}");
    assert_eq!(get(&engine, Table::Users, "a").as_deref(), Some("1"));

    drop(engine);
    let engine = open(dir.path());
    commit(&engine, &[(Table::Users, "a", Some("4"))]).unwrap();
    assert_eq!(get(&engine, Table::Users, "a").as_deref(), Some("4"));
}

#[test]
fn a_store_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let second = FjallEngine::open(dir.path(), FjallOptions::default()).err();
    assert!(matches!(second, Some(StoreError::Locked(path)) if path == dir.path().display().to_string()));
    drop(engine);
    open(dir.path());
}

#[test]
fn the_directory_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/store");
    open(&path);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_path_that_is_no_directory_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "").unwrap();
    let error = FjallEngine::open(&path, FjallOptions::default()).err().unwrap();
    assert!(matches!(&error, StoreError::Io(reason) if reason.contains("file")), "{error}");
}

#[test]
fn memory_faults_come_when_asked_for() {
    let engine = MemoryEngine::new();
    commit(&engine, &[(Table::Users, "a", Some("1"))]).unwrap();
    engine.fill_up(true);
    assert!(matches!(commit(&engine, &[(Table::Users, "a", None)]), Err(StoreError::DiskFull { .. })));
    engine.fill_up(false);
    commit(&engine, &[(Table::Users, "a", Some("2"))]).unwrap();

    engine.fail_next_commit(StoreError::DiskFull { path: "memory".into(), free: 0, reserve: 0 });
    commit(&engine, &[(Table::Users, "a", None)]).unwrap_err();
    commit(&engine, &[(Table::Users, "a", Some("3"))]).unwrap();

    engine.fail_next_commit(StoreError::Failed("the sync failed".into()));
    for _ in 0..2 {
        assert!(matches!(commit(&engine, &[(Table::Users, "a", None)]), Err(StoreError::Failed(_))));
    }
    assert_eq!(get(&engine, Table::Users, "a").as_deref(), Some("3"));
}
