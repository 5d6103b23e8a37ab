//! Reads the journals before the engine does, and tells a batch that a crash cut short from one that was damaged later.
//!
//! The engine cannot tell them apart: at a broken mark or length it silently drops the rest of that journal, with
//! everything acknowledged in it, and at a page that a power cut left unwritten it refuses to open at all. Here:
//!
//! - The last journal ends in a batch that is not whole, because the file ends, or a sector of it was never written
//!   (new journals are zeros): that batch was under way and nobody was told it is durable. It is cut off.
//! - Anything else that is not a whole batch, or stands out of order, is damage. The store is not opened, and not touched.
//!
//! Doubts remain: damage in the very last batch that looks as if it had not been written to its end, and a changed
//! sequence number of the very first, which nothing before it contradicts.
//!
//! A journal of the engine's format 3, integers little-endian, then zeros up to the end of the file:
//!
//! | part of a batch | bytes |
//! |---|---|
//! | start | 1, number of rows u32, sequence number u64 (rises from batch to batch) |
//! | row | 2, kind u8, compression u8, keyspace u64, key length u16, value length u32, stored length u32, key, stored value |
//! | end | 3, XXH3-64 of the rows u64, `FJL` 3 |

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::Xxh3;

use crate::store::error::StoreError;

#[cfg(test)]
mod tests;

const START: u8 = 1;
const ROW: u8 = 2;
const END: u8 = 3;
const TRAILER: &[u8] = b"FJL\x03";
/// Of the start, and of the end.
const MARK_BYTES: usize = 13;
/// Of a row, before its key.
const ROW_HEAD_BYTES: usize = 21;
/// The least that a disk writes at once.
const SECTOR_BYTES: u64 = 512;
const BUFFER_BYTES: usize = 128 * 1024;
static ZEROS: [u8; BUFFER_BYTES] = [0; BUFFER_BYTES];
/// The key of all rows that only fill a journal, for a purge; they mean nothing.
pub(super) const FILLING: &[u8] = b"filler";

/// What a batch of so many rows takes there, whose keys and values have `row_bytes`; less if large values compress.
pub(super) fn size_bytes(rows: usize, row_bytes: u64) -> u64 {
    (MARK_BYTES + rows * ROW_HEAD_BYTES + MARK_BYTES) as u64 + row_bytes
}

/// The journals in `path`, oldest first. The last is the one that the engine goes on writing.
pub(super) fn list(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut journals = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        let number = file.file_name().and_then(|name| name.to_str()?.strip_suffix(".jnl")?.parse::<u64>().ok());
        journals.extend(number.map(|number| (number, file)));
    }
    journals.sort();
    Ok(journals.into_iter().map(|(_, file)| file).collect())
}

/// Checks every batch in the journals in `path`, and cuts off one that was under way when the last run ended. If
/// `is_tail_lost`, a run that did not sync every batch was ended by a power cut, which may have left any of the last ones
/// unwritten: the last journal is cut off at the first that is not whole.
/// Nobody else may have the store open.
///
/// # Errors
/// `Corrupt` if a batch is damaged; nothing was changed then.
pub(super) fn check(path: &Path, is_tail_lost: bool) -> Result<(), StoreError> {
    let io = |error: io::Error| StoreError::Io(format!("{}: {error}", path.display()));
    let mut last_seqno = None;
    let mut journals = list(path).map_err(io)?.into_iter().peekable();
    while let Some(journal) = journals.next() {
        let is_last = journals.peek().is_none();
        let damaged = |at| {
            let name = journal.display();
            StoreError::Corrupt(format!("the batch at byte {at} of the journal {name} is not what was written"))
        };
        let mut file = File::open(&journal).map_err(io)?;
        match walk(&mut file, &mut last_seqno).map_err(io)? {
            Tail::Clean => {}
            Tail::OutOfOrder(at) => return Err(damaged(at)),
            Tail::Broken(at) => {
                if !is_last || !(is_tail_lost || is_unfinished(&mut file, at).map_err(io)?) {
                    return Err(damaged(at));
                }
                tracing::warn!(journal = %journal.display(), at, "dropped a batch that was under way when the store was last used");
                cut(&journal, at).map_err(io)?;
            }
        }
    }
    Ok(())
}

/// What stands where a journal's whole batches end.
enum Tail {
    /// The end of the file, or zeros up to it.
    Clean,
    /// Something that is not a whole batch, from this byte on.
    Broken(u64),
    /// A whole batch from this byte on, with a sequence number that was passed before.
    OutOfOrder(u64),
}

