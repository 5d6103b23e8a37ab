//! People behind proxies: each counts as their own address, where the proxy is trusted and says it, and nowhere else.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
};

use hongyan_proto::{CloseCode, codec::PREFACE, frame::Frame};
use serde_json::json;

use super::{
    server::{DEADLINE, TestServer},
    web::http::Request,
    wire::{WireClient, encoded, hello},
};

const PEOPLE: u8 = 200;
const GUESSER: [u8; 4] = [203, 0, 113, 66];

/// What a proxy says first of somebody at this address, by either version of the protocol.
fn header([a, b, c, d]: [u8; 4]) -> Vec<u8> {
    if d.is_multiple_of(2) {
        return format!("PROXY TCP4 {a}.{b}.{c}.{d} 10.0.0.1 4096 7600\r\n").into();
    }
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", &[a, b, c, d, 10, 0, 0, 1, 0x10, 0, 0x1d, 0xb0][..]].concat()
}

/// A connection through a proxy, which has said for whom.
fn connect(server: &TestServer, person: [u8; 4]) -> WireClient {
    let mut client = WireClient::connect(server.address());
    // The person's first words come in one piece with it.
    client.send_bytes(&[&header(person)[..], &PREFACE].concat());
    client
}

fn guess(server: &TestServer, uid: &str) -> CloseCode {
    let mut guesser = connect(server, GUESSER);
    guesser.send(Frame::Hello(hello(uid, "phone", "a.bad.token")));
    match guesser.expect() {
        Frame::Reject(reject) => CloseCode(reject.code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_hundred_people_behind_one_proxy_log_in_while_one_of_them_guesses() {
    let server = TestServer::with(
        "[proxies]\ntrusted = \"127.0.0.1\"\nnative = \"proxy-header\"\n[limits]\nmax_unauthenticated_per_ip = 3\n",
    );
    let mut guesses = Vec::new();
    let people: Vec<_> = (0..PEOPLE)
        .map(|n| {
            let uid = format!("person{n}");
            let token = server.token(&uid);
            guesses.push(guess(&server, &uid));
            let mut person = connect(&server, [192, 0, 2, n]);
            person.send(Frame::Hello(hello(&uid, "phone", &token)));
            person.expect_welcome();
            person
        })
        .collect();
    assert_eq!(guesses[0], CloseCode::BAD_CREDENTIALS);
    assert_eq!(guesses.last(), Some(&CloseCode::TOO_MANY_ATTEMPTS), "the guesser counts as one");
    // Strangers count by their own address too.
    let idle: Vec<_> = (0..4).map(|_| connect(&server, GUESSER)).collect();
    server.wait_for_metric("hongyan_connections_turned_away_total", 1);
    let (mut late, token) = (connect(&server, [192, 0, 2, 250]), server.token("late"));
    late.send(Frame::Hello(hello("late", "phone", &token)));
    late.expect_welcome();
    drop((idle, people));
    server.assert_healthy();
}

#[test]
fn nobody_but_a_trusted_proxy_says_who_they_are() {
    let server = TestServer::with("[proxies]\ntrusted = \"10.0.0.0/8\"\nnative = \"proxy-header\"\n");
    for d in [6, 7] {
        connect(&server, [192, 0, 2, d]).expect_close(CloseCode::BAD_PREFACE);
    }
    WireClient::login_as(&server, "alice", "phone").0.ping();
    // Each guess from another address, as it says itself: three are free, the next waits.
    server.token("bob");
    let answers: Vec<_> =
        (0..4).map(|n| sign_in("bob", "a.bad.token", &format!("192.0.2.{n}")).send(server.http())).collect();
    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [401, 401, 401, 429]);
}

#[test]
fn a_trusted_proxy_without_its_header_is_bounded_and_closed() {
    let server = TestServer::with(
        "[proxies]\ntrusted = \"127.0.0.0/8\"\nnative = \"proxy-header\"\nmax_pending = 2\n\
         [limits]\nmax_unauthenticated = 2\nmax_unauthenticated_per_ip = 2\nlogin_timeout = \"1m\"\n",
    );
    let mut forgetful = WireClient::open(server.address());
    assert_closed(&mut forgetful);
    server.wait_for_log("no PROXY header");
    let pending: Vec<_> = (0..3).map(|_| WireClient::connect(server.address())).collect();
    server.wait_for_log("too many others are without their PROXY header");
    // One of them is gone. The others are nobody's strangers, and people as soon as their headers have come.
    let served = pending.into_iter().enumerate().filter_map(|(n, mut client)| {
        let hello = Frame::Hello(hello("alice", &format!("device{n}"), &server.token("alice")));
        client.try_send_bytes(&[&header([192, 0, 2, 1])[..], &PREFACE, &encoded(&[hello])].concat()).ok()?;
        client.next_within(DEADLINE).ok()?
    });
    assert_eq!(served.filter(|frame| matches!(frame, Frame::Welcome(_))).count(), 2);
    server.assert_healthy();
}

#[test]
fn a_header_that_does_not_come_is_waited_for_only_so_long() {
    let server = TestServer::with(
        "[proxies]\ntrusted = \"127.0.0.1\"\nnative = \"proxy-header\"\nhttp = \"proxy-header\"\n\
         [limits]\nlogin_timeout = \"1s\"\n",
    );
    for address in [server.address(), server.http()] {
        let mut half = WireClient::connect(address);
        half.send_bytes(b"PROXY TCP4 192.0");
        assert_eq!(half.next(), None);
    }
    // HTTP behind the same header.
    let mut stream = TcpStream::connect(server.http()).unwrap();
    stream.write_all(&[&header([192, 0, 2, 7])[..], b"GET /healthz HTTP/1.0\r\n\r\n"].concat()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
}

/// By an end, or by a reset where something that it said had not been read.
fn assert_closed(client: &mut WireClient) {
    match client.next_within(DEADLINE) {
        Ok(None) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        Ok(Some(frame)) => panic!("{frame:?}"),
    }
}

fn sign_in(uid: &str, token: &str, forwarded_for: &str) -> Request {
    Request::post("/v1/login", &json!({ "uid": uid, "token": token, "device": "web" }))
        .header("x-forwarded-for", forwarded_for)
}

#[test]
fn two_hundred_people_behind_one_proxy_of_http_log_in_while_one_of_them_guesses() {
    let server = TestServer::with("[proxies]\ntrusted = \"127.0.0.1\"\n[web]\nmax_connections_per_ip = 1\n");
    let mut guesses = Vec::new();
    let kept = TcpStream::connect(server.http()).unwrap();
    for n in 0..PEOPLE {
        let uid = format!("person{n}");
        let token = server.token(&uid);
        // What the guesser writes themselves stands left of what the proxy adds.
        guesses.push(sign_in(&uid, "a.bad.token", &format!("192.0.2.{n}, 203.0.113.66")).send(server.http()));
        let answer = sign_in(&uid, &token, &format!("192.0.2.{n}")).send(server.http());
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let statuses: Vec<_> = guesses.iter().map(|answer| answer.status).collect();
    assert_eq!((statuses[0], statuses[PEOPLE as usize - 1]), (401, 429));
    drop(kept);
}

#[test]
fn a_proxy_says_whether_the_person_speaks_tls() {
    let server = TestServer::with("[proxies]\ntrusted = \"127.0.0.1\"\nhttp = \"forwarded\"\n");
    let cookie = |proto| {
        let body = json!({ "token": server.token("alice"), "device": "web", "cookie": true });
        let login = Request::post("/v1/login", &body).header("forwarded", &format!("for=192.0.2.7;proto={proto}"));
        login.send(server.http()).header("set-cookie").unwrap().to_owned()
    };
    assert!(cookie("https").contains("Secure"));
    assert!(!cookie("http").contains("Secure"));
}
