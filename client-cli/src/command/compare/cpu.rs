//! What a process of this machine has worked, by /proc.

use std::{fs, time::Duration};

/// Time on a processor of all threads together, those that have ended left out. None: there is no such process here.
pub fn worked(pid: u32) -> Option<Duration> {
    let mut sum = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        // A thread may end while it is looked at.
        let Ok(text) = fs::read_to_string(task.ok()?.path().join("schedstat")) else { continue };
        let nanoseconds = text.split(' ').next()?.parse().ok()?;
        sum += Duration::from_nanos(nanoseconds);
    }
    Some(sum)
}