fn walk(file: &mut File, last_seqno: &mut Option<u64>) -> io::Result<Tail> {
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, &mut *file);
    let mut at = 0;
    while let Some(batch) = read_batch(&mut reader)? {
        if last_seqno.is_some_and(|last| batch.seqno <= last) {
            return Ok(Tail::OutOfOrder(at));
        }
        if !batch.is_filling {
            *last_seqno = Some(batch.seqno);
        }
        at += batch.size_bytes;
    }
    drop(reader);
    file.seek(SeekFrom::Start(at))?;
    Ok(if is_all_zeros(file)? { Tail::Clean } else { Tail::Broken(at) })
}

/// Whether what follows byte `at` is a batch that was being written when the process or the machine stopped.
fn is_unfinished(file: &mut File, at: u64) -> io::Result<bool> {
    file.seek(SeekFrom::Start(at))?;
    let mut rest = Vec::new();
    file.read_to_end(&mut rest)?;
    let written = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let rest = &rest[..written];
    // The next batch is written after the sync of the one before, so whatever a whole batch follows was synced.
    let is_followed = (1..rest.len()).any(|from| matches!(read_batch(&mut &rest[from..]), Ok(Some(_))));
    // With its last bytes put right it is whole: so it was written to its end, and these were damaged later.
    let before_trailer = &rest[..rest.len().saturating_sub(TRAILER.len())];
    let was_whole = read_batch(&mut before_trailer.chain(TRAILER))?.is_some();
    // The sector in which it begins has the end of what stands before it, whether it was written again or not.
    let (first, others) = rest.split_at(rest.len().min((at.next_multiple_of(SECTOR_BYTES) - at) as usize));
    let mut sectors = others.chunks_exact(SECTOR_BYTES as usize).chain((!first.is_empty()).then_some(first));
    let has_unwritten_sector = sectors.any(|sector| sector.iter().all(|byte| *byte == 0));
    Ok(!is_followed && !was_whole && (has_unwritten_sector || !rest.ends_with(TRAILER)))
}

fn cut(journal: &Path, at: u64) -> io::Result<()> {
    let file = File::options().write(true).open(journal)?;
    file.set_len(at)?;
    file.sync_all()
}

pub(super) fn is_all_zeros(file: &mut File) -> io::Result<bool> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(true),
            read if buffer[..read] != ZEROS[..read] => return Ok(false),
            _ => {}
        }
    }
}

struct BatchSeen {
    seqno: u64,
    /// It is of a keyspace that is gone, or soon is. The engine forgets the numbers of those and gives them again.
    is_filling: bool,
    size_bytes: u64,
}

/// Reads one batch; none if what is there is not a whole and valid one.
fn read_batch(reader: &mut impl Read) -> io::Result<Option<BatchSeen>> {
    let mut rows = Rows { reader, hash: Xxh3::new(), size_bytes: 0, is_filling: true };
    match rows.batch() {
        Ok(seqno) => {
            Ok(seqno.map(|seqno| BatchSeen { seqno, is_filling: rows.is_filling, size_bytes: rows.size_bytes }))
        }
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// The reading of one batch. Keys and values go through a small buffer, so a damaged length allocates nothing.
struct Rows<'a, R> {
    reader: &'a mut R,
    hash: Xxh3,
    size_bytes: u64,
    is_filling: bool,
}

impl<R: Read> Rows<'_, R> {
    fn batch(&mut self) -> io::Result<Option<u64>> {
        let start: [u8; MARK_BYTES] = self.take()?;
        if start[0] != START {
            return Ok(None);
        }
        let (rows, seqno) = (number(&start[1..5]), number(&start[5..]));
        for _ in 0..rows {
            if !self.row()? {
                return Ok(None);
            }
        }
        let end: [u8; MARK_BYTES] = self.take()?;
        let is_whole = end[0] == END && number(&end[1..9]) == self.hash.digest() && &end[9..] == TRAILER;
        Ok(is_whole.then_some(seqno))
    }

    fn row(&mut self) -> io::Result<bool> {
        let head: [u8; ROW_HEAD_BYTES] = self.take()?;
        if head[0] != ROW {
            return Ok(false);
        }
        self.hash.update(&head);
        let key_bytes = number(&head[11..13]);
        let mut left = key_bytes + number(&head[17..21]);
        let mut buffer = [0; 4096];
        let mut is_start = true;
        while left > 0 {
            let part = &mut buffer[..left.min(4096) as usize];
            self.reader.read_exact(part)?;
            if std::mem::take(&mut is_start) {
                self.is_filling &= key_bytes == FILLING.len() as u64 && part.starts_with(FILLING);
            }
            self.hash.update(part);
            self.size_bytes += part.len() as u64;
            left -= part.len() as u64;
        }
        Ok(true)
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        self.size_bytes += N as u64;
        Ok(bytes)
    }
}

fn number(little_endian: &[u8]) -> u64 {
    little_endian.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
