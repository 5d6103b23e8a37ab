//! Bad input, each with the status and the problem that docs/http.md promises.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use serde_json::{Value, json};

use super::{WebDevice, http::Request};
use crate::server::{TestServer, eventually};

#[test]
fn bad_requests_are_told_what_was_wrong() {
    let server = TestServer::start();
    let alice = WebDevice::login(&server, "alice", "web");
    let raw =
        |body: &[u8]| Request::post("/v1/messages", &json!({})).bearer(&alice.token).body(body).send(server.http());
    for body in
        [&b""[..], b"{", b"[]", b"\xff\xfe", b"{\"to\": 7}", b"{\"to\": \"bob\", \"txt\": \"hi\"}", b"{\"sendNo\": -1}"]
    {
        raw(body).expect_problem(400, "MALFORMED");
    }
    raw("[".repeat(60_000).as_bytes()).expect_problem(400, "MALFORMED");
    raw(&[b' '; 200_000]).expect_problem(413, "BODY_TOO_LARGE");
    let long = json!({ "to": "bob", "text": "x".repeat(40_000) });
    alice.post("/v1/messages", long).expect_problem(413, "TOO_LARGE");
    alice.post("/v1/messages", json!({ "to": "b b", "text": "" })).expect_problem(422, "INVALID");
    alice.post("/v1/messages", json!({ "to": "bob", "text": "" })).expect_problem(404, "NOT_FOUND");
    server.token("bob");
    let gap = alice.post("/v1/messages", json!({ "sendNo": 99, "to": "bob", "text": "" }));
    assert_eq!(gap.expect_problem(409, "GAP")["expected"], "4", "the refusals have used up three");

    let plain = Request::post("/v1/ack", &json!({})).bearer(&alice.token).method("POST");
    let unlabelled = Request::get("/v1/ack").method("POST").bearer(&alice.token).body(b"{}");
    unlabelled.send(server.http()).expect_problem(415, "NOT_JSON");
    plain.send(server.http()).ok();
    alice.post("/v1/ack", json!({ "useq": 5 })).expect_problem(409, "BAD_ACK");
    for query in ["after=x", "after=1-", "after=-1", "wait=61", "wait=x", "as=smoke", "ack=x"] {
        alice.get(&format!("/v1/events?{query}")).expect_problem(400, "MALFORMED");
    }
    alice.get("/v1/events?ack=9").expect_problem(409, "BAD_ACK");
    let id = Request::get("/v1/events").bearer(&alice.token).header("last-event-id", "a-b");
    id.send(server.http()).expect_problem(400, "MALFORMED");

    alice.get("/v1/nothing").expect_problem(404, "UNKNOWN_PATH");
    alice.get("/v1/messages").expect_problem(405, "WRONG_METHOD");
    alice.post("/v1/request", json!({})).expect_problem(501, "UNKNOWN");
    alice.post("/v1/request", json!({ "history": { "conversation": "b b" } })).expect_problem(422, "INVALID");
    alice.post("/v1/request", json!({ "explode": {} })).expect_problem(400, "MALFORMED");
    alice.get("/v1/conversations?limit=201").expect_problem(422, "INVALID");
    alice.get("/v1/ws").expect_problem(426, "NO_UPGRADE");
    let crowded = (0..65).fold(Request::get("/healthz"), |request, n| request.header(&format!("x-{n}"), "1"));
    assert_eq!(crowded.send(server.http()).status, 431);
    server.assert_healthy();
}

#[test]
fn bad_credentials_are_refused_alike() {
    let server = TestServer::start();
    server.add_user("alice", "correct horse");
    let login = |body: Value| Request::post("/v1/login", &body).send(server.http());
    let password = |uid, password| login(json!({ "uid": uid, "password": password, "device": "web" }));
    let wrong = password("alice", "wrong horse").expect_problem(401, "BAD_CREDENTIALS");
    assert_eq!(password("nobody", "wrong horse").expect_problem(401, "BAD_CREDENTIALS"), wrong);
    password("alice", "correct horse").ok();
    login(json!({ "uid": "a b", "password": "x", "device": "web" })).expect_problem(400, "BAD_FIELD");
    login(json!({ "token": server.token("alice") })).expect_problem(400, "BAD_FIELD");
    login(json!({ "token": 7 })).expect_problem(400, "MALFORMED");
    login(json!({ "token": server.token("alice"), "device": "web", "cookie": "yes" })).expect_problem(400, "MALFORMED");

    let with = |value: &str| Request::get("/v1/account").header("authorization", value).send(server.http());
    with("Basic YTpi").expect_problem(401, "BAD_TOKEN");
    with("Bearer").expect_problem(401, "BAD_TOKEN");
    with("Bearer !").expect_problem(401, "BAD_TOKEN");
    with("Bearer ===").expect_problem(401, "BAD_TOKEN");
    with("Bearer AQE").expect_problem(401, "RESUME_REFUSED");
    Request::get("/v1/account").send(server.http()).expect_problem(401, "NO_TOKEN");
    // On a slow machine an attempt may be forgiven meanwhile.
    let wait = (0..100).map(|_| with("Bearer AQE")).find(|answer| answer.status == 429).unwrap();
    wait.expect_problem(429, "TOO_MANY_ATTEMPTS");
    assert!(wait.header("retry-after").is_some());
}

