//! `kill -9` of the server in the middle of everything: what was acknowledged is there, once, in order.

use std::time::Duration;

use tokio::task::block_in_place;

use super::{
    device::{Device, assert_history, assert_sent, builder, uid},
    offline::UNLIMITED,
    schedule::Schedule,
    server::TestServer,
};

/// Kills in CI.
const KILLS: usize = 5;

/// No rate limits, and `store.sync` as `HONGYAN_TEST_SYNC` says. What a kill leaves is the same with each.
pub fn config() -> String {
    let sync = std::env::var("HONGYAN_TEST_SYNC").unwrap_or_else(|_| "always".into());
    format!("{UNLIMITED}[store]\nsync = \"{sync}\"\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_and_repeats_nothing() {
    const COUNT: u64 = 10_000;
    let mut schedule = Schedule::new("server_kills");
    let places = schedule.places(Schedule::kills(KILLS), COUNT - 1);
    let mut server = TestServer::with(&config());
    let (alice, bob) = (uid("alice"), uid("bob"));
    let receiver = Device::connect(builder(&server, "bob", "phone")).await;
    let late = builder(&server, "bob", "tablet");
    let sender = Device::connect(builder(&server, "alice", "phone")).await;
    let laptop = Device::connect(builder(&server, "alice", "laptop")).await;

    let killing = async {
        for place in &places {
            sender.wait("messages before the kill", |shown| shown.sent.len() as u64 >= *place).await;
            schedule.pass(Duration::from_millis(20)).await;
            block_in_place(|| server.kill());
            schedule.pass(Duration::from_millis(50)).await;
            block_in_place(|| server.restart());
        }
        Device::connect(late).await
    };
    let (late, ()) = tokio::join!(killing, sender.send_numbers(&bob, 1..=COUNT));

    assert_sent(&sender.shown().sent, COUNT);
    for (device, peer, own) in [(&receiver, &alice, false), (&late, &alice, false), (&laptop, &bob, true)] {
        device.assert_whole(peer, COUNT, own).await;
    }
    sender.wait("receipts", |shown| shown.delivered == COUNT).await;
    laptop.wait("receipts", |shown| shown.delivered == COUNT).await;
    assert!(sender.shown().messages.is_empty(), "its own messages were told as sent");
    assert_history(&sender.client, &bob, COUNT, true).await;
    server.assert_healthy();
    let kills = places.len();
    println!("{kills} kills: {COUNT} acknowledged, 0 lost, 0 doubled, on four devices and in their histories");
}
