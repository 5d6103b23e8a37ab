//! Zeros on the disk ahead of the journal's end. The engine gives a new journal its length, but no blocks: each sync then has
//! the file system find blocks and write down where they are, beside the data. Where commits are small that is most of a sync.
//! In blocks that are there already a sync writes the data alone.
//!
//! Only holes are ever filled, and with what is read from them, for file systems have been known to take for a hole what was
//! just written. So nothing can be lost by it, and a journal that is zeros behind its end stays what it was to whoever
//! reads it. A journal that was found by a restart is written by appending, and has no holes.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::PathBuf,
};

use rustix::fs::{SeekFrom, seek};

use super::journal;

/// Filled at once: not so much that the sync after it is long, nor so little that it happens often.
const STRETCH: u64 = 1 << 20;
/// The blocks of a larger commit cost little beside its data.
const MAX_COMMIT: u64 = 16 * 1024;

pub(super) struct Runway {
    directory: PathBuf,
    /// How many journals there were when it was last looked which one is written.
    journals: usize,
    /// The one that is written; none: it cannot be helped.
    journal: Option<File>,
    /// Bytes of it that are surely filled ahead.
    ahead: u64,
}

impl Runway {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, journals: 0, journal: None, ahead: 0 }
    }

    /// A commit is about to write `bytes` at most. Nobody else may be writing to the journal, of which there are `journals`.
    /// What fails here is left to the commit, which says so if it matters.
    pub(super) fn prepare(&mut self, bytes: u64, journals: usize) {
        if self.journals != journals {
            self.journals = journals;
            self.ahead = 0;
            let newest = journal::list(&self.directory).ok().and_then(|mut journals| journals.pop());
            self.journal = newest.and_then(|journal| OpenOptions::new().read(true).write(true).open(journal).ok());
        }
        if self.ahead < bytes && bytes <= MAX_COMMIT {
            match self.journal.as_ref().map(fill) {
                Some(Ok(filled @ 1..)) => self.ahead += filled,
                _ => self.journal = None,
            }
        }
        self.ahead = self.ahead.saturating_sub(bytes);
    }
}

/// Fills the first stretch of a journal that has no blocks. Says how many bytes that were.
fn fill(journal: &File) -> io::Result<u64> {
    let len = journal.metadata()?.len();
    let at = seek(journal, SeekFrom::Hole(0))?;
    let filled = STRETCH.min(len.saturating_sub(at));
    write_again(journal, at, filled)?;
    Ok(filled)
}

/// What reads as zeros has blocks of its own from now on; what is something else stays it.
fn write_again(journal: &File, at: u64, len: u64) -> io::Result<()> {
    let mut bytes = vec![0; len as usize];
    journal.read_exact_at(&mut bytes, at)?;
    journal.write_all_at(&bytes, at)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, os::unix::fs::MetadataExt as _};

    use super::*;

    #[test]
    fn what_was_taken_for_a_hole_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("7.jnl");
        fs::write(&path, [9; 5000]).unwrap();
        let journal = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        journal.set_len(20_000).unwrap();
        write_again(&journal, 100, 19_000).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert!(bytes[..5000].iter().all(|byte| *byte == 9) && bytes[5000..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn only_holes_are_filled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("7.jnl");
        let mut written = File::create(&path).unwrap();
        written.set_len(3 * STRETCH).unwrap();
        written.write_all(&[9; 5000]).unwrap();
        let mut runway = Runway::new(folder.path().to_owned());
        runway.prepare(MAX_COMMIT + 1, 1);
        assert!(fs::metadata(&path).unwrap().blocks() * 512 < STRETCH, "a large commit does without");
        runway.prepare(100, 1);
        let filled = fs::metadata(&path).unwrap().blocks() * 512;
        let ahead = runway.ahead;
        for _ in 0..50 {
            runway.prepare(100, 1);
            written.write_all(&[8; 100]).unwrap();
        }
        assert_eq!((runway.ahead, fs::metadata(&path).unwrap().blocks() * 512), (ahead - 5000, filled));
        for _ in 0..4 * STRETCH / MAX_COMMIT {
            runway.prepare(MAX_COMMIT, 1);
        }
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, 3 * STRETCH, "it never grows");
        assert!(bytes[..5000].iter().all(|byte| *byte == 9) && bytes[5000..10_000].iter().all(|byte| *byte == 8));
        assert!(bytes[10_000..].iter().all(|byte| *byte == 0));
        assert!(runway.journal.is_none(), "there is nothing left to fill");
        fs::write(folder.path().join("8.jnl"), [1; 10]).unwrap();
        runway.prepare(100, 2);
        assert_eq!(fs::read(folder.path().join("8.jnl")).unwrap(), [1; 10], "one that is appended to has no holes");
    }
}
