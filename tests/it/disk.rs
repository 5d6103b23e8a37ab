//! A disk without room: nothing is acknowledged that is not kept, reading goes on, and it recovers.

use hongyan_proto::{
    frame::Frame,
    wire::{self, NackCode, request},
};
use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::{
    server::{TestServer, eventually},
    wire::{WireClient, encoded, hello, message},
};

const MIB: u64 = 1 << 20;

#[test]
fn a_full_disk_refuses_messages_for_now_and_goes_on_reading() {
    // The reserve is set so that a file of this test, not the real end of the disk, is what fills it.
    let data = tempfile::Builder::new().prefix("hy").tempdir().unwrap();
    let space = statvfs(data.path()).unwrap();
    let free = space.f_bavail * space.f_frsize / MIB;
    if free < 6 * 1024 {
        println!("skipped: {free} MiB free, this test wants 6 GiB");
        return;
    }
    let reserve = free - 2 * 1024;
    let ballast = data.path().join("ballast");
    let server = TestServer::on(data, &format!("[store]\nreserve = \"{reserve}MiB\"\n"));
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    alice.send_message(1, "bob", b"kept");
    let first = alice.expect_send_ack(1);
    bob.expect_message(1);

    let file = std::fs::File::create(&ballast).unwrap();
    if let Err(error) = fallocate(&file, FallocateFlags::empty(), 0, 4 * 1024 * MIB) {
        println!("skipped: {error}");
        return;
    }
    // The same message twice in one write, so that the second may repeat an answer that never became durable.
    for _ in 0..10 {
        alice.send_bytes(&encoded(&[message(2, "bob", b"refused"), message(2, "bob", b"refused")]));
        for _ in 0..2 {
            assert!(alice.expect_nack(2, NackCode::NackUnavailable).retry_after_ms > 0);
        }
    }
    assert_eq!(server.get("/readyz").0, 503);
    assert_eq!(server.get("/healthz").0, 200);
    // Reading goes on.
    let history = wire::HistoryRequest { conversation: "bob".into(), ..Default::default() };
    alice.send(Frame::Request(wire::Request { id: 1, op: Some(request::Op::History(history)) }));
    match alice.expect() {
        Frame::Response(wire::Response { result: Some(wire::response::Result::History(page)), .. }) => {
            assert_eq!((page.entries.len(), page.head_cseq), (1, 1));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bob.ping().head, 1);

    std::fs::remove_file(&ballast).unwrap();
    drop(file);
    let taken = eventually("there is room again", || {
        alice.send_message(2, "bob", b"taken");
        match alice.expect() {
            Frame::SendAck(ack) => Some(ack),
            _ => None,
        }
    });
    assert_eq!((taken.cseq, taken.useq), (first.cseq + 1, first.useq + 1), "no number was lost");
    assert_eq!(&bob.expect_message(2).content[..], b"taken");
    assert_eq!(server.get("/readyz").0, 200);
    server.assert_healthy();
}

#[test]
fn a_login_on_a_full_disk_is_asked_to_come_back() {
    let mut server = TestServer::start();
    let token = server.token("alice");
    assert!(server.terminate().success());
    server.restart_with("[store]\nreserve = \"1024GiB\"\n");
    let mut client = WireClient::open(server.address());
    client.send(Frame::Hello(hello("alice", "phone", &token)));
    client.expect_reject(hongyan_proto::CloseCode::UNAVAILABLE);
    assert!(server.terminate().success());
    server.restart_with("");
    WireClient::login(&server, hello("alice", "phone", &token));
}
