//! What the operating system says about the server: CPU time and memory of its process and that process's children.

use std::{fs, net::SocketAddr, ops::Sub, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// The unit of CPU times in /proc (`USER_HZ`), the same on every Linux.
const TICKS_PER_S: u64 = 100;
/// The state of a listening socket in /proc/net/tcp.
const LISTEN: &str = "0A";

/// CPU time used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    pub user: Duration,
    pub system: Duration,
}

impl Cpu {
    pub fn total(self) -> Duration {
        self.user + self.system
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { user: self.user.saturating_sub(earlier.user), system: self.system.saturating_sub(earlier.system) }
    }
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub rss: u64,
    pub pss: u64,
    /// Not backed by a file: what the server itself has allocated.
    pub anonymous: u64,
}

/// A server on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    pub pid: u32,
}

impl Server {
    /// The process that listens on this port of a loopback address, if this user may see it.
    pub fn listening_on(address: SocketAddr) -> Option<Self> {
        if !address.ip().is_loopback() {
            return None;
        }
        let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
            .into_iter()
            .filter_map(|table| fs::read_to_string(table).ok())
            .find_map(|table| listening_inode(&table, address.port()))?;
        let socket = format!("socket:[{inode}]");
        pids().find(|pid| has_open(*pid, &socket)).map(|pid| Self { pid })
    }

    pub fn is_running(self) -> bool {
        stat(self.pid).is_some()
    }

    /// CPU time of the process tree, ended threads and awaited children included.
    pub fn cpu(self) -> Cpu {
        let ticks = |ticks: u64| Duration::from_millis(ticks * 1000 / TICKS_PER_S);
        let (mut user, mut system) = (0, 0);
        for stat in tree(self.pid).into_iter().filter_map(stat) {
            user += stat.number(13) + stat.number(15);
            system += stat.number(14) + stat.number(16);
        }
        Cpu { user: ticks(user), system: ticks(system) }
    }

    pub fn memory(self) -> Memory {
        let rollups =
            tree(self.pid).into_iter().filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok());
        rollups.fold(Memory::default(), |sum, rollup| {
            let of = |name| field(&rollup, name) * 1024;
            Memory { rss: sum.rss + of("Rss:"), pss: sum.pss + of("Pss:"), anonymous: sum.anonymous + of("Anonymous:") }
        })
    }
}

/// CPU time of this process, to the nanosecond.
pub fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The inode of the socket that listens on `port`, from the text of /proc/net/tcp.
fn listening_inode(table: &str, port: u16) -> Option<u64> {
    let wanted = format!(":{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let is_it = columns.get(1)?.ends_with(&wanted) && *columns.get(3)? == LISTEN;
        is_it.then(|| columns.get(9)?.parse().ok()).flatten()
    })
}

fn has_open(pid: u32, socket: &str) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == socket))
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A process and its descendants.
fn tree(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u64)> = pids().filter_map(|pid| Some((pid, stat(pid)?.number(3)))).collect();
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(&parent) = tree.get(next) {
        tree.extend(parents.iter().filter(|(_, of)| *of == u64::from(parent)).map(|(pid, _)| *pid));
        next += 1;
    }
    tree
}

/// One line of /proc/PID/stat.
struct Stat(String);

impl Stat {
    /// A column by its number in proc(5), after the name in parentheses, which may hold anything.
    fn number(&self, column: usize) -> u64 {
        let after_name = self.0.rfind(')').map_or("", |end| &self.0[end + 1..]);
        // The first column after the name is the third, `state`; the parent is the fourth.
        after_name.split_whitespace().nth(column - 2).and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

fn stat(pid: u32) -> Option<Stat> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok().map(Stat)
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn columns_are_counted_after_the_name() {
        let stat = Stat("42 (a (b) 7) S 7 42 42 0 -1 4194304 1 2 3 4 500 60 7 8 20 0 1".to_owned());
        assert_eq!((stat.number(3), stat.number(13), stat.number(14)), (7, 500, 60));
        assert_eq!((stat.number(15), stat.number(16)), (7, 8));
    }

    #[test]
    fn only_a_listening_socket_on_the_port_counts() {
        let table = "sl local rem st\n\
             0: 0100007F:1DB0 0100007F:9999 01 0:0 0:0 0 0 0 11 1\n\
             1: 00000000:1DB0 00000000:0000 0A 0:0 0:0 0 0 0 12 1\n";
        assert_eq!(listening_inode(table, 0x1DB0), Some(12));
        assert_eq!(listening_inode(table, 0x1DB1), None);
    }

    #[test]
    fn this_process_is_found_by_its_port_and_has_memory() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server::listening_on(listener.local_addr().unwrap()).unwrap();
        assert_eq!(server.pid, std::process::id());
        assert!(server.is_running());
        let memory = server.memory();
        assert!(memory.rss >= memory.pss && memory.anonymous > 0, "{memory:?}");
    }
}
