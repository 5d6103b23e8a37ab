//! Messages to somebody who is away: everything, in order, once, on every device, however late it logs in.

use super::{
    device::{Device, assert_history, assert_messages, assert_sent, builder, uid},
    server::TestServer,
};

/// Senders are limited on average; these tests send for as long as they can.
pub const UNLIMITED: &str = "[limits]\nmessages_per_second = 1_000_000\nmessages_burst = 1_000_000\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_messages_wait_for_both_devices() {
    const COUNT: u64 = 10_000;
    let server = TestServer::with(UNLIMITED);
    let (alice, bob) = (uid("alice"), uid("bob"));
    server.token("bob");
    let phone = Device::connect(builder(&server, "alice", "phone")).await;
    let laptop = Device::connect(builder(&server, "alice", "laptop")).await;
    phone.send_numbers(&bob, 1..=COUNT).await;
    assert_sent(&phone.shown().sent, COUNT);
    assert_eq!(phone.shown().delivered, 0, "nobody has got anything");

    for name in ["phone", "tablet"] {
        let device = Device::connect(builder(&server, "bob", name)).await;
        device.wait_messages(COUNT as usize).await;
        assert_messages(&device.shown().messages, COUNT, false);
        assert!(device.shown().messages.iter().zip(1..).all(|(message, useq)| message.useq == useq));
        assert_history(&device.client, &alice, COUNT, false).await;
    }
    laptop.wait_messages(COUNT as usize).await;
    assert_messages(&laptop.shown().messages, COUNT, true);
    for device in [&phone, &laptop] {
        device.wait("receipts", |shown| shown.delivered == COUNT).await;
        assert_eq!(device.shown().surprises, Vec::<String>::new());
    }
    assert!(phone.shown().messages.is_empty(), "its own messages were told as sent");
    server.assert_healthy();
}
