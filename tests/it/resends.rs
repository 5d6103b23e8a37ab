//! Answers that were lost: the same messages come again under the same numbers, and are taken once.

use super::{
    device::{Device, assert_messages, assert_sent, builder, builder_at, content, uid},
    offline::UNLIMITED,
    proxy::Proxy,
    server::TestServer,
};

/// The device is so far behind in its log that it sends again before the log can tell it that all was taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_without_an_answer_is_not_taken_again() {
    let server = TestServer::with(UNLIMITED);
    let proxy = Proxy::to(server.address()).await;
    let (alice, bob) = (uid("alice"), uid("bob"));
    let phone = Device::connect(builder_at(&proxy.address.to_string(), &server.token("alice"), "phone")).await;
    let receiver = Device::connect(builder(&server, "bob", "phone")).await;
    let other = Device::connect(builder(&server, "carol", "phone")).await;
    proxy.mute(true);
    other.send_numbers(&alice, 1..=1000).await;
    for number in 1..=20 {
        phone.client.enqueue(&bob, content(number)).await.unwrap();
    }
    receiver.wait_messages(20).await;
    assert!(phone.shown().sent.is_empty() && phone.shown().messages.is_empty(), "it hears nothing");
    proxy.mute(false);
    proxy.cut();
    phone.send_numbers(&bob, 21..=40).await;
    phone.wait("all answers", |shown| shown.sent.len() == 40).await;
    assert_sent(&phone.shown().sent, 40);
    phone.wait_messages(1000).await;
    assert_messages(&phone.shown().messages, 1000, false);
    receiver.wait_messages(40).await;
    assert_messages(&receiver.shown().messages, 40, false);
    server.assert_healthy();
}
