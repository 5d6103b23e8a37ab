//! The store in an SQLite file, for devices that outlive their process.
//!
//! ```text
//!   NAME        the database, in WAL mode with synchronous=FULL
//!   NAME-mark   locked while the store is open; two words of 8 bytes: the number of the newest shown event, and its
//!               complement. Written in place without a sync, as it is written before every event.
//! ```

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use prost::Message;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use super::{
    local::{Capacity, Change, KEPT_ANSWERS, Loaded, LocalStore, ShownMark, StoreError, Unread, page_of},
    record::{Answer, OutboxItem, StoredEvent},
};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS meta (id INTEGER PRIMARY KEY CHECK (id = 0), body BLOB NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS outbox (send_no INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS answers (send_no INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS conversations (peer TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT, WITHOUT ROWID;
";
/// What may wait for a slow application: acked, so that the server need not keep it for this device.
const CAPACITY: Capacity = Capacity { events: 10_000, bytes: 16 << 20 };
/// Written into `user_version`; a store of a later version is not touched.
const VERSION: i64 = 1;

/// A device store in a file. One client at a time: a second one gets [`StoreError::InUse`].
pub struct SqliteStore {
    database: Connection,
    mark: Arc<FileMark>,
    _lock: File,
}

impl SqliteStore {
    /// Opens the store at `path`, or makes it: its files with mode 0600, missing parent directories with 0700.
    ///
    /// # Errors
    /// InUse if another client has it open; Open or Sqlite if the file cannot be used.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let shown = path.display().to_string();
        let refused = |source| StoreError::Open { path: shown.clone(), source };
        hongyan_directory::create(hongyan_directory::parent(path)).map_err(refused)?;
        let mut mark_path = path.as_os_str().to_owned();
        mark_path.push("-mark");
        let mark_path = PathBuf::from(mark_path);
        let lock = open_private(&mark_path).map_err(refused)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { path: shown }),
            Err(TryLockError::Error(source)) => return Err(refused(source)),
        }
        // SQLite gives its own files the mode of the database, so that is made first.
        drop(open_private(path).map_err(refused)?);
        let database = open_database(path)?;
        // A handle of its own: the application's may outlive the store, and must not keep it locked.
        let file = open_private(&mark_path).map_err(refused)?;
        let newest = newest_event(&database)?;
        let mark = Arc::new(FileMark { number: AtomicU64::new(read_mark(&file, newest)), file });
        Ok(Self { database, mark, _lock: lock })
    }
}

fn open_database(path: &Path) -> Result<Connection, StoreError> {
    let database = Connection::open(path)?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    let version: i64 = database.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > VERSION {
        return Err(StoreError::Damaged { what: "it was written by a later version of this program" });
    }
    database.execute_batch(SCHEMA)?;
    database.pragma_update(None, "user_version", VERSION)?;
    Ok(database)
}

/// The newest number ever given out; SQLite's AUTOINCREMENT remembers it beyond the deletion of its row.
fn newest_event(database: &Connection) -> Result<u64, StoreError> {
    let newest: Option<i64> =
        database.query_row("SELECT seq FROM sqlite_sequence WHERE name = 'events'", [], |row| row.get(0)).optional()?;
    Ok(newest.unwrap_or(0) as u64)
}

fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn decode<T: Message + Default>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let body: Vec<u8> = row.get(column)?;
    T::decode(&*body).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, Box::new(error))
    })
}

fn rows<K: rusqlite::types::FromSql, T: Message + Default>(
    database: &Connection,
    query: &str,
) -> rusqlite::Result<Vec<(K, T)>> {
    let mut statement = database.prepare(query)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, decode(row, 1)?)))?;
    rows.collect()
}

impl LocalStore for SqliteStore {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        self.database.execute("DELETE FROM events WHERE number <= ?1", [self.mark.read() as i64])?;
        let database = &self.database;
        let meta = database.query_row("SELECT body FROM meta", [], |row| decode(row, 0)).optional()?;
        let outbox = rows::<i64, OutboxItem>(database, "SELECT send_no, body FROM outbox ORDER BY send_no")?;
        let mut unread = Unread::default();
        let mut events = database.prepare("SELECT body FROM events")?;
        for event in events.query_map([], |row| decode(row, 0))? {
            unread.add(&event?);
        }
        Ok(Loaded {
            meta,
            outbox: outbox.into_iter().map(|(_, item)| item).collect(),
            unread,
            last_event: newest_event(database)?,
            conversations: rows(database, "SELECT peer, body FROM conversations")?,
        })
    }

    fn events(&mut self, after: u64, page: Capacity) -> Result<Vec<(u64, StoredEvent)>, StoreError> {
        let query = "SELECT number, body FROM events WHERE number > ?1 ORDER BY number";
        let mut statement = self.database.prepare_cached(query)?;
        let rows = statement.query_map([after as i64], |row| Ok((row.get::<_, i64>(0)?, decode(row, 1)?)))?;
        page_of(rows.map(|row| row.map(|(number, event)| (number as u64, event)).map_err(StoreError::from)), page)
    }

    fn capacity(&self) -> Capacity {
        CAPACITY
    }

    fn commit(&mut self, change: &Change) -> Result<(), StoreError> {
        let transaction = self.database.transaction()?;
        write(&transaction, change)?;
        Ok(transaction.commit()?)
    }

    fn answer(&mut self, send_no: u64) -> Result<Option<Answer>, StoreError> {
        let query = "SELECT body FROM answers WHERE send_no = ?1";
        Ok(self.database.query_row(query, [send_no as i64], |row| decode(row, 0)).optional()?)
    }

    fn mark(&self) -> Arc<dyn ShownMark> {
        self.mark.clone()
    }
}