#[test]
fn a_device_reads_in_one_place_and_asks_at_a_rate() {
    let server = TestServer::with("[web]\nrequests_per_second = 1\nrequests_burst = 20\n");
    let bob = WebDevice::login(&server, "bob", "web");
    let parked = Request::get("/v1/events?after=0&wait=60").bearer(&bob.token);
    let address = server.http();
    let (begun, has_begun) = std::sync::mpsc::channel();
    let older = std::thread::spawn(move || {
        begun.send(()).unwrap();
        parked.send(address)
    });
    has_begun.recv().unwrap();
    // Whichever of the two comes second takes over; polls go on until the parked one was there.
    while !older.is_finished() {
        let answer = bob.get("/v1/events?after=0");
        assert!(answer.status == 200, "{answer:?}");
        std::thread::yield_now();
    }
    older.join().unwrap().expect_problem(409, "SUPERSEDED");
    let refused = (0..40).map(|_| bob.get("/v1/account")).find(|answer| answer.status != 200).unwrap();
    refused.expect_problem(429, "TOO_MANY_REQUESTS");
}

#[test]
fn registration_is_off_unless_it_is_allowed() {
    let body = json!({ "uid": "carol", "password": "long enough" });
    let server = TestServer::start();
    Request::post("/v1/register", &body).send(server.http()).expect_problem(403, "REGISTRATION_OFF");
    let server = TestServer::with("[web]\nregistration = true\n");
    let register = |body: &Value| Request::post("/v1/register", body).send(server.http());
    register(&json!({ "uid": "carol", "password": "short" })).expect_problem(400, "BAD_FIELD");
    assert_eq!(register(&body).status, 201);
    register(&body).expect_problem(409, "UID_TAKEN");
    let login = json!({ "uid": "carol", "password": "long enough", "device": "web" });
    Request::post("/v1/login", &login).send(server.http()).ok();
    register(&json!({ "uid": "dave", "password": "long enough" })).expect_problem(429, "TOO_MANY_ATTEMPTS");
}

#[test]
fn pages_of_named_origins_may_read_the_answers() {
    let server = TestServer::with("[web]\norigins = \"https://chat.example.com\"\n");
    let alice = WebDevice::login(&server, "alice", "web");
    let from =
        |origin: &str| Request::get("/v1/account").bearer(&alice.token).header("origin", origin).send(server.http());
    let allowed = from("https://chat.example.com");
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://chat.example.com"));
    allowed.ok();
    assert_eq!(from("http://localhost").header("access-control-allow-origin"), None, "the own origin needs no word");
    from("https://evil.example").expect_problem(403, "ORIGIN_REFUSED");
    let preflight = Request::get("/v1/messages").method("OPTIONS").header("origin", "https://chat.example.com");
    let preflight = preflight.header("access-control-request-method", "POST").send(server.http());
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("idempotency-key"), "{preflight:?}");
}

#[test]
fn one_address_has_so_many_connections() {
    let server = TestServer::with("[web]\nmax_connections_per_ip = 3\n");
    let held: Vec<_> = (0..3).map(|_| TcpStream::connect(server.http()).unwrap()).collect();
    let refused = || Request::get("/healthz").try_send(server.http()).is_err();
    eventually("the fourth is turned away", || refused().then_some(()));
    drop(held);
    eventually("there is room again", || (!refused()).then_some(()));
    server.assert_healthy();
}

#[test]
fn a_body_that_stays_away_is_waited_for_only_so_long() {
    let server = TestServer::start();
    let alice = WebDevice::login(&server, "alice", "web");
    let mut socket = TcpStream::connect(server.http()).unwrap();
    let kind = "content-type: application/json\r\ncontent-length: 100";
    write!(socket, "POST /v1/ack HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n{kind}\r\n\r\n{{", alice.token)
        .unwrap();
    let mut line = String::new();
    BufReader::new(socket).read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 408 "), "{line}");
    server.assert_healthy();
}
