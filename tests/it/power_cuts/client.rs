//! A client's store on a disk that loses power: what its outbox has taken is there.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

use hongyan_client::{
    LocalStore as _, SqliteStore,
    store::{Change, OutboxItem},
};

use super::{Empty, SHARES};
use crate::schedule::Schedule;

/// Where a client that this test runs has its store.
const STORE: &str = "HONGYAN_TEST_CLIENT_STORE";

fn item() -> OutboxItem {
    OutboxItem { send_no: 1, to: "bob".into(), ..OutboxItem::default() }
}

#[test]
#[ignore = "run by the test below, as a process of its own"]
fn a_client_starts_and_queues_a_message() {
    let Some(path) = env::var_os(STORE) else { return };
    let mut store = SqliteStore::open(path).unwrap();
    store.load().unwrap();
    store.commit(&Change { queued: vec![item()], ..Change::default() }).unwrap();
}

/// Whether the message was taken.
fn start_a_client(path: &Path) -> bool {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "power_cuts::client::a_client_starts_and_queues_a_message", "--ignored"]);
    command.env(STORE, path).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

/// The power goes before each change and each sync.
#[test]
#[ignore = "mounts a file system: needs /dev/fuse, and root or fusermount3"]
fn what_an_outbox_has_taken_outlives_a_power_cut_at_any_step() {
    let mut schedule = Schedule::new("power_cuts");
    for step in 0.. {
        let mut empty = Empty::new();
        let path = empty.at("state/alice/phone.db");
        empty.disk.cut_after(step);
        let is_taken = start_a_client(&path);
        let was_cut = empty.disk.is_off();
        empty.cut(&mut schedule, SHARES[step as usize % SHARES.len()]);
        let kept = SqliteStore::open(&path).and_then(|mut store| store.load());
        let kept = kept.unwrap_or_else(|error| panic!("cut before change {step}: {error}")).outbox;
        assert!(!is_taken || kept == [item()], "cut before change {step}: the message is gone");
        if !was_cut {
            assert!(is_taken, "nothing was in the way");
            println!("cut before each of {step} changes and syncs, and after the last");
            break;
        }
    }
}
