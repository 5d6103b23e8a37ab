//! A crash during the very first start leaves files over which the engine refuses to create its store, or goes on with
//! tables of which it has forgotten some and then takes one for another. Nothing was ever committed then, so all of it is
//! removed; data without a version is left for a person to judge.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::journal;
use crate::store::error::StoreError;

/// Where the engine keeps its version; written last when it creates a store, and synced before the first commit.
const VERSION: &str = "version";
/// What stands there.
const CURRENT: &[u8] = b"FJL\x03";
pub(super) const KEYSPACES: &str = "keyspaces";
/// The keyspace in which the engine keeps the names of the others. It has rows before the first commit.
const NAMES: &str = "0";
/// The directory of a keyspace that its table files are in.
pub(super) const TABLES: &str = "tables";

/// Removes the files of a store in which nothing was ever committed. Nobody else may have the store open.
///
/// # Errors
/// `Corrupt` if there is data but no version, which the engine would bury under a new store.
pub(super) fn clear(path: &Path) -> Result<(), StoreError> {
    let io = |error: io::Error| StoreError::Io(format!("{}: {error}", path.display()));
    let version = read(&path.join(VERSION)).map_err(io)?;
    let is_whole = version.len() >= CURRENT.len() && version.iter().any(|byte| *byte != 0);
    if is_whole && version != CURRENT {
        // The engine says what it thinks of another version.
        return Ok(());
    }
    match (has_rows(path).map_err(io)?, is_whole) {
        (true, true) => Ok(()),
        (true, false) => {
            Err(StoreError::Corrupt(format!("{} has data but its file `{VERSION}` is gone", path.display())))
        }
        (false, _) => remove(path).map_err(io),
    }
}

fn has_rows(path: &Path) -> io::Result<bool> {
    for journal in journal::list(path)? {
        if !journal::is_all_zeros(&mut File::open(journal)?)? {
            return Ok(true);
        }
    }
    for keyspace in entries(&path.join(KEYSPACES))? {
        if keyspace.file_name() != Some(OsStr::new(NAMES)) && !entries(&keyspace.join(TABLES))?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is in a file; nothing, if that is not there. A power cut may leave less than was written.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    fs::read(file).or_else(|error| unless_missing(error).map(|()| Vec::new()))
}

/// What is in a directory; nothing, if that is not there.
pub(super) fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) => unless_missing(error).map(|()| Vec::new()),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    for file in std::iter::once(path.join(VERSION)).chain(journal::list(path)?) {
        fs::remove_file(file).or_else(unless_missing)?;
    }
    fs::remove_dir_all(path.join(KEYSPACES)).or_else(unless_missing)
}

/// Passes on every error but that there is no such file.
fn unless_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
