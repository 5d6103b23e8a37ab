//! The HTTP port: heads, queries and bodies without end, and what belongs to others.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{fixture::OPEN, server::TestServer, wire::WireClient};

const KIB: u64 = 1024;

fn connect(server: &TestServer) -> TcpStream {
    let stream = TcpStream::connect(server.http()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// The status that the server answers before it closes; 0 if it closes without a word.
fn status(mut stream: TcpStream) -> u16 {
    let mut answer = Vec::new();
    // A reset cuts off what the peer still wanted to write.
    let _ = stream.read_to_end(&mut answer);
    let line = String::from_utf8_lossy(&answer);
    line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// A request with a JSON body: status and answer.
fn ask(server: &TestServer, method: &str, target: &str, token: Option<&str>, body: Option<&Value>) -> (u16, String) {
    let mut stream = connect(server);
    let body = body.map_or(String::new(), Value::to_string);
    let bearer = token.map_or(String::new(), |token| format!("authorization: Bearer {token}\r\n"));
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{bearer}\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

pub fn login(server: &TestServer, uid: &str) -> String {
    let body = json!({ "token": server.token(uid), "device": "web" });
    let (status, answer) = ask(server, "POST", "/v1/login", None, Some(&body));
    assert_eq!(status, 200, "{answer}");
    let body: Value = serde_json::from_str(&answer[answer.find('{').unwrap()..=answer.rfind('}').unwrap()]).unwrap();
    body["token"].as_str().unwrap().to_owned()
}

#[test]
fn heads_without_end_are_refused() {
    let server = TestServer::with(OPEN);
    let mut bystander = WireClient::login_as(&server, "bystander", "phone").0;
    let begin = "GET /v1/account HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
    let cases = [
        ("many fields", format!("{begin}{}\r\n", "a: b\r\n".repeat(5000))),
        ("one long field", format!("{begin}a: {}\r\n\r\n", "b".repeat(300_000))),
        ("a long name", format!("{begin}{}: b\r\n\r\n", "a".repeat(100_000))),
        ("a long path", format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(300_000))),
        ("a long query", format!("GET /v1/events?{} HTTP/1.1\r\nhost: x\r\n\r\n", "after=1&".repeat(40_000))),
        ("no HTTP", "\u{0}".repeat(100_000)),
        ("two lengths", format!("{begin}content-length: 1\r\ncontent-length: 2\r\n\r\n")),
        ("a length and pieces", format!("{begin}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n")),
    ];
    for (what, head) in cases {
        let mut stream = connect(&server);
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let status = status(stream);
        assert!([0, 400, 401, 414, 431].contains(&status), "{what}: {status}");
    }
    bystander.ping();
    server.assert_healthy();
}

#[test]
fn half_heads_cost_a_buffer_each() {
    const PEERS: u64 = 200;
    let server = TestServer::with(OPEN);
    WireClient::login_as(&server, "bystander", "phone").0.ping();
    let before = server.rss();
    let half = format!("GET / HTTP/1.1\r\nhost: x\r\na: {}", "b".repeat(15_000));
    let peers: Vec<_> = (0..PEERS)
        .map(|_| {
            let mut peer = connect(&server);
            peer.write_all(half.as_bytes()).unwrap();
            peer
        })
        .collect();
    server.wait_for_metric("hongyan_http_connections", PEERS + 1);
    let each = server.rss().saturating_sub(before) / PEERS;
    assert!(each < 64 * KIB, "{each} bytes each");
    drop(peers);
    server.assert_healthy();
}

#[test]
fn bodies_without_end_are_refused_before_they_are_read() {
    let server = TestServer::with(OPEN);
    let token = login(&server, "alice");
    for bearer in ["", &format!("authorization: Bearer {token}\r\n")] {
        for length in ["content-length: 4000000000", "transfer-encoding: chunked"] {
            let mut stream = connect(&server);
            write!(
                stream,
                "POST /v1/messages HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{bearer}content-type: application/json\r\n\
                 {length}\r\n\r\n"
            )
            .unwrap();
            let piece = format!("10000\r\n{}\r\n", " ".repeat(0x1_0000));
            let flood = (0..64).all(|_| stream.write_all(piece.as_bytes()).is_ok());
            let status = status(stream);
            let expected: &[u16] = if bearer.is_empty() { &[401, 0] } else { &[413, 400, 0] };
            assert!(expected.contains(&status), "{length}, flooded: {flood}, {status}");
        }
    }
    // Deep rather than long.
    let deep = format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000));
    let mut stream = connect(&server);
    write!(
        stream,
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{deep}",
        deep.len()
    )
    .unwrap();
    assert_eq!(status(stream), 400);
    server.assert_healthy();
}

/// A frame of HTTP/2.
fn h2_frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap();
    [&len.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Requests whose bodies do not come, on one connection: so many are waited for, each one more is refused at once.
#[test]
fn requests_at_once_are_so_many_on_http_2() {
    const HEADERS: u8 = 1;
    const RESET: u8 = 3;
    const SETTINGS: u8 = 4;
    const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];
    let server = TestServer::with(&format!("{OPEN}[web]\nrequests_per_second = 10000\nrequests_burst = 10000\n"));
    let token = login(&server, "alice");
    // POST, http, and literals that go into no table.
    let mut head = vec![0x83, 0x86];
    let literals = [
        (":path", "/v1/messages"),
        (":authority", "localhost"),
        ("authorization", &format!("Bearer {token}")),
        ("content-type", "application/json"),
        ("content-length", "9"),
    ];
    for text in literals {
        head.push(0);
        for part in [text.0, text.1] {
            assert!(part.len() < 127);
            head.push(part.len() as u8);
            head.extend(part.as_bytes());
        }
    }
    let mut stream = connect(&server);
    let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    out.extend(h2_frame(SETTINGS, 0, 0, &[]));
    let odd = |number: u32| 2 * number + 1;
    (0..140).for_each(|number| out.extend(h2_frame(HEADERS, 4, odd(number), &head)));
    stream.write_all(&out).unwrap();
    let mut refused = Vec::new();
    while refused.len() < 12 {
        let mut header = [0; 9];
        stream.read_exact(&mut header).unwrap();
        let [a, b, c, kind, _, stream_id @ ..] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).unwrap();
        assert_ne!(kind, HEADERS, "a request is answered that is not complete");
        if kind == RESET {
            assert_eq!(payload, REFUSED_STREAM);
            refused.push(u32::from_be_bytes(stream_id));
        }
    }
    assert_eq!(refused, (128..140).map(odd).collect::<Vec<_>>());
    server.assert_healthy();
}

