//! File descriptors: each connection takes one, and the system bounds them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the store, the ports and the logs need beside the connections.
const RESERVE: u64 = 500;

/// Raises the soft limit as far as `connections` needs and the hard limit allows. Returns how many connections fit.
pub fn make_room_for(connections: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    let current = limit.current.unwrap_or(u64::MAX);
    let wanted = connections.saturating_add(RESERVE).min(hard);
    let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
    let available =
        if current >= wanted || setrlimit(Resource::Nofile, raised).is_ok() { wanted.max(current) } else { current };
    let fit = available.saturating_sub(RESERVE).max(1).min(connections);
    if fit < connections {
        tracing::warn!(
            allowed = fit,
            asked = connections,
            "the system's limit of open files is too low for limits.max_connections: raise it (ulimit -Hn, LimitNOFILE)"
        );
    }
    fit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_never_more_than_what_was_asked_for() {
        assert_eq!(make_room_for(1), 1);
        assert!(make_room_for(u64::MAX) >= 1);
    }
}
