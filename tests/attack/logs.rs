//! What reaches the log, the metrics and the errors: nothing secret, and no line that a peer has written.

use hongyan_proto::{CloseCode, frame::Frame, wire};

use crate::{
    fixture::OPEN,
    server::TestServer,
    wire::{WireClient, encoded, hello, hello_with_password, message},
};

/// Everything that the program can be made to log.
const TRACE: &str = "[log]\nlevel = \"trace\"\n";
const EVIL: &str = "x\n2026-01-01T00:00:00Z ERROR hongyan: forged\r\n\x1b[2J\x1b]0;owned\x07\u{202e}\u{2028}\0end";

#[test]
fn a_peer_writes_no_line_of_its_own_into_the_log() {
    for format in ["human", "json"] {
        let server = TestServer::with(&format!("{OPEN}{TRACE}format = \"{format}\"\n"));
        let token = server.token("alice");
        let evil = || EVIL.to_owned();
        let good = hello("alice", "phone", &token);
        for hello in [
            wire::Hello { agent: evil(), ..good.clone() },
            wire::Hello { uid: evil(), ..good.clone() },
            wire::Hello { device: evil(), ..good.clone() },
            hello(EVIL, "phone", EVIL),
            hello_with_password("alice", "phone", EVIL),
        ] {
            let mut client = WireClient::open(server.address());
            client.send(Frame::Hello(hello));
            assert!(matches!(client.expect(), Frame::Reject(_)));
        }
        let (mut alice, _) = WireClient::login(&server, good);
        alice.send(message(1, EVIL, EVIL.as_bytes()));
        assert!(matches!(alice.expect(), Frame::SendNack(_)));
        alice.send(Frame::Signal(wire::Signal {
            to: evil(),
            from: evil(),
            body: EVIL.as_bytes().to_vec().into(),
            ..Default::default()
        }));
        let op = wire::request::Op::History(wire::HistoryRequest { conversation: evil(), ..Default::default() });
        alice.send(Frame::Request(wire::Request { id: 1, op: Some(op) }));
        assert!(matches!(alice.expect(), Frame::Response(_)));
        alice.send(Frame::Close(wire::Close { code: 77, reason: evil(), retry_after_ms: 0 }));
        server.wait_for_metric("hongyan_sessions", 0);
        server.wait_for_log("a connection ends");
        let log = server.stderr();
        assert!(!log.lines().any(|line| line.starts_with("2026-01-01T00:00:00Z ERROR")), "{log}");
        let acts = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202e}' | '\u{2028}');
        assert!(!log.contains(acts), "{format}: {log:?}");
        let metrics = server.get("/metrics").1;
        assert!(!metrics.contains("forged") && metrics.contains("code=\"other\""), "{metrics}");
    }
}

/// A secret of each kind, in everything that a client can do with it, right and wrong.
#[test]
fn no_secret_is_told_to_anyone() {
    const BODY: &str = "canary-body-5f1d";
    const PASSWORD: &str = "canary-password-77e2";
    let server = TestServer::with(&format!("{OPEN}{TRACE}"));
    server.add_user("alice", PASSWORD);
    let token = server.token("bob");
    let mut said = Vec::new();
    let mut refused = |hello: wire::Hello| {
        let mut client = WireClient::open(server.address());
        client.send(Frame::Hello(hello));
        match client.expect() {
            Frame::Reject(reject) => said.push(reject.reason),
            other => panic!("{other:?}"),
        }
    };
    refused(hello_with_password("alice", "phone", &format!("{PASSWORD}x")));
    refused(hello_with_password("bob", "phone", PASSWORD));
    refused(hello_with_password("not a uid", "phone", PASSWORD));
    refused(hello("alice", "phone", &token));
    refused(hello("bob", "phone", &format!("{token}x")));
    refused(hello("bob", "not a device", &token));
    let (mut alice, welcome) = WireClient::login(&server, hello_with_password("alice", "phone", PASSWORD));
    let (mut bob, _) = WireClient::login(&server, hello("bob", "phone", &token));
    for (send_no, to) in [(1, "bob"), (2, "nobody"), (3, "not a uid")] {
        alice.send_message(send_no, to, BODY.as_bytes());
        match alice.skip(|frame| matches!(frame, Frame::Credit(_))) {
            Frame::SendAck(_) => {}
            Frame::SendNack(nack) => said.push(nack.reason),
            other => panic!("{other:?}"),
        }
    }
    bob.expect_message(1);
    alice.send(Frame::Signal(wire::Signal {
        to: "bob".into(),
        from: String::new(),
        body: BODY.as_bytes().into(),
        ..Default::default()
    }));
    assert!(matches!(bob.expect(), Frame::Signal(_)));
    // A frame that breaks off in the middle of a content, and one that is no protobuf.
    let mut broken = encoded(&[message(4, "bob", BODY.as_bytes())]);
    let last = broken.len() - BODY.len() - 1;
    broken[last] = 0x7F;
    alice.send_bytes(&broken);
    said.push(alice.expect_close(CloseCode::BAD_MESSAGE).reason);
    let mut thief = WireClient::open(server.address());
    let stolen = [&welcome.resume_token[..], b"x"].concat();
    thief.send(crate::wire::resume(&stolen, 0));
    said.push(thief.expect_reject(CloseCode::RESUME_REFUSED).reason);
    let verified = server.command(&["user", "list"]);
    said.push(String::from_utf8_lossy(&verified.stdout).into_owned());
    said.push(server.get("/metrics").1);
    said.push(server.stderr());
    let signature = token.rsplit('.').next().unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let listed = |bytes: &[u8]| format!("{bytes:?}").trim_matches(['[', ']']).to_owned();
    for bytes in [BODY.as_bytes(), PASSWORD.as_bytes(), signature.as_bytes(), &welcome.resume_token[4..]] {
        for form in [String::from_utf8_lossy(bytes).into_owned(), hex(bytes), listed(bytes)] {
            for text in &said {
                assert!(!text.contains(&form), "{form} stands in {text}");
            }
        }
    }
    assert!(server.stderr().contains("a token was refused"), "the log was at its most talkative");
    server.assert_healthy();
}
