//! When the log cannot be continued from where a device is: trimmed meanwhile, or restored from a backup. The device is
//! told, and each message is shown once all the same.

use std::collections::BTreeSet;

use hongyan_client::SqliteStore;
use serde_json::Value;
use tempfile::tempdir;
use tokio::task::block_in_place;

use super::{
    device::{Device, assert_counts_up, assert_history, builder, number, uid},
    server::{TestServer, eventually},
};

/// A device that is forgotten while it is away holds trimming back no longer: it comes back to a log without its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_behind_the_log_is_reset_and_shown_each_message_once() {
    let server =
        TestServer::with("[retention]\ntimeline_entries = 64\n[limits]\ndevices_per_user = 2\nchannels_per_user = 2\n");
    let (alice, bob, directory) = (uid("alice"), uid("bob"), tempdir().unwrap());
    let phone = || {
        let store = SqliteStore::open(directory.path().join("phone.db")).unwrap();
        builder(&server, "bob", "phone").ephemeral(true).store(Box::new(store))
    };
    let sender = Device::connect(builder(&server, "alice", "phone")).await;
    let other = Device::connect(builder(&server, "carol", "phone")).await;
    let laptop = Device::connect(builder(&server, "bob", "laptop")).await;
    let before = Device::connect(phone()).await;
    sender.send_numbers(&bob, 1..=30).await;
    before.wait_messages(30).await;
    before.client.close().await;
    server.wait_for_metric("hongyan_sessions", 3);

    // There is room for two: this one takes the place of the phone, and gives it back.
    let tablet = Device::connect(builder(&server, "bob", "tablet").ephemeral(true)).await;
    // More than the retention and a step of trimming, but of neither more than a device loads.
    tokio::join!(sender.send_numbers(&bob, 31..=210), other.send_numbers(&bob, 1001..=1180));
    for device in [&tablet, &laptop] {
        device.wait_messages(390).await;
    }
    for (author, count) in [(&sender, 210), (&other, 180)] {
        author.wait("the receipts", |shown| shown.delivered == count).await;
    }
    // With the last of these acks the log was trimmed.
    let all_acked = || (all_have(&server, "alice", 210) && all_have(&server, "carol", 180)).then_some(());
    block_in_place(|| eventually("the acks of both", all_acked));
    tablet.client.close().await;
    server.wait_for_metric("hongyan_sessions", 3);

    let (after, ()) = tokio::join!(Device::connect(phone()), sender.send_numbers(&bob, 211..=230));
    after.wait_messages(380).await;
    assert_eq!(after.shown().resets, [0], "it was told before anything else");
    assert_eq!(after.shown().logins, [false], "the resume token went with the device");
    assert_counts_up(&before.shown().numbers(), 30);
    let loaded: Vec<u64> = after.shown().messages.iter().filter(|message| message.useq == 0).map(number).collect();
    assert!(
        loaded.len() >= 360 && loaded.chunk_by(|a, b| (*a > 1000) == (*b > 1000)).all(<[_]>::is_sorted),
        "{loaded:?}"
    );
    let (of_carol, of_alice): (Vec<u64>, Vec<u64>) = after.shown().numbers().into_iter().partition(|no| *no > 1000);
    assert_eq!(of_carol, (1001..=1180).collect::<Vec<_>>());
    // What comes live meanwhile may be shown ahead of what is loaded.
    let distinct: BTreeSet<u64> = of_alice.iter().copied().collect();
    assert_eq!(of_alice.len(), 200, "something was shown twice");
    assert!(distinct.into_iter().eq(31..=230));
    assert_history(&after.client, &alice, 230, false).await;

    // From here the log goes on as for everybody.
    sender.send_numbers(&bob, 231..=290).await;
    after.wait_messages(440).await;
    assert_eq!(after.shown().numbers()[380..], (231..=290).collect::<Vec<_>>());
}

