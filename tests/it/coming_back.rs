//! Devices that come back: by a resume token, as the same device again, at another place in the log.

use hongyan_proto::{CloseCode, frame::Frame, wire};

use crate::{
    login::refused,
    server::TestServer,
    wire::{WireClient, hello, resume},
};

// ---------------------------------------------------------------- resuming

#[test]
fn a_resume_token_works_once_it_rotates_and_a_hello_may_follow_a_refusal() {
    let server = TestServer::start();
    let (mut client, welcome) = WireClient::login_as(&server, "alice", "phone");
    client.ping();
    drop(client);
    let mut client = WireClient::open(server.address());
    let known = welcome.limits.unwrap().id;
    client.send(Frame::Resume(wire::Resume {
        resume_token: welcome.resume_token.clone(),
        limits_id: known,
        ..Default::default()
    }));
    let resumed = client.expect_resumed();
    assert_eq!(resumed.limits, None, "they are known");
    assert!(resumed.conn_epoch > welcome.conn_epoch);
    assert_eq!(resumed.max_send_no, 64);
    // Acting on the connection proves that the new token was stored; now the old one is spent.
    client.send_message(1, "alice", b"a note");
    client.expect_send_ack(1);
    let mut thief = WireClient::open(server.address());
    thief.send(resume(&welcome.resume_token, 0));
    thief.expect_reject(CloseCode::RESUME_REFUSED);
    client.ping();
    // The refusal did not end the connection.
    thief.send(Frame::Hello(wire::Hello { last_send_no: 1, ..hello("alice", "desk", &server.token("alice")) }));
    thief.expect_welcome();
    assert_eq!(&thief.expect_message(1).content[..], b"a note");
}

#[test]
fn a_lost_answer_to_a_resume_locks_nobody_out() {
    let server = TestServer::start();
    let (mut client, welcome) = WireClient::login_as(&server, "alice", "phone");
    // The device acts, so its token is confirmed and the only one.
    client.send_message(1, "alice", b"a note");
    client.expect_send_ack(1);
    drop(client);
    for _ in 0..3 {
        let mut lost = WireClient::open(server.address());
        let before = server.metric("hongyan_resumes_total");
        lost.send(resume(&welcome.resume_token, 0));
        server.wait_for_metric("hongyan_resumes_total", before + 1);
    }
    let mut client = WireClient::open(server.address());
    client.send(resume(&welcome.resume_token, 0));
    let resumed = client.expect_resumed();
    assert_eq!((resumed.last_send_no, resumed.head), (1, 1));
    assert_eq!(client.expect_push().own_send_no, 1);
    client.ack(1);
    client.ping();
    drop(client);
    let mut client = WireClient::open(server.address());
    client.send(resume(&resumed.resume_token, 1));
    client.expect_resumed();
}

#[test]
fn a_resume_with_a_fallback_logs_in_without_another_round_trip() {
    let server = TestServer::start();
    let (_, welcome) = WireClient::login_as(&server, "alice", "phone");
    let fallback = hello("alice", "desk", &server.token("alice"));
    for token in [b"nonsense".to_vec(), [&welcome.resume_token[..34], &[0; 4]].concat(), Vec::new()] {
        let mut client = WireClient::open(server.address());
        let fallback = Some(fallback.clone());
        client.send(Frame::Resume(wire::Resume { resume_token: token.into(), fallback, ..Default::default() }));
        assert_eq!(client.expect_welcome().uid, "alice");
    }
    let mut client = WireClient::open(server.address());
    let fallback = Some(hello("alice", "desk", "wrong"));
    client.send(Frame::Resume(wire::Resume { fallback, ..Default::default() }));
    client.expect_reject(CloseCode::BAD_CREDENTIALS);
}

#[test]
fn a_resume_survives_kill_9_of_the_server() {
    let mut server = TestServer::start();
    let (client, welcome) = WireClient::login_as(&server, "alice", "phone");
    server.kill();
    server.restart();
    drop(client);
    let mut client = WireClient::open(server.address());
    client.send(resume(&welcome.resume_token, 0));
    let resumed = client.expect_resumed();
    assert!(resumed.conn_epoch > welcome.conn_epoch);
    assert!(resumed.limits.is_some(), "the client said that it knows none");
    client.ping();
}

// ---------------------------------------------------------------- devices

#[test]
fn the_same_device_again_replaces_its_older_connection() {
    let server = TestServer::start();
    let (mut older, first) = WireClient::login_as(&server, "alice", "phone");
    let (mut newer, second) = WireClient::login_as(&server, "alice", "phone");
    assert!(second.conn_epoch > first.conn_epoch);
    older.expect_close(CloseCode::REPLACED);
    newer.send_message(1, "alice", b"still here");
    newer.expect_send_ack(1);
    server.wait_for_metric("hongyan_sessions", 1);
}

#[test]
fn the_late_login_of_a_connection_that_was_given_up_replaces_nothing() {
    let server = TestServer::start();
    let token = server.token("alice");
    let (first, welcome) = WireClient::login(&server, hello("alice", "phone", &token));
    drop(first);
    let mut late: Vec<_> = (0..2).map(|_| WireClient::open(server.address())).collect();
    server.wait_for_metric("hongyan_connections", 2);
    let mut newer = WireClient::open(server.address());
    newer.send(resume(&welcome.resume_token, 0));
    let resumed = newer.expect_resumed();
    late[0].send(resume(&welcome.resume_token, 0));
    late[1].send(Frame::Hello(hello("alice", "phone", &token)));
    for client in &mut late {
        client.expect_reject(CloseCode::REPLACED);
    }
    newer.ping();
    drop(newer);
    let mut newest = WireClient::open(server.address());
    newest.send(resume(&resumed.resume_token, 0));
    newest.expect_resumed();
}

