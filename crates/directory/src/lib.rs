//! Directories that a power cut does not take away: the name of a new one is lost until the directory that it stands in
//! is synced. For the store of the server and for those of its clients.

use std::{
    fs::{DirBuilder, File},
    io,
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
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(path) {
            // Another process may have been quicker.
            Err(error) if !path.is_dir() => return Err(error),
            _ => {}
        }
    }
    match sync(parent) {
        // Whoever may not read it has made nothing in it; and not every file system can sync a directory.
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput) => Ok(()),
        synced => synced,
    }
}

/// When it returns, the names in a directory are on stable storage.
pub fn sync(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// The directory that something stands in.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn what_is_missing_is_made_for_its_owner_alone_and_what_is_there_stays() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/b/c");
        for _ in 0..2 {
            create(&path).unwrap();
            for made in path.ancestors().take(3) {
                assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
            }
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
        fs::write(path.join("file"), "").unwrap();
        create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o750);
        assert!(create(&path.join("file")).is_err() && create(&path.join("file/below")).is_err());
    }
}
