//! A whole store in one file. [`exchange`] writes, verifies and reads it; [`format`] is its records.

mod exchange;
mod format;

pub use exchange::{ArchiveError, Summary, export, export_to_file, import, verify};
