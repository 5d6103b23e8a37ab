//! Operators' commands on a disk that loses power: what a command says that it has done is there, and one that was cut short
//! can be run again.

use std::{path::Path, process::Output};

use super::{Empty, SHARES, command};
use crate::schedule::Schedule;

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeed(args: &[&str], data: &Path) {
    let output = command(args, data);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
}

const ADD: [&str; 3] = ["user", "add", "alice"];

fn assert_alice_exists(data: &Path) {
    let said = stderr(&command(&ADD, data));
    assert!(said.contains("exists"), "{said}");
}

/// Nothing is left of what was not synced.
#[test]
#[ignore = "mounts a file system: needs /dev/fuse, and root or fusermount3"]
fn what_a_command_has_done_outlives_a_power_cut() {
    let mut schedule = Schedule::new("power_cuts");
    let mut empty = Empty::new();
    let (data, restored) = (empty.at("srv/chat/data"), empty.at("restored/data"));
    succeed(&ADD, &data);
    empty.cut(&mut schedule, 0.0);
    assert_alice_exists(&data);
    for archive in ["backup", "dump"] {
        let path = empty.at(archive);
        let action = if archive == "backup" { "backup" } else { "export" };
        succeed(&["store", action, path.to_str().unwrap()], &data);
        empty.cut(&mut schedule, 0.0);
        let data = restored.join(archive);
        succeed(&["store", "import", path.to_str().unwrap()], &data);
        empty.cut(&mut schedule, 0.0);
        assert_alice_exists(&data);
        succeed(&["store", "verify"], &data);
    }
}

/// The power goes before each change and each sync of a command that makes the store.
#[test]
#[ignore = "mounts a file system: needs /dev/fuse, and root or fusermount3"]
fn a_power_cut_at_any_step_of_the_first_start_is_survived() {
    let mut schedule = Schedule::new("power_cuts");
    let first =
        std::env::var("HONGYAN_TEST_FIRST").map_or(0, |step| step.parse().expect("HONGYAN_TEST_FIRST is a number"));
    for step in first.. {
        let mut empty = Empty::new();
        let data = empty.at("srv/data");
        empty.disk.cut_after(step);
        let is_added = command(&ADD, &data).status.success();
        let was_cut = empty.disk.is_off();
        // At the end of all steps as well.
        empty.cut(&mut schedule, SHARES[step as usize % SHARES.len()]);
        let again = command(&ADD, &data);
        let stderr = stderr(&again);
        let is_there = stderr.contains("exists");
        assert!(again.status.success() || is_there, "cut before change {step}: {stderr}");
        assert!(is_there || !is_added, "cut before change {step}: alice was added, and is gone");
        let verified = command(&["store", "verify"], &data);
        assert!(verified.status.success(), "cut before change {step}: {verified:?}");
        if !was_cut {
            assert!(is_added, "nothing was in the way");
            println!("cut before each of {step} changes and syncs, and after the last");
            break;
        }
    }
}
