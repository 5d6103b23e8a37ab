//! Power cuts: the real server, with all of its data on a disk that forgets what was not synced. What was acknowledged is
//! there, once, in order, and the store is in order. What commands leave is in `commands`, the store without a server in
//! `journal`, and that of a client in `client`.
//!
//! These are run by hand, for they mount a file system: docs/reliability.md has the commands.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Output,
    thread::{self, JoinHandle},
    time::Duration,
};

use rand::RngExt as _;
use tempfile::TempDir;
use tokio::task::block_in_place;

use super::{
    device::{Device, assert_history, assert_sent, builder, uid},
    schedule::Schedule,
    server::{TestServer, program},
    server_kills,
};
use mount::Mounted;

mod client;
mod commands;
mod disk;
mod journal;
mod mount;
mod tests;

const CUTS: usize = 50;
const MESSAGES_PER_CUT: u64 = 50;
/// How much of what was not synced is there after a cut.
const SHARES: [f64; 5] = [0.0, 0.1, 0.5, 0.9, 1.0];
/// The power goes before one of so many changes and syncs: while people write, while the store is merged as well, and while
/// a server starts.
const CHANGES: u64 = 60;
const CHANGES_OF_A_COMPACTION: u64 = 3000;
const CHANGES_OF_A_START: u64 = 60;
/// How long to wait for that change.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server, and the disk that all of its data is on.
struct Machine {
    server: TestServer,
    disk: Mounted,
    schedule: Schedule,
    cuts: usize,
}

impl Machine {
    fn start(config: &str) -> Self {
        let data = tempfile::Builder::new().prefix("hy").tempdir().unwrap();
        let disk = Mounted::new(data.path());
        let server = TestServer::on(data, config);
        // Whoever has written the configuration has seen to it that it is kept.
        for path in [&server.config_path(), server.data()] {
            File::open(path).unwrap().sync_all().unwrap();
        }
        Self { server, disk, schedule: Schedule::new("power_cuts"), cuts: 0 }
    }

    /// The power goes within the next `changes` and comes back. Whatever else works on the data ends with the server.
    fn cut_within(&mut self, changes: u64, beside: Option<JoinHandle<()>>) {
        self.disk.cut_after(self.schedule.random().random_range(0..changes));
        self.lose_power(beside);
    }

    fn lose_power(&mut self, beside: Option<JoinHandle<()>>) {
        self.disk.wait_for_cut(PATIENCE);
        self.server.kill();
        if let Some(beside) = beside {
            beside.join().unwrap();
        }
        let share = SHARES[self.schedule.random().random_range(0..SHARES.len())];
        self.disk.power_on(self.schedule.random(), share);
        self.cuts += 1;
    }

    /// Whether something happens that does so once in `times`.
    fn is_one_in(&mut self, times: u32) -> bool {
        self.schedule.random().random_ratio(1, times)
    }

    /// A cut, now and then while the store is being merged; more cuts, now and then, while the server starts.
    fn cut_and_start(&mut self) {
        if self.is_one_in(4) {
            let merging = self.start_compaction();
            self.cut_within(CHANGES_OF_A_COMPACTION, Some(merging));
        } else {
            self.cut_within(CHANGES, None);
        }
        while self.is_one_in(3) {
            self.disk.cut_after(self.schedule.random().random_range(0..CHANGES_OF_A_START));
            // It may come up before, or give up.
            let _ = self.server.try_restart();
            self.lose_power(None);
        }
    }

    fn start_compaction(&self) -> JoinHandle<()> {
        let data = self.server.data().to_owned();
        // The cut ends it, one way or the other.
        thread::spawn(move || drop(command(&["store", "compact"], &data)))
    }

    /// Everything that was acknowledged is in the store, and the store is in order.
    fn verify(&self, acknowledged: usize) {
        let output = self.server.command(&["store", "verify"]);
        let said = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "after {} cuts: {said}{stderr}", self.cuts);
        let messages = said.split(", ").find_map(|part| part.strip_suffix(" messages")?.parse::<usize>().ok());
        let messages = messages.expect("it says how many messages there are");
        assert!(messages >= acknowledged, "after {} cuts: {acknowledged} acknowledged, {messages} there", self.cuts);
    }
}

/// A disk on which there is nothing yet.
struct Empty {
    place: TempDir,
    disk: Mounted,
}

impl Empty {
    fn new() -> Self {
        let place = tempfile::Builder::new().prefix("hy").tempdir().unwrap();
        let disk = Mounted::new(place.path());
        Self { place, disk }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.place.path().join(path)
    }

    /// The power goes now, if it has not gone, and comes back.
    fn cut(&mut self, schedule: &mut Schedule, share: f64) {
        self.disk.wait_for_cut(Duration::ZERO);
        self.disk.power_on(schedule.random(), share);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // What is open holds the disk, and the disk its directory.
        self.server.kill();
        self.disk.unmount();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "mounts a file system: needs /dev/fuse, and root or fusermount3"]
async fn a_power_cut_loses_and_repeats_nothing() {
    let cuts = Schedule::kills(CUTS);
    let count = MESSAGES_PER_CUT * cuts as u64;
    let mut machine = block_in_place(|| Machine::start(&server_kills::config()));
    let places = machine.schedule.places(cuts, count - 1);
    let (alice, bob) = (uid("alice"), uid("bob"));
    let receiver = Device::connect(builder(&machine.server, "bob", "phone")).await;
    let late = builder(&machine.server, "bob", "tablet");
    let sender = Device::connect(builder(&machine.server, "alice", "phone")).await;
    let laptop = Device::connect(builder(&machine.server, "alice", "laptop")).await;

    let cutting = async {
        for place in &places {
            sender.wait("messages before the cut", |shown| shown.sent.len() as u64 >= *place).await;
            block_in_place(|| machine.cut_and_start());
            let acknowledged = sender.shown().sent.len();
            block_in_place(|| {
                machine.verify(acknowledged);
                machine.server.restart();
            });
        }
        Device::connect(late).await
    };
    let (late, ()) = tokio::join!(cutting, sender.send_numbers(&bob, 1..=count));

    assert_sent(&sender.shown().sent, count);
    for (device, peer, own) in [(&receiver, &alice, false), (&late, &alice, false), (&laptop, &bob, true)] {
        device.assert_whole(peer, count, own).await;
    }
    assert_history(&sender.client, &bob, count, true).await;
    machine.server.assert_healthy();
    println!("{} power cuts: {count} acknowledged, 0 lost, 0 doubled", machine.cuts);
}

/// Runs `hongyan ARGS --data DATA`.
fn command(args: &[&str], data: &Path) -> Output {
    let data = data.to_str().unwrap();
    program(args.iter().copied().chain(["--data", data]), "")
}
