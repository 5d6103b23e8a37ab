//! Refuses a commit before the disk is full, while the engine can still be trusted. What is done about a refusal is
//! the caller's business.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::error::StoreError;

/// How often the file system is asked where there is room.
pub(crate) const ASKS_EVERY: Duration = Duration::from_secs(1);

/// Tells how many bytes an unprivileged process may still write on the file system that holds a path.
pub(crate) type Probe = Box<dyn Fn(&Path) -> io::Result<u64> + Send>;

/// Watches the free space of one directory.
///
/// The file system is asked once in a while, and before a commit that would take more than half of what was free then: the
/// other half is for whoever else writes to the same disk meanwhile. So where there is room commits cost no call, and close to
/// the reserve each of them asks.
pub(crate) struct FreeSpace {
    path: PathBuf,
    reserve_bytes: u64,
    probe: Probe,
    asks_every: Duration,
    /// When it was asked last, and how many bytes may be written before it is asked again.
    seen: Option<(Instant, u64)>,
}

impl FreeSpace {
    pub(crate) fn new(path: &Path, reserve_bytes: u64, probe: Probe, asks_every: Duration) -> Self {
        FreeSpace { path: path.to_owned(), reserve_bytes, probe, asks_every, seen: None }
    }

    /// Refuses with [`StoreError::DiskFull`] when fewer than the reserve would be left after writing `incoming_bytes`.
    pub(crate) fn check(&mut self, incoming_bytes: u64) -> Result<(), StoreError> {
        let now = Instant::now();
        if let Some((asked_at, room)) = &mut self.seen
            && now.duration_since(*asked_at) < self.asks_every
            && *room >= incoming_bytes
        {
            *room -= incoming_bytes;
            return Ok(());
        }
        self.seen = None;
        let path = || self.path.display().to_string();
        let free = (self.probe)(&self.path)
            .map_err(|error| StoreError::Failed(format!("cannot tell the free space of {}: {error}", path())))?;
        let left = free.saturating_sub(incoming_bytes);
        if left < self.reserve_bytes {
            return Err(StoreError::DiskFull { path: path(), free, reserve: self.reserve_bytes });
        }
        self.seen = Some((now, (left - self.reserve_bytes) / 2));
        Ok(())
    }
}

/// The real [`Probe`].
pub(crate) fn available_bytes(path: &Path) -> io::Result<u64> {
    let stats = rustix::fs::statvfs(path)?;
    Ok(stats.f_bavail.saturating_mul(stats.f_frsize))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use super::*;

    /// A disk with so many bytes free, and how often it was asked.
    fn watch(free: u64, reserve: u64) -> (FreeSpace, Arc<AtomicU64>) {
        let asked = Arc::new(AtomicU64::new(0));
        let count = asked.clone();
        let probe = move |_: &Path| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(free)
        };
        (FreeSpace::new(Path::new("/"), reserve, Box::new(probe), Duration::from_secs(3600)), asked)
    }

    #[test]
    fn a_disk_with_room_is_asked_once() {
        let (mut space, asked) = watch(1_000_000, 1000);
        (0..400).for_each(|_| space.check(1000).unwrap());
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn half_of_what_was_free_may_be_written_before_it_is_asked_again() {
        let (mut space, asked) = watch(11_000, 1000);
        space.check(0).unwrap();
        space.check(5000).unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        space.check(1).unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_disk_at_its_reserve_is_asked_each_time() {
        let (mut space, asked) = watch(1000, 1000);
        (0..3).for_each(|_| assert!(space.check(1).is_err()));
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }
}
