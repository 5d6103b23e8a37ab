//! The bytes of an archive, record by record, and what can be wrong with them. Where they come from and go to is not known
//! here.
//!
//! # Format, version 1
//!
//! All integers are big-endian.
//!
//! | part | bytes |
//! |---|---|
//! | head | `hongyan archive\n` (16 bytes), version u32 |
//! | row, repeated | length u32 of the body; body: table u8, key length u16, key, value; check u64 |
//! | foot | length u32 = 9; body: 0xFF, number of rows u64; check u64 |
//!
//! A check is the XXH3-64 hash of the length and the body, seeded with the check before it (0 for the first). So a flipped bit, a
//! row that is missing, doubled or out of place, and a file cut short at any byte are all noticed. It is no defence against
//! somebody who forges an archive: keep archives where only the operator can write.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};
use xxhash_rust::xxh3::Xxh3;

use crate::store::{
    error::StoreError,
    table::{MAX_KEY_BYTES, MAX_VALUE_BYTES, Table},
};

const MAGIC: &[u8; 16] = b"hongyan archive\n";
const VERSION: u32 = 1;
const FOOT: u8 = 0xFF;
const ROW_HEAD_BYTES: usize = 3;
const MAX_BODY_BYTES: usize = ROW_HEAD_BYTES + MAX_KEY_BYTES + MAX_VALUE_BYTES;

/// How much an archive holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    pub rows: u64,
    /// Bytes of all keys and values.
    pub bytes: u64,
}

