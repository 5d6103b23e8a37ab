//! Checks how many sections each table file says that it has, before the engine takes memory for so many: it compares their
//! checksum only after that, and a flipped bit would have it ask for more memory than there is, which ends the process.
//!
//! Everything else in these files the engine checks itself. One that is not whole may be what a crash left of a table that
//! was being written, which the engine removes: so nothing else is judged here.
//!
//! | at the end of a table file, integers little-endian | bytes |
//! |---|---|
//! | contents | `TOC!`, number of sections u32, for each section its place u64, length u64, length of its name u16, name |
//! | trailer | `SFA!`, version and kind of checksum, XXH3-128 of the contents u128, their place u64, their length u64 |

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
};

use super::unfinished::{KEYSPACES, TABLES, entries};
use crate::store::error::StoreError;

const CONTENTS: &[u8] = b"TOC!";
const TRAILER: &[u8] = b"SFA!";
const TRAILER_BYTES: u64 = 38;
/// Where the trailer says where the contents are.
const PLACE: usize = 22;
/// The least that a section takes in the contents.
const MIN_SECTION_BYTES: u64 = 18;

/// Looks at every table file in `path`. Nobody else may have the store open.
///
/// # Errors
/// `Corrupt` if one says that it has more sections than there is room for.
pub(super) fn check(path: &Path) -> Result<(), StoreError> {
    let io = |error: io::Error| StoreError::Io(format!("{}: {error}", path.display()));
    for keyspace in entries(&path.join(KEYSPACES)).map_err(io)? {
        for table in entries(&keyspace.join(TABLES)).map_err(io)? {
            if !has_room(&table).map_err(io)? {
                let name = table.display();
                return Err(StoreError::Corrupt(format!(
                    "the contents of the table file {name} are not what was written"
                )));
            }
        }
    }
    Ok(())
}

/// Whether as many sections as a file says fit between its contents and its end.
fn has_room(table: &Path) -> io::Result<bool> {
    let len = fs::metadata(table)?.len();
    let Some(trailer_at) = len.checked_sub(TRAILER_BYTES) else { return Ok(true) };
    let file = File::open(table)?;
    let mut trailer = [0; TRAILER_BYTES as usize];
    file.read_exact_at(&mut trailer, trailer_at)?;
    let (_, place) = trailer.split_at(PLACE);
    let place = place.first_chunk().map_or(0, |place| u64::from_le_bytes(*place));
    if !trailer.starts_with(TRAILER) || place >= trailer_at {
        return Ok(true);
    }
    let mut head = [0; 8];
    file.read_exact_at(&mut head, place)?;
    let Some(sections) = head.strip_prefix(CONTENTS).and_then(|count| count.first_chunk()) else { return Ok(true) };
    Ok(u64::from(u32::from_le_bytes(*sections)) * MIN_SECTION_BYTES <= trailer_at - place)
}
