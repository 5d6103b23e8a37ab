//! A bit flipped in any byte of any file of a store: it is refused when it is opened, or an error when it is read, or
//! changes nothing. Never is another row served, and none is missing.
//!
//! A sample runs with all tests. `HONGYAN_TEST_BYTES=200 cargo test -p hongyan --lib a_flipped_bit_in_any_file --
//! --nocapture` takes so many bytes of each kind of file, and every one where there are fewer. With a million that is every
//! byte of the store, which is small for that; a directory in memory (`TMPDIR`) makes it quicker.

use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    os::unix::fs::FileExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;

/// Bytes of all files of one kind that a sample takes.
const SAMPLE: usize = 4;

/// One for each way in which tables are kept.
const TABLES: [Table; 4] = [Table::Messages, Table::Timelines, Table::Users, Table::Pairs];

/// A store with rows in tables that were flushed, in later ones, and in the journal alone.
fn store(path: &Path) -> Vec<(Table, Bytes, Bytes)> {
    let engine = open(path);
    for generation in 0..3 {
        for table in TABLES {
            let mut batch = Batch::default();
            for number in 0..4 {
                batch.put(table, format!("{generation} {number}"), format!("{} {number} ", table.name()).repeat(4));
            }
            wait(engine.commit(batch, Durability::Synced)).unwrap();
        }
        if generation < 2 {
            engine.flush();
        }
    }
    dump(&engine)
}

/// Every file of a store with what is in it. A journal ends here with its last batch, as after a start.
fn files(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap().path();
            if entry.is_dir() {
                folders.push(entry);
            } else {
                let mut bytes = fs::read(&entry).unwrap();
                if entry.extension().is_some_and(|extension| extension == "jnl") {
                    bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
                }
                found.insert(entry.strip_prefix(path).unwrap().to_owned(), bytes);
            }
        }
    }
    found
}

fn copy(from: &Path, to: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) {
    for (name, bytes) in files {
        fs::create_dir_all(to.join(name).parent().unwrap()).unwrap();
        fs::write(to.join(name), bytes).unwrap();
    }
    // Folders without files are part of a store too.
    let mut folders = vec![from.to_owned()];
    while let Some(folder) = folders.pop() {
        fs::create_dir_all(to.join(folder.strip_prefix(from).unwrap())).unwrap();
        folders.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()));
    }
}

/// What came of a flipped bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// The store was not opened, or a row could not be read.
    Refused,
    /// The byte means nothing, or is written anew when the store is opened.
    Harmless,
    /// The engine gave up on it by panicking, before anything was served.
    Panicked,
    Served,
}

fn outcome(path: &Path, rows: &[(Table, Bytes, Bytes)]) -> Outcome {
    let read = catch_unwind(AssertUnwindSafe(|| {
        let engine = FjallEngine::open(path, FjallOptions::default())?;
        let mut found = Vec::new();
        engine.dump(&mut |table, key, value| {
            found.push((table, Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            ControlFlow::Continue(())
        })?;
        // The way that a server reads: by key.
        for (table, key, value) in rows {
            if wait(engine.get(*table, key.clone()))?.as_ref() != Some(value) {
                found.clear();
            }
        }
        Ok::<_, StoreError>(found)
    }));
    match read {
        Err(_) => Outcome::Panicked,
        Ok(Err(_)) => Outcome::Refused,
        Ok(Ok(found)) if found == rows => Outcome::Harmless,
        Ok(Ok(_)) => Outcome::Served,
    }
}

#[test]
fn a_flipped_bit_in_any_file_is_noticed() {
    let seed = env_number("HONGYAN_TEST_SEED").unwrap_or_else(rand::random::<u32>);
    println!("HONGYAN_TEST_SEED={seed} replays this");
    let mut random = StdRng::seed_from_u64(seed.into());
    let dir = tempfile::tempdir().unwrap();
    let original = dir.path().join("original");
    let rows = store(&original);
    let files = files(&original);
    let sample = env_number("HONGYAN_TEST_BYTES").map_or(SAMPLE, |count| count as usize);
    let mut outcomes: BTreeMap<(String, Outcome), usize> = BTreeMap::new();
    let mut served = Vec::new();
    let mut places: BTreeMap<String, Vec<(&PathBuf, usize)>> = BTreeMap::new();
    for (name, bytes) in &files {
        places.entry(kind(name)).or_default().extend((0..bytes.len()).map(|place| (name, place)));
    }
    places.retain(|_, places| !places.is_empty());
    for (kind, places) in places {
        for index in 0..sample.min(places.len()) {
            let is_every = sample >= places.len();
            let (name, place) = places[if is_every { index } else { random.random_range(0..places.len()) }];
            let bit = random.random_range(0..8);
            let altered = dir.path().join("altered");
            copy(&original, &altered, &files);
            let file = fs::OpenOptions::new().write(true).open(altered.join(name)).unwrap();
            file.write_all_at(&[files[name][place] ^ 1 << bit], place as u64).unwrap();
            drop(file);
            let outcome = outcome(&altered, &rows);
            *outcomes.entry((kind.clone(), outcome)).or_default() += 1;
            if outcome == Outcome::Served {
                served.push(format!("byte {place} of {}, bit {bit}", name.display()));
            }
            fs::remove_dir_all(&altered).unwrap();
        }
    }
    for ((kind, outcome), count) in &outcomes {
        println!("{kind}: {count} {outcome:?}");
    }
    println!("{} bytes flipped, of {}", outcomes.values().sum::<usize>(), files.values().map(Vec::len).sum::<usize>());
    assert_eq!(served, Vec::<String>::new(), "other rows, or fewer, were served");
}

/// The engine takes memory for the sections of a table file before it compares their checksum.
#[test]
fn a_table_file_of_four_billion_sections_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    let files = files(dir.path());
    let mut tables = 0;
    for (name, bytes) in files.iter().filter(|(name, _)| name.parent().unwrap().ends_with("tables")) {
        let contents = memchr::memmem::rfind(bytes, b"TOC!").unwrap();
        let file = fs::OpenOptions::new().write(true).open(dir.path().join(name)).unwrap();
        file.write_all_at(&[0xFF; 4], contents as u64 + 4).unwrap();
        let error = FjallEngine::open(dir.path(), FjallOptions::default()).err().unwrap();
        assert!(matches!(&error, StoreError::Corrupt(reason) if reason.contains("contents")), "{error}");
        file.write_all_at(&bytes[contents + 4..contents + 8], contents as u64 + 4).unwrap();
        tables += 1;
    }
    assert!(tables >= TABLES.len());
    open(dir.path());
}

/// Files of one kind have numbers for names.
fn kind(name: &Path) -> String {
    name.to_str().unwrap().chars().map(|c| if c.is_ascii_digit() { 'N' } else { c }).collect()
}

fn env_number(name: &str) -> Option<u32> {
    std::env::var(name).ok().map(|number| number.parse().expect("a number"))
}
