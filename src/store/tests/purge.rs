//! What was overwritten or removed leaves the files when they are purged, the journal included.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
};

use super::*;

/// Whether any file of the store holds `text`.
fn is_in_files(dir: &Path, text: &str) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => is_in_files(&path, text),
            false => fs::read(&path).is_ok_and(|bytes| memchr::memmem::find(&bytes, text.as_bytes()).is_some()),
        }
    })
}

/// Text that no compression shortens, so that it stands in a file as it is.
fn secret(name: &str) -> String {
    let mut text = name.to_owned();
    text.extend((0..48).map(|_| char::from(rand::random_range(b'a'..=b'z'))));
    text
}

#[test]
fn what_was_overwritten_leaves_the_files_with_a_purge() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let [flushed, journaled, removed, kept] = ["flushed", "journaled", "removed", "kept"].map(secret);
    commit(&engine, &[(Table::Messages, "a", Some(&flushed)), (Table::Reactions, "r", Some(&removed))]).unwrap();
    engine.flush();
    commit(&engine, &[(Table::Messages, "b", Some(&journaled)), (Table::Messages, "k", Some(&kept))]).unwrap();
    commit(&engine, &[(Table::Messages, "a", Some("gone")), (Table::Messages, "b", Some("gone"))]).unwrap();
    commit(&engine, &[(Table::Reactions, "r", None)]).unwrap();
    for text in [&flushed, &journaled, &removed, &kept] {
        assert!(is_in_files(dir.path(), text), "{text} was never there");
    }
    for round in 0..2 {
        engine.purge().unwrap();
        for text in [&flushed, &journaled, &removed] {
            assert!(!is_in_files(dir.path(), text), "{text} is still there after purge {round}");
        }
        assert!(is_in_files(dir.path(), &kept));
    }
    drop(engine);
    let engine = open(dir.path());
    assert_eq!(get(&engine, Table::Messages, "a").as_deref(), Some("gone"));
    assert_eq!(get(&engine, Table::Messages, "k"), Some(kept));
    assert_eq!(get(&engine, Table::Reactions, "r"), None);
    assert!(!is_in_files(dir.path(), &flushed));
}

#[test]
fn commits_and_reads_go_on_during_a_purge() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let is_over = AtomicBool::new(false);
    let text = secret("early");
    commit(&engine, &[(Table::Messages, "early", Some(&text))]).unwrap();
    commit(&engine, &[(Table::Messages, "early", Some("gone"))]).unwrap();
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut written = 0;
            while !is_over.load(Ordering::Relaxed) || written < 100 {
                written += 1;
                let value = format!("value {written}");
                commit(
                    &engine,
                    &[(Table::Messages, &format!("{written}"), Some(&value)), (Table::Users, "u", Some(&value))],
                )
                .unwrap();
                assert_eq!(get(&engine, Table::Users, "u"), Some(value));
            }
            written
        });
        let purged = engine.purge();
        is_over.store(true, Ordering::Relaxed);
        purged.unwrap();
        writer.join().unwrap()
    });
    assert!(!is_in_files(dir.path(), &text));
    drop(engine);
    let engine = open(dir.path());
    for number in 1..=written {
        assert_eq!(get(&engine, Table::Messages, &number.to_string()), Some(format!("value {number}")));
    }
}
