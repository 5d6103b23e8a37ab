//! Export, verify, import, and archives that are not what they were.

use std::{fs, io::Cursor, os::unix::fs::PermissionsExt};

use super::*;
use crate::store::{
    archive::{ArchiveError, Summary, export, export_to_file, import, verify},
    memory::MemoryEngine,
};

fn filled(rows: usize) -> MemoryEngine {
    let engine = MemoryEngine::new();
    let mut batch = Batch::default();
    for number in 0..rows {
        let table = Table::ALL[number % Table::ALL.len()];
        batch.put(table, (number as u64).to_be_bytes().to_vec(), "v".repeat(number % 40));
    }
    wait(engine.commit(batch, Durability::Synced)).unwrap();
    engine
}

fn archive_of(engine: &dyn Engine) -> Vec<u8> {
    let mut archive = Vec::new();
    export(engine, &mut archive).unwrap();
    archive
}

#[test]
fn round_trip_through_both_engines() {
    let source = filled(1000);
    let mut archive = Vec::new();
    let summary = export(&source, &mut archive).unwrap();
    assert_eq!(summary.rows, 1000);
    assert_eq!(verify(&archive[..]).unwrap(), summary);

    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    assert_eq!(wait(import(&engine, Cursor::new(&archive))).unwrap(), summary);
    assert_eq!(dump(&engine), dump(&source));
    assert_eq!(archive_of(&engine), archive, "the same rows make the same archive");
}

#[test]
fn an_empty_store_is_a_valid_archive() {
    let archive = archive_of(&MemoryEngine::new());
    let target = MemoryEngine::new();
    assert_eq!(wait(import(&target, Cursor::new(&archive))).unwrap(), Summary::default());
}

#[test]
fn more_than_one_batch_and_large_values() {
    let source = large();
    let target = MemoryEngine::new();
    wait(import(&target, Cursor::new(archive_of(&source)))).unwrap();
    assert_eq!(dump(&target), dump(&source));
}

#[test]
fn nothing_of_a_large_archive_is_imported_when_its_end_is_missing() {
    let archive = archive_of(&large());
    assert_refused(&archive[..archive.len() - 1], "cut at the end");
}

/// More rows than an import holds in memory.
fn large() -> MemoryEngine {
    let source = MemoryEngine::new();
    for number in 0..12_u8 {
        let mut batch = Batch::default();
        batch.put(Table::Messages, vec![number], vec![number; 1 << 20]);
        wait(source.commit(batch, Durability::Buffered)).unwrap();
    }
    source
}

#[test]
fn a_store_with_rows_is_not_imported_into() {
    let target = filled(1);
    let result = wait(import(&target, Cursor::new(archive_of(&filled(5)))));
    assert!(matches!(result, Err(ArchiveError::NotEmpty)));
    assert_eq!(dump(&target).len(), 1);
}

fn assert_refused(archive: &[u8], what: &str) {
    let target = MemoryEngine::new();
    let result = wait(import(&target, Cursor::new(archive)));
    assert!(
        matches!(
            result,
            Err(ArchiveError::Damaged { .. } | ArchiveError::NotAnArchive | ArchiveError::UnknownVersion(_))
        ),
        "{what}: {result:?}"
    );
    assert!(dump(&target).is_empty(), "{what}: rows of a bad archive were imported");
}

#[test]
fn an_archive_cut_at_any_byte_is_refused() {
    let archive = archive_of(&filled(20));
    for length in 0..archive.len() {
        assert_refused(&archive[..length], &format!("cut at {length}"));
    }
}

#[test]
fn an_archive_with_any_bit_flipped_is_refused() {
    let mut archive = archive_of(&filled(20));
    for bit in 0..archive.len() * 8 {
        archive[bit / 8] ^= 1 << (bit % 8);
        assert_refused(&archive, &format!("bit {bit}"));
        archive[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn rows_swapped_doubled_or_missing_are_noticed() {
    // 20 bytes of head, then rows of 4 + (3 + 1 + 1) + 8 bytes each.
    let source = MemoryEngine::new();
    for key in ["a", "b", "c"] {
        commit(&source, &[(Table::Users, key, Some("v"))]).unwrap();
    }
    let archive = archive_of(&source);
    let (head, rest) = archive.split_at(20);
    let (rows, foot) = rest.split_at(3 * 17);
    let row = |number: usize| &rows[number * 17..(number + 1) * 17];
    for order in [&[1, 0, 2][..], &[0, 0, 1, 2], &[0, 2], &[0, 1], &[0, 1, 1]] {
        let rows: Vec<u8> = order.iter().flat_map(|number| row(*number)).copied().collect();
        assert_refused(&[head, &rows, foot].concat(), &format!("{order:?}"));
    }
    assert_refused(&[&archive[..], b"more"].concat(), "something after the end");
    assert_refused(b"PK\x03\x04 something else entirely", "another file");
}

#[test]
fn a_damaged_length_allocates_nothing_large() {
    let mut archive = archive_of(&MemoryEngine::new());
    archive.truncate(20);
    archive.extend_from_slice(&[0xFF; 8]);
    let error = verify(&archive[..]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the archive is damaged at byte 20: a record has an impossible length; take another copy"
    );
}

#[test]
fn the_file_is_private_and_appears_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("backup.hya");
    fs::write(&path, "an older one").unwrap();
    let summary = export_to_file(&filled(100), &path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(verify(fs::File::open(&path).unwrap()).unwrap(), summary);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");

    let missing = dir.path().join("no such directory/backup.hya");
    assert!(matches!(export_to_file(&filled(1), &missing), Err(ArchiveError::Write(_))));
}

#[test]
fn a_writer_that_fails_is_an_error() {
    let mut small = [0; 1000];
    let result = export(&filled(1000), &mut small[..]);
    assert!(matches!(result, Err(ArchiveError::Write(_))), "{result:?}");
}
