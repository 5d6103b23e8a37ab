//! `/v1/ws` against the rules of RFC 6455, each broken and kept. No deviation is known, but for one that the library
//! takes and the RFC forbids: a length that could have been written shorter.

use hongyan_proto::{CloseCode, frame::Frame, wire};
use serde_json::{Value, json};

use super::socket::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, WebSocket};
use crate::{server::TestServer, wire::hello};

const FORMS: [&str; 2] = ["hongyan.v1", "hongyan.v1.json"];

/// A socket that has logged in, with nothing under way.
fn live(server: &TestServer, form: &str) -> WebSocket {
    let mut socket = WebSocket::connect(server.http(), form);
    socket.send(&Frame::Hello(hello("alice", "web", &server.token("alice"))));
    assert!(matches!(socket.receive(), Some(Frame::Welcome(_))));
    socket
}

fn ping() -> Vec<u8> {
    json!({ "ping": {} }).to_string().into()
}

fn expect_pong(socket: &mut WebSocket) {
    assert!(matches!(socket.receive(), Some(Frame::Pong(_))));
}

#[test]
fn both_forms_carry_the_protocol() {
    let server = TestServer::start();
    for form in FORMS {
        let mut socket = live(&server, form);
        socket.send(&Frame::Ping(wire::Ping::default()));
        expect_pong(&mut socket);
        socket.send(&Frame::Ack(wire::Ack { useq: 99 }));
        assert!(matches!(socket.receive(), Some(Frame::Close(close)) if CloseCode(close.code) == CloseCode::BAD_ACK));
        socket.expect_close(1000);
        // Nothing is done before a login.
        let mut stranger = WebSocket::connect(server.http(), form);
        stranger.send(&Frame::Ack(wire::Ack { useq: 1 }));
        assert!(
            matches!(stranger.receive(), Some(Frame::Close(close)) if CloseCode(close.code) == CloseCode::WRONG_STATE)
        );
    }
    server.wait_for_metric("hongyan_sessions", 0);
    server.assert_healthy();
}

#[test]
fn the_token_of_a_login_by_http_resumes_on_a_socket() {
    let server = TestServer::start();
    let login = super::WebDevice::login(&server, "alice", "page");
    let mut socket = WebSocket::connect(server.http(), "hongyan.v1.json");
    let resume = json!({ "resume": { "resumeToken": login.token } }).to_string();
    socket.put(FIN | TEXT, resume.as_bytes());
    assert!(matches!(socket.receive(), Some(Frame::Resumed(_))));
    login.get("/v1/account").expect_problem(409, "REPLACED");
}

#[test]
fn messages_may_come_in_fragments_with_control_frames_between() {
    let server = TestServer::start();
    let mut socket = live(&server, "hongyan.v1.json");
    let ping = ping();
    socket.put(TEXT, &ping[..3]);
    socket.put(FIN | PING, b"between");
    socket.put(CONTINUATION, b"");
    socket.put(FIN | PONG, b"nobody asked");
    socket.put(FIN | CONTINUATION, &ping[3..]);
    assert_eq!(socket.take(), Some((FIN | PONG, b"between".to_vec())));
    expect_pong(&mut socket);
    socket.put(FIN | PING, &[b'x'; 125]);
    assert_eq!(socket.take(), Some((FIN | PONG, vec![b'x'; 125])));
    // A character in two fragments.
    let signal = json!({ "signal": { "to": "雁", "body": "" } }).to_string();
    let middle = signal.find('雁').unwrap() + 1;
    socket.put(TEXT, &signal.as_bytes()[..middle]);
    socket.put(FIN | CONTINUATION, &signal.as_bytes()[middle..]);
    socket.put(FIN | TEXT, &ping);
    expect_pong(&mut socket);
    // Bytes of the native form may be cut anywhere, also between messages.
    let mut socket = live(&server, "hongyan.v1");
    for byte in [0, 0, 1, 6] {
        socket.put(FIN | BINARY, &[byte]);
        socket.put(FIN | BINARY, &[]);
    }
    expect_pong(&mut socket);
}

