//! A store to an archive and back: written while the store is in use, verified, and read into an empty store.
//!
//! What the rows mean is not known here; who imports must give the store a new log epoch before it serves, since
//! devices may have seen entries that the archive does not have.

use std::{
    io::{self, BufReader, BufWriter, Read, Seek, Write},
    ops::ControlFlow,
    path::Path,
};

use super::format::{ArchiveError, Record, RecordReader, RecordWriter, Summary};
use crate::store::{
    batch::Batch,
    engine::{Durability, Engine},
    error::StoreError,
};

/// What a row costs in memory beside its key and value, about.
const ROW_OVERHEAD_BYTES: u64 = 128;

/// Rows are committed in batches of about this size, so an import needs little more memory than this.
const BATCH_BYTES: u64 = 4 << 20;

/// Writes every row of `engine`, as of now, to `writer`. The store may be in use. Blocks the thread.
pub fn export(engine: &dyn Engine, writer: impl Write) -> Result<Summary, ArchiveError> {
    let mut records = RecordWriter::start(BufWriter::new(writer)).map_err(ArchiveError::Write)?;
    let mut broken = None;
    engine.dump(&mut |table, key, value| match records.row(table, key, value) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            broken = Some(error);
            ControlFlow::Break(())
        }
    })?;
    match broken {
        Some(error) => Err(ArchiveError::Write(error)),
        None => records.finish().map_err(ArchiveError::Write),
    }
}

/// Like [`export`], to the file `path` (mode 0600), which appears, or replaces another, only when it is whole and synced.
pub fn export_to_file(engine: &dyn Engine, path: &Path) -> Result<Summary, ArchiveError> {
    let parent = hongyan_directory::parent(path);
    let file = tempfile::NamedTempFile::new_in(parent).map_err(ArchiveError::Write)?;
    let summary = export(engine, &file)?;
    file.as_file().sync_all().map_err(ArchiveError::Write)?;
    file.persist(path).map_err(|error| ArchiveError::Write(error.error))?;
    hongyan_directory::sync(parent).map_err(ArchiveError::Write)?;
    Ok(summary)
}

/// Reads a whole archive and checks every byte of it.
pub fn verify(reader: impl Read) -> Result<Summary, ArchiveError> {
    let mut records = RecordReader::start(BufReader::new(reader))?;
    loop {
        if let Record::Foot(summary) = records.next()? {
            return Ok(summary);
        }
    }
}

/// Reads an archive into `engine`, which must be empty. The archive is read twice: once to verify it, so that a damaged
/// one changes nothing, and once to import. When it returns, everything is on stable storage.
///
/// If it is cut short between, the store holds a part of the rows, and nothing in it says so: import into a place that
/// becomes the data directory only afterwards.
pub async fn import<R: Read + Seek>(engine: &dyn Engine, mut reader: R) -> Result<Summary, ArchiveError> {
    if !is_empty(engine)? {
        return Err(ArchiveError::NotEmpty);
    }
    let start = reader.stream_position().map_err(ArchiveError::Read)?;
    verify(&mut reader)?;
    reader.seek(io::SeekFrom::Start(start)).map_err(ArchiveError::Read)?;
    let mut records = RecordReader::start(BufReader::new(reader))?;
    let mut batch = Batch::default();
    let mut batch_bytes = 0;
    loop {
        match records.next()? {
            Record::Row { table, key, value } => {
                batch_bytes += (key.len() + value.len()) as u64 + ROW_OVERHEAD_BYTES;
                batch.put(table, key, value);
                if batch_bytes >= BATCH_BYTES {
                    batch_bytes = 0;
                    engine.commit(std::mem::take(&mut batch), Durability::Buffered).await?;
                }
            }
            Record::Foot(summary) => {
                engine.commit(batch, Durability::Synced).await?;
                return Ok(summary);
            }
        }
    }
}

fn is_empty(engine: &dyn Engine) -> Result<bool, StoreError> {
    let mut empty = true;
    engine.dump(&mut |_, _, _| {
        empty = false;
        ControlFlow::Break(())
    })?;
    Ok(empty)
}
