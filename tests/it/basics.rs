//! One message on its way: sent, durable, pushed, acked, delivered; and every way a SEND can be refused.

use crate::{server::TestServer, wire::WireClient};

#[test]
fn a_message_is_taken_pushed_acked_and_its_delivery_told() {
    let server = TestServer::with("[delivery]\nreceipt_delay = \"0ms\"");
    let (mut alice, welcome) = WireClient::login_as(&server, "alice", "phone");
    assert_eq!((welcome.head, welcome.cursor, welcome.last_send_no), (0, 0, 0));
    assert_eq!(welcome.uid, "alice");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    alice.send_message(1, "bob", b"hi");
    let ack = alice.expect_send_ack(1);
    assert_eq!((ack.cseq, ack.useq), (1, 1));
    let message = bob.expect_message(1);
    assert_eq!((message.from.as_str(), message.to.as_str()), ("alice", "bob"));
    assert_eq!((message.cseq, message.time_ms, &message.content[..]), (1, ack.time_ms, &b"hi"[..]));
    bob.ack(1);
    let receipt = alice.expect_receipt(2);
    assert_eq!((receipt.conversation.as_str(), receipt.delivered_cseq), ("bob", 1));
    server.assert_healthy();
}
