//! A disk without room: nothing is acknowledged that is not kept, reading goes on, and it recovers.

use std::{
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use hongyan_proto::{
    frame::Frame,
    wire::{self, NackCode, request},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
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
    let next = send_until_refused(&mut alice, &mut bob, 2);
    let kept = next - 1;
    // The same message twice in one write, so that the second may repeat an answer that never became durable.
    for _ in 0..10 {
        alice.send_bytes(&encoded(&[message(next, "bob", b"refused"), message(next, "bob", b"refused")]));
        for _ in 0..2 {
            assert!(alice.expect_nack(next, NackCode::NackUnavailable).retry_after_ms > 0);
        }
    }
    assert_eq!(server.get("/readyz").0, 503);
    assert_eq!(server.get("/healthz").0, 200);
    // Reading goes on.
    let history = wire::HistoryRequest { conversation: "bob".into(), limit: 1, ..Default::default() };
    alice.send(Frame::Request(wire::Request { id: 1, op: Some(request::Op::History(history)) }));
    match alice.expect() {
        Frame::Response(wire::Response { result: Some(wire::response::Result::History(page)), .. }) => {
            assert_eq!((page.entries.len(), page.head_cseq), (1, kept));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bob.ping().head, kept);

    std::fs::remove_file(&ballast).unwrap();
    drop(file);
    let taken = eventually("there is room again", || {
        alice.send_message(next, "bob", b"taken");
        match alice.expect() {
            Frame::SendAck(ack) => Some(ack),
            _ => None,
        }
    });
    assert_eq!((taken.cseq, taken.useq), (first.cseq + kept, first.useq + kept), "no number was lost");
    assert_eq!(&bob.expect_message(next).content[..], b"taken");
    assert_eq!(server.get("/readyz").0, 200);
    server.assert_healthy();
}

/// Messages of alice from `next` on, until the disk is seen to be full: where there was room it is asked once a second. Gives the
/// number of the one that was refused.
fn send_until_refused(alice: &mut WireClient, bob: &mut WireClient, mut next: u64) -> u64 {
    eventually("the disk is seen to be full", || {
        alice.send_message(next, "bob", b"still taken");
        let answer = std::iter::repeat_with(|| alice.expect()).find(|frame| !matches!(frame, Frame::Credit(_)));
        match answer {
            Some(Frame::SendAck(_)) => {
                bob.expect_message(next);
                next += 1;
                // A few messages, which bob need not have acked meanwhile.
                thread::sleep(Duration::from_millis(250));
                None
            }
            Some(Frame::SendNack(nack)) => (nack.code() == NackCode::NackUnavailable).then_some(()),
            other => panic!("{other:?}"),
        }
    });
    next
}

/// A disk that is really full, without a reserve: a small one in memory, which only a user namespace may mount. What
/// was acknowledged before is there after the restart; nothing is acknowledged that was not kept.
#[test]
fn a_disk_that_is_really_full_loses_nothing_acknowledged() {
    let unshare = |args: &[&str]| Command::new("unshare").arg("-Urm").args(args).stdin(Stdio::null()).output();
    match unshare(&["mount", "-t", "tmpfs", "none", "/tmp"]) {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            println!("skipped: no file system can be mounted here: {}", String::from_utf8_lossy(&output.stderr));
            return;
        }
        Err(error) => {
            println!("skipped: unshare: {error}");
            return;
        }
    }
    let program = std::env::current_exe().unwrap();
    let inside = ["--exact", "disk::inside_a_small_disk", "--ignored", "--nocapture"];
    let output = unshare(&[&[program.to_str().unwrap()], &inside[..]].concat()).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("recovered"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "run in a namespace of its own by a_disk_that_is_really_full_loses_nothing_acknowledged"]
fn inside_a_small_disk() {
    let data = tempfile::Builder::new().prefix("hy").tempdir().unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "none"]).arg(data.path()).status();
    assert!(mounted.unwrap().success());
    let mut server = TestServer::on(data, "[store]\nreserve = \"0B\"\n[limits]\nmessages_burst = 1000000\n");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let token = server.token("alice");
    server.token("bob");
    // What cannot be compressed.
    let content = |send_no: u64| {
        let mut bytes = vec![0_u8; 30_000];
        StdRng::seed_from_u64(send_no).fill(&mut bytes[..]);
        bytes
    };
    let mut acknowledged = 0;
    let refused = loop {
        let send_no = acknowledged + 1;
        alice.send_message(send_no, "bob", &content(send_no));
        match alice.skip(|frame| matches!(frame, Frame::Credit(_) | Frame::Ping(_))) {
            Frame::SendAck(ack) => assert_eq!((ack.send_no, ack.cseq), (send_no, send_no)),
            Frame::SendNack(nack) => break nack,
            other => panic!("{other:?}"),
        }
        acknowledged = send_no;
        assert!(acknowledged < 10_000, "24 MiB hold no 300 MB");
    };
    assert_eq!(refused.code, NackCode::NackUnavailable as i32);
    // Whatever is tried again is refused again, until somebody has made room and started it anew.
    alice.send_message(acknowledged + 1, "bob", b"small");
    let again = alice.skip(|frame| matches!(frame, Frame::Credit(_) | Frame::Ping(_)));
    assert!(matches!(again, Frame::SendNack(_)), "{again:?}");
    assert_eq!(server.get("/healthz").0, 200);
    server.kill();
    let grown = Command::new("mount").args(["-o", "remount,size=200m"]).arg(server.data()).status();
    assert!(grown.unwrap().success());
    server.restart();
    let login = wire::Hello { last_send_no: acknowledged + 1, ..hello("alice", "phone", &token) };
    let (mut alice, welcome) = WireClient::login(&server, login);
    assert!((acknowledged..=acknowledged + 1).contains(&welcome.last_send_no), "{welcome:?}");
    for cseq in 1..=acknowledged {
        let op = wire::HistoryRequest {
            conversation: "bob".into(),
            after: cseq - 1,
            limit: 1,
            forward: true,
            before: 0,
            around: 0,
        };
        alice.send(Frame::Request(wire::Request { id: cseq, op: Some(request::Op::History(op)) }));
        let answer = alice.skip(|frame| !matches!(frame, Frame::Response(_)));
        let Frame::Response(wire::Response { result: Some(wire::response::Result::History(page)), .. }) = answer else {
            panic!("{answer:?}");
        };
        let Some(wire::entry::Item::Message(message)) = &page.entries[0].item else { panic!("{page:?}") };
        assert_eq!((message.cseq, &message.content[..]), (cseq, &content(cseq)[..]));
    }
    server.assert_healthy();
    println!("recovered: {acknowledged} messages were acknowledged before the disk was full, and all are there");
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