/// Why a store could not be written to an archive or read from one.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Reading from or writing to the store failed. After a failed import the store is not whole and must not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot write the archive: {0}")]
    Write(#[source] io::Error),
    #[error("cannot read the archive: {0}")]
    Read(#[source] io::Error),
    /// Not one of our archives at all.
    #[error("this is not a hongyan archive: it does not begin with `hongyan archive`")]
    NotAnArchive,
    #[error("the archive has format version {0}, this program knows version {known}: use a newer hongyan", known = VERSION)]
    UnknownVersion(u32),
    /// The archive is not what was written. Nothing of it was imported.
    #[error("the archive is damaged at byte {offset}: {reason}; take another copy")]
    Damaged { offset: u64, reason: &'static str },
    /// The store to import into has rows. Nothing was changed.
    #[error("the store is not empty: import into a fresh data directory")]
    NotEmpty,
}

/// The number that stands for a table in an archive; it never changes.
fn tag(table: Table) -> u8 {
    match table {
        Table::Meta => 1,
        Table::Users => 2,
        Table::UserNames => 3,
        Table::Devices => 4,
        Table::Conversations => 5,
        Table::Memberships => 6,
        Table::Pairs => 7,
        Table::Timelines => 8,
        Table::Messages => 9,
        Table::Members => 10,
        Table::Reactions => 11,
        Table::Contacts => 12,
        Table::Expiry => 13,
    }
}

fn check(seed: u64, length: &[u8], body: &[&[u8]]) -> u64 {
    let mut hash = Xxh3::with_seed(seed);
    hash.update(length);
    body.iter().for_each(|part| hash.update(part));
    hash.digest()
}

pub(super) struct RecordWriter<W> {
    writer: W,
    check: u64,
    summary: Summary,
}

impl<W: Write> RecordWriter<W> {
    /// Writes the head.
    pub(super) fn start(mut writer: W) -> io::Result<Self> {
        writer.write_all(MAGIC)?;
        writer.write_all(&VERSION.to_be_bytes())?;
        Ok(RecordWriter { writer, check: 0, summary: Summary::default() })
    }

    pub(super) fn row(&mut self, table: Table, key: &[u8], value: &[u8]) -> io::Result<()> {
        let key_length = u16::try_from(key.len()).expect("engines refuse longer keys").to_be_bytes();
        self.record(&[&[tag(table)], &key_length, key, value])?;
        self.summary.rows += 1;
        self.summary.bytes += (key.len() + value.len()) as u64;
        Ok(())
    }

    /// Writes the foot and flushes.
    pub(super) fn finish(mut self) -> io::Result<Summary> {
        self.record(&[&[FOOT], &self.summary.rows.to_be_bytes()])?;
        self.writer.flush()?;
        Ok(self.summary)
    }

    fn record(&mut self, body: &[&[u8]]) -> io::Result<()> {
        let length: usize = body.iter().map(|part| part.len()).sum();
        let length = u32::try_from(length).expect("engines refuse longer values").to_be_bytes();
        self.check = check(self.check, &length, body);
        self.writer.write_all(&length)?;
        for part in body {
            self.writer.write_all(part)?;
        }
        self.writer.write_all(&self.check.to_be_bytes())
    }
}

/// One record read.
#[derive(Debug)]
pub(super) enum Record {
    Row {
        table: Table,
        key: Bytes,
        value: Bytes,
    },
    /// The last one: the archive is whole.
    Foot(Summary),
}

pub(super) struct RecordReader<R> {
    reader: R,
    /// Where the record being read begins.
    offset: u64,
    check: u64,
    summary: Summary,
}

impl<R: Read> RecordReader<R> {
    /// Reads the head.
    pub(super) fn start(reader: R) -> Result<Self, ArchiveError> {
        let mut records = RecordReader { reader, offset: 0, check: 0, summary: Summary::default() };
        let head = records.take(MAGIC.len() + 4).map_err(|error| match error {
            ArchiveError::Damaged { .. } => ArchiveError::NotAnArchive,
            error => error,
        })?;
        let (magic, mut version) = head.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(ArchiveError::NotAnArchive);
        }
        match version.get_u32() {
            VERSION => {
                records.offset = head.len() as u64;
                Ok(records)
            }
            version => Err(ArchiveError::UnknownVersion(version)),
        }
    }

    /// The next record, checked. Not to be called after the foot.
    pub(super) fn next(&mut self) -> Result<Record, ArchiveError> {
        let length_bytes = self.take(4)?;
        let length = (&length_bytes[..]).get_u32() as usize;
        if !(1..=MAX_BODY_BYTES).contains(&length) {
            return Err(self.damaged("a record has an impossible length"));
        }
        let mut body = Bytes::from(self.take(length)?);
        let expected = (&self.take(8)?[..]).get_u64();
        self.check = check(self.check, &length_bytes, &[&body]);
        if self.check != expected {
            return Err(self.damaged("a record does not match its check"));
        }
        let record = match body.get_u8() {
            FOOT => self.foot(body)?,
            tag => self.row(tag, body)?,
        };
        self.offset += 4 + length as u64 + 8;
        Ok(record)
    }

    fn row(&mut self, table_tag: u8, mut body: Bytes) -> Result<Record, ArchiveError> {
        let table = Table::ALL.into_iter().find(|table| tag(*table) == table_tag);
        let table = table.ok_or_else(|| self.damaged("a row is of an unknown table"))?;
        let key_length = body.try_get_u16().map_err(|_| self.damaged("a row is too short"))? as usize;
        if key_length == 0 || key_length > body.len() || body.len() - key_length > MAX_VALUE_BYTES {
            return Err(self.damaged("a row has a key or a value of an impossible length"));
        }
        let key = body.split_to(key_length);
        self.summary.rows += 1;
        self.summary.bytes += (key.len() + body.len()) as u64;
        Ok(Record::Row { table, key, value: body })
    }

    fn foot(&mut self, mut body: Bytes) -> Result<Record, ArchiveError> {
        if body.try_get_u64() != Ok(self.summary.rows) || body.has_remaining() {
            return Err(self.damaged("the number of rows is wrong"));
        }
        match self.reader.read(&mut [0]) {
            Ok(0) => Ok(Record::Foot(self.summary)),
            Ok(_) => Err(self.damaged("something follows the end")),
            Err(error) => Err(ArchiveError::Read(error)),
        }
    }

    /// Reads so many bytes. Memory grows only with what is really there, whatever a damaged length says.
    fn take(&mut self, length: usize) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = Vec::with_capacity(length.min(64 * 1024));
        match (&mut self.reader).take(length as u64).read_to_end(&mut bytes) {
            Ok(read) if read == length => Ok(bytes),
            Ok(_) => Err(self.damaged("it ends too early")),
            Err(error) => Err(ArchiveError::Read(error)),
        }
    }

    fn damaged(&self, reason: &'static str) -> ArchiveError {
        ArchiveError::Damaged { offset: self.offset, reason }
    }
}