#[test]
fn a_user_has_so_many_devices_and_no_more() {
    let server = TestServer::with("[limits]\ndevices_per_user = 3\nchannels_per_user = 2\n");
    let token = server.token("alice");
    let (one, _) = WireClient::login(&server, hello("alice", "one", &token));
    let ephemeral = wire::Hello { ephemeral: true, ..hello("alice", "two", &token) };
    let (two, _) = WireClient::login(&server, ephemeral);
    refused(&server, hello("alice", "three", &token), CloseCode::TOO_MANY_DEVICES);
    let (_one_again, _) = WireClient::login(&server, hello("alice", "one", &token));
    drop((one, two));
    server.wait_for_metric("hongyan_sessions", 1);
    let (three, _) = WireClient::login(&server, hello("alice", "three", &token));
    drop(three);
    server.wait_for_metric("hongyan_sessions", 1);
    // Full, but the device for one errand gives way.
    let (four, _) = WireClient::login(&server, hello("alice", "four", &token));
    drop(four);
    server.wait_for_metric("hongyan_sessions", 1);
    refused(&server, hello("alice", "five", &token), CloseCode::TOO_MANY_DEVICES);
}

#[test]
fn a_device_that_lost_its_state_is_told_and_a_new_epoch_starts_over() {
    let server = TestServer::start();
    let token = server.token("alice");
    let (mut client, _) = WireClient::login(&server, hello("alice", "phone", &token));
    client.send_message(1, "alice", b"one");
    client.expect_send_ack(1);
    client.ack(1);
    client.ping();
    refused(&server, hello("alice", "phone", &token), CloseCode::STATE_LOST);
    let fresh = wire::Hello { device_epoch: 2, ..hello("alice", "phone", &token) };
    let (mut new, welcome) = WireClient::login(&server, fresh);
    client.expect_close(CloseCode::REPLACED);
    assert_eq!((welcome.last_send_no, welcome.cursor, welcome.head), (0, 0, 1));
    assert_eq!(&new.expect_message(1).content[..], b"one");
    new.send_message(1, "alice", b"two");
    assert_eq!(new.expect_send_ack(1).useq, 2, "its numbers begin again");
    let zero = wire::Hello { device_epoch: 0, ..hello("alice", "phone", &token) };
    refused(&server, zero, CloseCode::BAD_FIELD);
}

// ---------------------------------------------------------------- place in the log

#[test]
fn a_device_begins_where_it_says_or_where_the_server_remembers() {
    let server = TestServer::start();
    let token = server.token("alice");
    let (mut phone, welcome) = WireClient::login(&server, hello("alice", "phone", &token));
    for send_no in 1..=4 {
        phone.send_message(send_no, "alice", &[b'0' + send_no as u8]);
        phone.expect_send_ack(send_no);
    }
    let epoch = welcome.log_epoch;
    let from_head = wire::Hello { from_head: true, ..hello("alice", "desk", &token) };
    let (mut desk, welcome) = WireClient::login(&server, from_head.clone());
    assert_eq!((welcome.cursor, welcome.head), (4, 4));
    phone.send_message(5, "alice", b"5");
    phone.expect_send_ack(5);
    desk.expect_message(5);
    desk.ack(5);
    desk.ping();
    // Absent: the server's own record. Present: what it says.
    let (_, welcome) = WireClient::login(&server, hello("alice", "desk", &token));
    assert_eq!(welcome.cursor, 5);
    let at_three = wire::Hello { cursor: Some(3), log_epoch: epoch, ..hello("alice", "desk", &token) };
    let (mut desk, welcome) = WireClient::login(&server, at_three);
    assert_eq!((welcome.cursor, welcome.head), (3, 5));
    desk.expect_message(4);
    desk.expect_message(5);
    let both = wire::Hello { cursor: Some(3), ..from_head };
    refused(&server, both, CloseCode::BAD_FIELD);
}

#[test]
fn a_cursor_that_cannot_be_continued_gets_a_reset() {
    let server = TestServer::start();
    let token = server.token("alice");
    let (mut phone, welcome) = WireClient::login(&server, hello("alice", "phone", &token));
    phone.send_message(1, "alice", b"one");
    phone.expect_send_ack(1);
    let foreign = wire::Hello { cursor: Some(1), log_epoch: 7, ..hello("alice", "desk", &token) };
    let beyond = wire::Hello { cursor: Some(9), log_epoch: welcome.log_epoch, ..hello("alice", "lap", &token) };
    for hello in [foreign, beyond] {
        let (mut client, _) = WireClient::login(&server, hello);
        let Frame::SyncReset(reset) = client.expect() else { panic!("no SYNC_RESET") };
        assert_eq!((reset.log_epoch, reset.head), (welcome.log_epoch, 1));
        assert_eq!(client.ping().head, 0, "it goes on from the head");
    }
}
