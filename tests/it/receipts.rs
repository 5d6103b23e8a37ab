//! Delivered receipts arrive, whatever happens between the ack and the receipt.

use tokio::task::block_in_place;

use super::{
    device::{Device, builder, content, uid},
    server::TestServer,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_survives_the_server_that_owed_it() {
    let mut server = TestServer::with("[delivery]\nreceipt_delay = \"2s\"\n");
    let bob = uid("bob");
    let receiver = Device::connect(builder(&server, "bob", "phone")).await;
    let sender = Device::connect(builder(&server, "alice", "phone")).await;
    sender.send_numbers(&bob, 1..=3).await;
    receiver.wait_messages(3).await;
    // The round trip comes back behind the ack of what has been shown.
    receiver.client.ping().await.unwrap();
    block_in_place(|| {
        server.kill();
        server.restart();
    });
    sender.wait("the receipt", |shown| shown.delivered == 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_is_not_trimmed_away_with_its_message() {
    let server = TestServer::with("[delivery]\nreceipt_delay = \"2s\"\n[retention]\ntimeline_entries = 64\n");
    let bob = uid("bob");
    let receiver = Device::connect(builder(&server, "bob", "phone")).await;
    let alice = Device::connect(builder(&server, "alice", "phone")).await;
    let carol = Device::connect(builder(&server, "carol", "phone")).await;
    alice.client.send(&bob, content(1)).await.unwrap();
    carol.send_numbers(&bob, 1..=700).await;
    receiver.wait_messages(701).await;
    alice.wait("the receipt", |shown| shown.delivered == 1).await;
    carol.wait("the receipt", |shown| shown.delivered == 700).await;
}