/// Mallory asks for everything by every path; what she gets is her own, or nothing.
#[test]
fn nothing_of_others_is_served() {
    const SECRET: &str = "between-alice-and-bob";
    let server = TestServer::with(OPEN);
    let (alice, bob, mallory) = (login(&server, "alice"), login(&server, "bob"), login(&server, "mallory"));
    let message = json!({ "to": "bob", "text": SECRET });
    assert_eq!(ask(&server, "POST", "/v1/messages", Some(&alice), Some(&message)).0, 200);
    let (_, own) = ask(&server, "GET", "/v1/conversations/alice/messages", Some(&bob), None);
    assert!(own.contains(SECRET), "{own}");
    // All of Alice's token but one character in the middle of its secret.
    let mut stolen = alice.clone();
    stolen.replace_range(20..21, if &alice[20..21] == "A" { "B" } else { "A" });
    let cases = [
        ("GET", "/v1/events?after=0", Value::Null),
        ("GET", "/v1/events?after=18446744073709551615", Value::Null),
        ("GET", "/v1/account", Value::Null),
        ("GET", "/v1/conversations", Value::Null),
        ("GET", "/v1/conversations/alice/messages", Value::Null),
        ("GET", "/v1/conversations/bob/messages", Value::Null),
        ("GET", "/v1/conversations/..%2f..%2falice/messages", Value::Null),
        ("POST", "/v1/request", json!({ "history": { "conversation": "bob", "limit": 200 } })),
        ("POST", "/v1/request", json!({ "account": {} })),
        ("POST", "/v1/messages", json!({ "from": "alice", "to": "bob", "text": "forged" })),
        ("POST", "/v1/signal", json!({ "from": "alice", "to": "bob", "body": "eA==" })),
        ("POST", "/v1/ack", json!({ "useq": 1, "uid": "bob" })),
    ];
    for (method, target, body) in cases {
        let body = (!body.is_null()).then_some(&body);
        let (_, answer) = ask(&server, method, target, Some(&mallory), body);
        assert!(!answer.contains(SECRET), "{method} {target}: {answer}");
        for token in [None, Some(stolen.as_str()), Some("AAAA"), Some(&mallory[..10])] {
            let (status, answer) = ask(&server, method, target, token, body);
            assert!([400, 401, 429].contains(&status), "{method} {target} with {token:?}: {answer}");
        }
    }
    let (_, entries) = ask(&server, "GET", "/v1/events?after=0", Some(&bob), None);
    let forged = entries.contains("forged") && !entries.contains("mallory");
    assert!(!forged, "{entries}");
    server.assert_healthy();
}
