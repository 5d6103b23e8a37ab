//! One message on its way: sent, durable, pushed, acked, delivered; and every way a SEND can be refused.

use hongyan_proto::{
    frame::Frame,
    wire::{self, NackCode},
};

use crate::{
    server::TestServer,
    wire::{WireClient, encoded, hello, message},
};

const AT_ONCE: &str = "[delivery]\nreceipt_delay = \"0ms\"\n";

#[test]
fn a_message_is_taken_pushed_acked_and_its_delivery_told() {
    let server = TestServer::with(AT_ONCE);
    let (mut alice, welcome) = WireClient::login_as(&server, "alice", "phone");
    assert_eq!((welcome.head, welcome.cursor, welcome.last_send_no), (0, 0, 0));
    assert_eq!((welcome.uid.as_str(), welcome.max_send_no), ("alice", 64));
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

#[test]
fn the_senders_other_device_gets_the_message_and_the_sending_one_only_the_ack() {
    let server = TestServer::start();
    let (mut phone, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut desk, _) = WireClient::login_as(&server, "alice", "desk");
    server.token("bob");
    phone.send_message(1, "bob", b"from the phone");
    phone.expect_send_ack(1);
    let copy = desk.expect_message(1);
    assert_eq!((copy.from.as_str(), copy.to.as_str(), &copy.content[..]), ("alice", "bob", &b"from the phone"[..]));
    desk.send_message(1, "bob", b"from the desk");
    assert_eq!(desk.expect_send_ack(1).useq, 2);
    assert_eq!(&phone.expect_message(2).content[..], b"from the desk");
    assert_eq!(phone.ping().head, 2, "nothing else came, and nothing is acked yet");
}

#[test]
fn a_message_to_oneself_stands_once_in_the_log() {
    let server = TestServer::with(AT_ONCE);
    let (mut phone, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut desk, _) = WireClient::login_as(&server, "alice", "desk");
    phone.send_message(1, "alice", b"a note");
    let ack = phone.expect_send_ack(1);
    assert_eq!((ack.useq, ack.cseq), (1, 1));
    assert_eq!(&desk.expect_message(1).content[..], b"a note");
    desk.ack(1);
    phone.ack(1);
    assert_eq!(phone.ping().head, 0, "nobody is told that their own note was delivered");
    phone.send_message(2, "alice", b"another");
    assert_eq!(phone.expect_send_ack(2).useq, 2);
}

#[test]
fn an_unknown_recipient_uses_the_number_up_and_the_answer_is_repeated() {
    let mut server = TestServer::start();
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    alice.send_message(1, "nobody", b"hi");
    alice.expect_nack(1, NackCode::NackNotFound);
    alice.send_message(1, "nobody", b"hi");
    alice.expect_nack(1, NackCode::NackNotFound);
    // The user comes to exist, but the answer stands.
    server.token("nobody");
    alice.send_message(1, "nobody", b"hi");
    alice.expect_nack(1, NackCode::NackNotFound);
    server.kill();
    server.restart();
    let again = wire::Hello { last_send_no: 1, ..hello("alice", "phone", &server.token("alice")) };
    let (mut alice, welcome) = WireClient::login(&server, again);
    assert_eq!((welcome.last_send_no, welcome.head), (1, 0));
    alice.send_message(1, "nobody", b"hi");
    alice.expect_nack(1, NackCode::NackNotFound);
    alice.send_message(2, "nobody", b"hi");
    assert_eq!(alice.expect_send_ack(2).cseq, 1);
}

#[test]
fn an_unknown_recipient_is_accepted_where_the_configuration_says_so() {
    let server = TestServer::with("[auth]\naccept_unknown_recipients = true\n");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    alice.send_message(1, "later", b"hi");
    alice.expect_send_ack(1);
    let (mut later, welcome) = WireClient::login_as(&server, "later", "phone");
    assert_eq!(welcome.head, 1);
    assert_eq!(&later.expect_message(1).content[..], b"hi");
    alice.send_message(2, "no name", b"hi");
    alice.expect_nack(2, NackCode::NackInvalid);
}

#[test]
fn a_repeated_send_gets_the_same_answer_and_is_not_shown_twice() {
    let mut server = TestServer::start();
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    // Twice in one write, so that both may be in one commit; then once more.
    alice.send_bytes(&encoded(&[message(1, "bob", b"one"), message(1, "bob", b"one")]));
    let first = alice.expect_send_ack(1);
    assert_eq!(alice.expect_send_ack(1), first);
    alice.send_message(1, "bob", b"one");
    assert_eq!(alice.expect_send_ack(1), first);
    server.kill();
    server.restart();
    let again = wire::Hello { last_send_no: 1, cursor: Some(1), ..hello("alice", "phone", &server.token("alice")) };
    let (mut alice, welcome) =
        WireClient::login(&server, wire::Hello { log_epoch: first_epoch(&mut bob, &server), ..again });
    assert_eq!((welcome.last_send_no, welcome.head), (1, 1));
    alice.send_message(1, "bob", b"one");
    assert_eq!(alice.expect_send_ack(1), first, "the answer outlives kill -9");
    alice.send_message(2, "bob", b"two");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    assert_eq!(&bob.expect_message(1).content[..], b"one");
    assert_eq!(&bob.expect_message(2).content[..], b"two");
}

/// The server's log epoch, as a login tells it.
fn first_epoch(client: &mut WireClient, server: &TestServer) -> u64 {
    let (other, welcome) = WireClient::login_as(server, "bob", "other");
    *client = other;
    welcome.log_epoch
}

#[test]
fn a_jump_in_the_numbers_is_refused_and_closes_nothing() {
    let server = TestServer::start();
    server.token("bob");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    alice.send_message(3, "bob", b"three");
    assert_eq!(alice.expect_nack(3, NackCode::NackGap).expected, 1);
    alice.send_message(1, "bob", b"one");
    assert_eq!(alice.expect_send_ack(1).cseq, 1);
    alice.send_message(3, "bob", b"three");
    assert_eq!(alice.expect_nack(3, NackCode::NackGap).expected, 2);
}

#[test]
fn messages_written_before_the_first_login_are_taken() {
    let server = TestServer::start();
    server.token("bob");
    let waiting =
        wire::Hello { last_send_no: 503, answered_send_no: 500, ..hello("alice", "phone", &server.token("alice")) };
    let (mut alice, _) = WireClient::login(&server, waiting);
    for send_no in 501..=504 {
        alice.send_message(send_no, "bob", b"hi");
        assert_eq!(alice.expect_send_ack(send_no).cseq, send_no - 500);
    }
    alice.send_message(506, "bob", b"hi");
    assert_eq!(alice.expect_nack(506, NackCode::NackGap).expected, 505);
    alice.send_message(500, "bob", b"hi");
    alice.expect_nack(500, NackCode::NackAnswerExpired);
}

#[test]
fn an_answer_that_is_no_longer_kept_is_said_to_be_expired() {
    let server = TestServer::with("[limits]\nsend_window = 4\n");
    server.token("bob");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    for send_no in 1..=6 {
        alice.send_message(send_no, "bob", b"hi");
        alice.expect_send_ack(send_no);
    }
    alice.send_message(3, "bob", b"hi");
    assert_eq!(alice.expect_send_ack(3).cseq, 3);
    alice.send_message(2, "bob", b"hi");
    alice.expect_nack(2, NackCode::NackAnswerExpired);
}

#[test]
fn content_passes_verbatim_up_to_the_limit_and_not_beyond() {
    let server = TestServer::with("[limits]\nmax_content = \"20KiB\"\nmax_frame = \"24KiB\"\n");
    let (mut alice, welcome) = WireClient::login_as(&server, "alice", "phone");
    let max = welcome.limits.unwrap().max_content as usize;
    assert_eq!(max, 20 * 1024);
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    let largest: Vec<u8> = (0..max).map(|i| (i * 31 % 251) as u8).collect();
    let contents: [&[u8]; 4] = [b"", b"\0\0\0", &[0xFF, 0x00, 0x80, 0xC3], &largest];
    for (send_no, content) in (1..).zip(contents) {
        alice.send_message(send_no, "bob", content);
        alice.expect_send_ack(send_no);
        assert_eq!(&bob.expect_message(send_no).content[..], content);
    }
    alice.send_message(5, "bob", &[&largest[..], b"x"].concat());
    alice.expect_nack(5, NackCode::NackTooLarge);
    alice.send_message(6, "bob", b"the connection lives, and the number is used up");
    assert_eq!(alice.expect_send_ack(6).cseq, 5);
}

#[test]
fn sending_too_fast_is_refused_with_a_time_and_goes_on_later() {
    let server = TestServer::with("[limits]\nmessages_per_second = 10\nmessages_burst = 3\n");
    server.token("bob");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let burst: Vec<Frame> = (1..=4).map(|send_no| message(send_no, "bob", b"hi")).collect();
    alice.send_bytes(&encoded(&burst));
    for send_no in 1..=3 {
        alice.expect_send_ack(send_no);
    }
    let nack = alice.expect_nack(4, NackCode::NackRateLimited);
    assert!((1..=100).contains(&nack.retry_after_ms), "{nack:?}");
    // The number was not used up, and the server says when it will do.
    let taken = crate::server::eventually("the fourth is taken", || {
        alice.send_message(4, "bob", b"hi");
        match alice.skip(|frame| matches!(frame, Frame::Credit(_))) {
            Frame::SendAck(ack) => Some(ack),
            _ => None,
        }
    });
    assert_eq!((taken.send_no, taken.cseq), (4, 4));
}

#[test]
fn signals_pass_and_leave_no_trace() {
    let server = TestServer::start();
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    let forged =
        wire::Signal { to: "bob".into(), from: "carol".into(), body: b"typing".to_vec().into(), ..Default::default() };
    alice.send(Frame::Signal(forged));
    match bob.expect() {
        Frame::Signal(signal) => {
            assert_eq!((signal.from.as_str(), signal.to.as_str(), &signal.body[..]), ("alice", "", &b"typing"[..]));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bob.ping().head, 0);
}
