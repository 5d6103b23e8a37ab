//! Directories that a power cut does not take away: the name of a new one is lost until the directory that it stands in
//! is synced.

use std::{
    fs::{DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

/// Creates a directory and those that are missing above it (mode 0700). When it returns, their names are on stable storage.
///
/// None is made before the name of the one above it is synced. So after a crash between the two only the lowest that is
/// there may not be, and that is synced here whether it is new or not.
pub fn create(path: &Path) -> io::Result<()> {
    let parent = parent(path);
    if !path.is_dir() {
        create(parent)?;
        match DirBuilder::new().mode(0o700).create(path) {
            // Another process may have been quicker.
            Err(error) if !path.is_dir() => return Err(error),
            _ => {}
        }
    }
    match sync(parent) {
        // Whoever may not read it has made nothing in it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

/// When it returns, the names in a directory are on stable storage.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The directory that something stands in.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}
