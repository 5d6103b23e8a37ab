//! Whether a power cut may have taken the end of the log: a file in the data directory names the boot of the operating
//! system in which commits are made that are not synced one by one. It is removed when all of them are synced. Where it
//! names another boot than the running one, that one ended too early.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use crate::base::environment;

/// The file, in the data directory.
pub const FILE: &str = "unsynced-boot";

/// The name of the running boot. Where the system does not tell it, a random one: then every stop that is not clean
/// counts as a power cut.
pub fn current() -> String {
    match fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(id) if !id.trim().is_empty() => id.trim().to_owned(),
        _ => format!("{:032x}", u128::from_be_bytes(environment::random())),
    }
}

/// Whether an earlier boot than `boot` ended with commits that were not synced.
pub fn is_tail_lost(data: &Path, boot: &str) -> io::Result<bool> {
    match fs::read_to_string(data.join(FILE)) {
        Ok(marked) => Ok(marked != boot),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// From now on, commits of `boot` are not synced one by one.
pub fn mark(data: &Path, boot: &str) -> io::Result<()> {
    // A name that is not wholly written is that of no boot, which is what a power cut then means.
    fs::write(data.join(FILE), boot)?;
    File::open(data.join(FILE))?.sync_all()?;
    hongyan_directory::sync(data)
}

/// Everything committed is synced, or is known to be lost.
pub fn clear(data: &Path) -> io::Result<()> {
    match fs::remove_file(data.join(FILE)) {
        Ok(()) => hongyan_directory::sync(data),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_marked_boot_that_is_over_has_lost_something() {
        let data = tempfile::tempdir().unwrap();
        let is_lost = |boot| is_tail_lost(data.path(), boot).unwrap();
        clear(data.path()).unwrap();
        assert!(!is_lost("first"));
        mark(data.path(), "first").unwrap();
        assert!(!is_lost("first"), "only the process has ended");
        assert!(is_lost("second"));
        mark(data.path(), "second").unwrap();
        assert!(!is_lost("second"));
        clear(data.path()).unwrap();
        assert!(!is_lost("third"));
    }

    #[test]
    fn a_boot_keeps_its_name() {
        assert_eq!(current(), current());
    }
}