fn write(transaction: &Transaction<'_>, change: &Change) -> rusqlite::Result<()> {
    if let Some(meta) = &change.meta {
        let sql = "INSERT INTO meta VALUES (0, ?1) ON CONFLICT (id) DO UPDATE SET body = ?1";
        transaction.prepare_cached(sql)?.execute([meta.encode_to_vec()])?;
    }
    for item in &change.queued {
        let sql = "INSERT INTO outbox VALUES (?1, ?2)";
        transaction.prepare_cached(sql)?.execute(params![item.send_no as i64, item.encode_to_vec()])?;
    }
    for (send_no, answer) in &change.answers {
        transaction.prepare_cached("DELETE FROM outbox WHERE send_no = ?1")?.execute([*send_no as i64])?;
        let sql = "INSERT OR REPLACE INTO answers VALUES (?1, ?2)";
        transaction.prepare_cached(sql)?.execute(params![*send_no as i64, answer.encode_to_vec()])?;
    }
    if !change.answers.is_empty() {
        let sql = "DELETE FROM answers WHERE send_no <= (SELECT max(send_no) FROM answers) - ?1";
        transaction.prepare_cached(sql)?.execute([KEPT_ANSWERS as i64])?;
    }
    for (number, event) in &change.events {
        let sql = "INSERT INTO events VALUES (?1, ?2)";
        transaction.prepare_cached(sql)?.execute(params![*number as i64, event.encode_to_vec()])?;
    }
    if change.shown > 0 {
        transaction.prepare_cached("DELETE FROM events WHERE number <= ?1")?.execute([change.shown as i64])?;
    }
    for (peer, mark) in &change.conversations {
        let sql = "INSERT INTO conversations VALUES (?1, ?2) ON CONFLICT (peer) DO UPDATE SET body = ?2";
        transaction.prepare_cached(sql)?.execute(params![peer, mark.encode_to_vec()])?;
    }
    Ok(())
}

struct FileMark {
    number: AtomicU64,
    file: File,
}

impl ShownMark for FileMark {
    fn set(&self, number: u64) {
        if self.number.fetch_max(number, Ordering::AcqRel) < number
            && let Err(error) = write_mark(&self.file, number)
        {
            // Costs a repeated event after a restart, nothing else.
            tracing::warn!(%error, "the mark of shown events cannot be written");
        }
    }

    fn read(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }
}

fn write_mark(file: &File, number: u64) -> io::Result<()> {
    let mut words = [0; 16];
    words[..8].copy_from_slice(&number.to_be_bytes());
    words[8..].copy_from_slice(&(!number).to_be_bytes());
    write_at_start(file, &words)
}

/// The mark; 0 if it is torn, or names an event that the database never held.
fn read_mark(file: &File, newest: u64) -> u64 {
    let mut words = [0; 16];
    if read_at_start(file, &mut words).is_err() {
        return 0;
    }
    let word = |at: usize| words[at..at + 8].iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    let (number, complement) = (word(0), word(8));
    if complement == !number && number <= newest { number } else { 0 }
}

#[cfg(unix)]
use std::os::unix::fs::FileExt;

#[cfg(unix)]
fn write_at_start(file: &File, bytes: &[u8]) -> io::Result<()> {
    file.write_all_at(bytes, 0)
}

#[cfg(unix)]
fn read_at_start(file: &File, bytes: &mut [u8]) -> io::Result<()> {
    file.read_exact_at(bytes, 0)
}

#[cfg(not(unix))]
fn write_at_start(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    use io::{Seek as _, Write as _};
    file.seek(io::SeekFrom::Start(0)).and_then(|_| file.write_all(bytes))
}

#[cfg(not(unix))]
fn read_at_start(mut file: &File, bytes: &mut [u8]) -> io::Result<()> {
    use io::{Read as _, Seek as _};
    file.seek(io::SeekFrom::Start(0)).and_then(|_| file.read_exact(bytes))
}