/// All of bob's devices have acked a message, durably.
fn all_have(server: &TestServer, author: &str, cseq: u64) -> bool {
    let found = server.command(&["trace", author, "bob", &cseq.to_string(), "--json"]);
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let devices = found["recipients"][0]["devices"].as_array().unwrap();
    devices.len() == 2 && devices.iter().all(|device| device["delivered"] == true)
}

/// After a restore the server knows less than its clients. They are told, and what they have is not shown again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_backup_resets_the_clients_and_repeats_nothing() {
    let mut server = TestServer::start();
    let (alice, bob) = (uid("alice"), uid("bob"));
    let sender = Device::connect(builder(&server, "alice", "phone")).await;
    let laptop = Device::connect(builder(&server, "alice", "laptop")).await;
    let receiver = Device::connect(builder(&server, "bob", "phone")).await;
    let tablet = builder(&server, "bob", "tablet");
    sender.send_numbers(&bob, 1..=50).await;
    let backup = server.data().join("backup");
    let output = server.command(&["store", "backup", backup.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    sender.send_numbers(&bob, 51..=80).await;
    for device in [&receiver, &laptop] {
        device.wait_messages(80).await;
    }

    block_in_place(|| {
        server.kill();
        std::fs::remove_dir_all(server.data().join("store")).unwrap();
        let output = server.command(&["store", "import", backup.to_str().unwrap()]);
        assert!(output.status.success(), "{output:?}");
        server.restart();
    });
    for device in [&sender, &receiver, &laptop] {
        device.wait("another login", |shown| shown.logins.len() == 2).await;
    }
    sender.send_numbers(&bob, 81..=100).await;
    for device in [&receiver, &laptop] {
        device.wait_messages(100).await;
        assert_eq!(device.shown().resets, [80]);
        assert_counts_up(&device.shown().numbers(), 100);
        assert_eq!(device.shown().messages.last().unwrap().cseq, 70, "the numbers go on from the backup");
    }
    let sent: Vec<u64> = sender.shown().sent.iter().map(|sent| sent.send_no).collect();
    assert_counts_up(&sent, 100);
    assert!(sender.shown().messages.is_empty(), "its own messages were told as sent");
    // A device that was never there finds what the backup had, and what came after.
    let tablet = Device::connect(tablet).await;
    tablet.wait_messages(70).await;
    assert_eq!(tablet.shown().numbers(), (1..=50).chain(81..=100).collect::<Vec<_>>());
    assert_eq!(receiver.client.history(&alice, Default::default()).await.unwrap().head_cseq, 70);
    server.assert_healthy();
}

/// A device whose store is put back to an older copy has used numbers that it does not remember.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_put_back_to_an_older_state_goes_on_in_a_new_epoch() {
    let server = TestServer::start();
    let (bob, directory) = (uid("bob"), tempdir().unwrap());
    let path = |name| directory.path().join(name);
    let phone = || builder(&server, "alice", "phone").store(Box::new(SqliteStore::open(path("phone.db")).unwrap()));
    let receiver = Device::connect(builder(&server, "bob", "phone")).await;
    let young = Device::connect(phone()).await;
    young.send_numbers(&bob, 1..=20).await;
    young.client.close().await;
    for (name, copy) in [("phone.db", "copy.db"), ("phone.db-mark", "copy.db-mark")] {
        std::fs::copy(path(name), path(copy)).unwrap();
    }
    let old = Device::connect(phone()).await;
    old.send_numbers(&bob, 21..=30).await;
    old.client.close().await;
    for (name, copy) in [("phone.db", "copy.db"), ("phone.db-mark", "copy.db-mark")] {
        std::fs::rename(path(copy), path(name)).unwrap();
    }

    let again = Device::connect(phone()).await;
    again.wait("what it does not remember", |shown| shown.messages.len() == 10).await;
    assert_eq!(again.shown().numbers(), (21..=30).collect::<Vec<_>>());
    again.send_numbers(&bob, 31..=40).await;
    assert_eq!(again.shown().sent.first().unwrap().send_no, 21, "its own numbers go on");
    receiver.wait_messages(40).await;
    assert_counts_up(&receiver.shown().numbers(), 40);
}
