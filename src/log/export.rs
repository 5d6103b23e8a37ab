//! The whole log as one file.

use std::path::Path;

use super::rows::Log;
use crate::store::archive::{self, ArchiveError, Summary};

impl Log {
    /// Writes everything to the file `path`, which appears, or replaces another, only when it is whole. It takes long.
    pub fn export_to_file(&self, path: &Path) -> Result<Summary, ArchiveError> {
        archive::export_to_file(self.engine(), path)
    }
}