#[test]
fn each_broken_rule_has_its_close_code() {
    type Break = fn(&mut WebSocket);
    let breaks: [(&str, u16, Break); 22] = [
        ("a reserved bit", 1002, |socket| socket.put(FIN | 0x40 | TEXT, b"{}")),
        ("a reserved opcode", 1002, |socket| socket.put(FIN | 3, b"")),
        ("a reserved control opcode", 1002, |socket| socket.put(FIN | 11, b"")),
        ("no mask", 1002, |socket| socket.put_raw(&[FIN | TEXT, 2, b'{', b'}'])),
        ("a long ping", 1002, |socket| socket.put(FIN | PING, &[0; 126])),
        ("a ping in fragments", 1002, |socket| socket.put(PING, b"")),
        ("a continuation of nothing", 1002, |socket| socket.put(FIN | CONTINUATION, b"")),
        ("a message within a message", 1002, |socket| {
            socket.put(TEXT, b"{");
            socket.put(FIN | TEXT, b"}");
        }),
        ("no UTF-8", 1007, |socket| socket.put(FIN | TEXT, b"\xff")),
        ("half a character", 1007, |socket| socket.put(FIN | TEXT, b"{\xe9\x9b")),
        ("a surrogate", 1007, |socket| socket.put(FIN | TEXT, b"\xed\xa0\x80")),
        ("no UTF-8 in fragments", 1007, |socket| {
            socket.put(TEXT, b"{");
            socket.put(FIN | CONTINUATION, b"\xff");
        }),
        ("a long frame", 1009, |socket| {
            socket.put_raw(&[FIN | TEXT, 0xFF, 0, 0, 0, 0, 0x10, 0, 0, 0, 1, 2, 3, 4]);
        }),
        ("an endless frame", 1009, |socket| {
            socket.put_raw(&[FIN | TEXT, 0xFF, 0x7F, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4]);
        }),
        ("a long message in fragments", 1009, |socket| {
            socket.put(TEXT, &[b' '; 60_000]);
            socket.put(CONTINUATION, &[b' '; 60_000]);
            let _ = socket.try_put(FIN | CONTINUATION, &[b' '; 60_000]);
        }),
        ("half a close code", 1002, |socket| socket.put(FIN | CLOSE, &[3])),
        ("a close code that is none", 1002, |socket| socket.put(FIN | CLOSE, &999_u16.to_be_bytes())),
        ("a close code that never travels", 1002, |socket| socket.put(FIN | CLOSE, &1005_u16.to_be_bytes())),
        ("binary where text belongs", 1003, |socket| socket.put(FIN | BINARY, b"{}")),
        ("no JSON", 1007, |socket| socket.put(FIN | TEXT, b"")),
        ("no frame", 1007, |socket| socket.put(FIN | TEXT, b"{\"ping\": {\"next\": 1}}")),
        ("a close in good order", 1000, |socket| socket.put(FIN | CLOSE, &1000_u16.to_be_bytes())),
    ];
    let server = TestServer::start();
    for (what, code, break_it) in breaks {
        eprintln!("{what}");
        let mut socket = live(&server, "hongyan.v1.json");
        break_it(&mut socket);
        socket.expect_close(code);
    }
    let mut socket = live(&server, "hongyan.v1");
    socket.put(FIN | TEXT, &ping());
    socket.expect_close(1003);
    server.wait_for_metric("hongyan_sessions", 0);
    server.assert_healthy();
}

#[test]
fn a_handshake_that_is_none_is_a_problem() {
    let server = TestServer::start();
    let refused = |more: &str| WebSocket::handshake(server.http(), more).unwrap().0;
    assert_eq!(refused("sec-websocket-version: 13\r\n"), 400, "no subprotocol");
    assert_eq!(refused("sec-websocket-version: 13\r\nsec-websocket-protocol: mqtt\r\n"), 400);
    assert_eq!(refused("sec-websocket-version: 8\r\nsec-websocket-protocol: hongyan.v1\r\n"), 426);
    let foreign = "origin: https://evil.example\r\nsec-websocket-version: 13\r\nsec-websocket-protocol: hongyan.v1\r\n";
    assert_eq!(refused(foreign), 403);
}

#[test]
fn a_request_of_any_kind_is_answered_as_json() {
    let server = TestServer::start();
    let mut socket = live(&server, "hongyan.v1.json");
    socket.put(FIN | TEXT, br#"{"request": {"id": 7, "account": {}}}"#);
    let (_, payload) = socket.take().unwrap();
    let answer: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!((&answer["response"]["id"], &answer["response"]["account"]["uid"]), (&json!("7"), &json!("alice")));
}
