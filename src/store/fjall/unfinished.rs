//! A crash during the very first start leaves files over which the engine refuses to create its store. Nothing was
//! ever committed then, so they are removed; data without a version is left for a person to judge.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use super::journal;
use crate::store::StoreError;

/// Where the engine keeps its version; written last when it creates a store, and synced before the first commit.
const VERSION: &str = "version";
const KEYSPACES: &str = "keyspaces";

/// Removes the files of a store whose creation was cut short. Nobody else may have the store open.
///
/// # Errors
/// `Corrupt` if there is data but no version, which the engine would bury under a new store.
pub(super) fn clear(path: &Path) -> Result<(), StoreError> {
    let io = |error: io::Error| StoreError::Io(format!("{}: {error}", path.display()));
    if has_content(&path.join(VERSION)).map_err(io)? {
        return Ok(());
    }
    let journals = journal::list(path).map_err(io)?;
    let mut has_data = !is_empty_dir(&path.join(KEYSPACES)).map_err(io)?;
    for journal in &journals {
        has_data |= has_content(journal).map_err(io)?;
    }
    if has_data {
        return Err(StoreError::Corrupt(format!("{} has data but its file `{VERSION}` is gone", path.display())));
    }
    for file in journals.iter().chain([&path.join(VERSION)]) {
        remove_if_there(file).map_err(io)?;
    }
    Ok(())
}

/// Whether the file exists and begins with anything but zeros (a new journal is 64 MiB of them).
fn has_content(file: &Path) -> io::Result<bool> {
    let mut head = [0; 64];
    match File::open(file) {
        Ok(mut file) => file.read(&mut head).map(|read| head[..read].iter().any(|byte| *byte != 0)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_empty_dir(dir: &Path) -> io::Result<bool> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

fn remove_if_there(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
