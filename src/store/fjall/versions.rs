//! Checks which table files each keyspace says that it has, before the engine believes it.
//!
//! The engine keeps that list in a file `vN` and writes its checksum beside the number N into `current`, but does not
//! compare them when it opens a keyspace: with a flipped bit in the list it would serve a store without some of its rows.
//!
//! | `current`, integers little-endian | bytes |
//! |---|---|
//! | number of the list | u64 |
//! | XXH3-128 of the file | u128 |
//! | kind of the checksum | 0 |

use std::{fs, io, path::Path};

use xxhash_rust::xxh3::xxh3_128;

use super::unfinished::{KEYSPACES, entries};
use crate::store::error::StoreError;

/// Compares the list of every keyspace in `path` with its checksum. Nobody else may have the store open.
///
/// # Errors
/// `Corrupt` if one is not what was written.
pub(super) fn check(path: &Path) -> Result<(), StoreError> {
    let io = |error: io::Error| StoreError::Io(format!("{}: {error}", path.display()));
    for keyspace in entries(&path.join(KEYSPACES)).map_err(io)? {
        if !is_whole(&keyspace).map_err(io)? {
            let name = keyspace.display();
            return Err(StoreError::Corrupt(format!("the list of tables in {name} is not what was written")));
        }
    }
    Ok(())
}

/// A keyspace without `current` was being made when the last run ended; that is the engine's to clear up.
fn is_whole(keyspace: &Path) -> io::Result<bool> {
    let current = match fs::read(keyspace.join("current")) {
        Ok(current) => current,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    let Some((number, rest)) = current.split_first_chunk::<8>() else { return Ok(false) };
    let Some((checksum, [0])) = rest.split_first_chunk::<16>() else { return Ok(false) };
    match fs::read(keyspace.join(format!("v{}", u64::from_le_bytes(*number)))) {
        Ok(list) => Ok(xxh3_128(&list) == u128::from_le_bytes(*checksum)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
