//! A whole store in one file, for backups and moves: [`export`] writes it while the store is in use, [`verify`] checks it, and
//! [`import`] reads it into an empty store. These are `exchange`; the bytes, record by record, are `format`.

mod exchange;
mod format;

pub use exchange::{export, export_to_file, import, verify};
pub use format::{ArchiveError, Summary};
