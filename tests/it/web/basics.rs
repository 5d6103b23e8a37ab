//! Every way of reading, sending with and without a key, coming back.

use serde_json::json;

use super::{WebDevice, http::Request, texts};
use crate::{
    server::TestServer,
    wire::{WireClient, encoded},
};
use hongyan_proto::{CloseCode, frame::Frame};

#[test]
fn each_way_of_reading_gives_the_same_entries() {
    let server = TestServer::start();
    let (alice, bob) = (WebDevice::login(&server, "alice", "web"), WebDevice::login(&server, "bob", "web"));
    let epoch = bob.welcome["logEpoch"].as_str().unwrap().to_owned();
    for number in 1..=3 {
        alice.say("bob", &format!("</script> {number}"));
    }
    let page = bob.poll("0", 20);
    assert_eq!(texts(&page["entries"]), ["</script> 1", "</script> 2", "</script> 3"]);
    assert_eq!(page["next"], format!("{epoch}-3"));
    assert_eq!(page["entries"][2]["useq"], "3");

    let mut sse = bob.stream("sse", "1");
    for number in 2..=3 {
        let (id, event) = sse.event().unwrap();
        assert_eq!(id, Some(format!("{epoch}-{number}")));
        assert_eq!(event["push"], page["entries"][number - 1]);
    }
    let mut lines = bob.stream("ndjson", &format!("{epoch}-2"));
    assert_eq!(sse.event().unwrap().1["close"]["code"], 4010, "one reader at a time");
    assert_eq!(lines.json().unwrap()["push"], page["entries"][2]);
    alice.say("bob", "live");
    assert_eq!(lines.json().unwrap()["push"]["message"]["text"], "live");

    let mut page = bob.stream("iframe", "2");
    assert!(page.line().unwrap().starts_with("<!doctype html>"));
    let script = page.line().unwrap();
    assert!(script.contains("\\u003c/script\\u003e 3") && !script.contains("</script> 3"), "{script}");
    server.assert_healthy();
}

#[test]
fn a_poll_waits_for_what_comes_and_costs_nothing_while_nothing_does() {
    let server = TestServer::start();
    let (alice, bob) = (WebDevice::login(&server, "alice", "web"), WebDevice::login(&server, "bob", "web"));
    let empty = bob.get("/v1/events?after=0");
    let etag = empty.header("etag").unwrap().to_owned();
    assert_eq!(empty.json()["entries"], json!([]));
    let again = Request::get("/v1/events?after=0").bearer(&bob.token).header("if-none-match", &etag);
    let again = again.send(server.http());
    assert_eq!((again.status, again.body.as_str()), (304, ""));

    // Whether a poll was there before the message nobody tells, so there are many to try.
    let came_out_of_the_channel = (0..20).any(|useq| {
        let reads = server.metric("hongyan_entries_read_from_log_total");
        let parked = Request::get(&format!("/v1/events?after={useq}&wait=60")).bearer(&bob.token);
        let address = server.http();
        let parked = std::thread::spawn(move || parked.send(address).ok());
        alice.say("bob", "wake up");
        assert_eq!(texts(&parked.join().unwrap()["entries"]), ["wake up"]);
        server.metric("hongyan_entries_read_from_log_total") == reads
    });
    assert!(came_out_of_the_channel);

    // The answer was lost on the way: the same question gets the same entries.
    assert_eq!(texts(&bob.poll("0", 0)["entries"])[0], "wake up");
    server.assert_healthy();
}

#[test]
fn a_message_is_taken_once_however_often_it_is_repeated() {
    let mut server = TestServer::start();
    let alice = WebDevice::login(&server, "alice", "web");
    server.token("bob");
    let say = |key: &str, text: &str| {
        let request = Request::post("/v1/messages", &json!({ "to": "bob", "text": text })).bearer(&alice.token);
        request.header("idempotency-key", key).send(alice.address)
    };
    let first = say("k1", "one").ok();
    let other = say("k2", "two").ok();
    assert_eq!(first["sendNo"], "1");
    assert_eq!(say("k1", "one").ok(), first);
    server.kill();
    server.restart();
    assert_eq!(say("k2", "two").ok(), other, "it is remembered over a crash");
    assert_eq!(say("k3", "three").ok()["sendNo"], "3");
    let page = alice.get("/v1/conversations/bob/messages").ok();
    assert_eq!(texts(&page["entries"]), ["one", "two", "three"]);
    // A refusal for good is an answer too.
    let refused = |to: &str| {
        let request = Request::post("/v1/messages", &json!({ "to": to, "text": "?" })).bearer(&alice.token);
        request.header("idempotency-key", "k4").send(alice.address).expect_problem(404, "NOT_FOUND")
    };
    refused("nobody");
    refused("bob");
}

#[test]
fn a_device_by_http_is_a_device_like_any_other() {
    let server = TestServer::start();
    let alice = WebDevice::login(&server, "alice", "web");
    let bob = WebDevice::login(&server, "bob", "web");
    alice.say("bob", "have you got it?");
    assert_eq!(texts(&bob.poll("0", 20)["entries"]), ["have you got it?"]);
    bob.post("/v1/ack", json!({ "useq": "1" })).ok();
    let receipt = alice.poll("1", 20);
    let receipt = &receipt["entries"][0]["receipt"];
    assert_eq!((receipt["conversation"].as_str(), receipt["deliveredCseq"].as_str()), (Some("bob"), Some("1")));
    let account = bob.get("/v1/account").ok();
    assert_eq!(account["devices"], json!([{ "device": "web", "cursor": "1", "online": true }]));

    // The same device on the native port takes over.
    let hello = crate::wire::hello("bob", "web", &server.token("bob"));
    let mut stream = bob.stream("sse", "1");
    let (mut native, welcome) = WireClient::login(&server, hello);
    assert_eq!(welcome.cursor, 1, "it goes on from what was acked by HTTP");
    assert_eq!(stream.event().unwrap().1["close"]["code"], CloseCode::REPLACED.0);
    bob.get("/v1/events").expect_problem(409, "REPLACED");
    native.send_bytes(&encoded(&[Frame::Ping(Default::default())]));
    server.assert_healthy();
}

#[test]
fn who_does_not_come_for_a_while_is_away_and_comes_back_by_the_way() {
    let server = TestServer::with("[web]\npoll_grace = \"1s\"\n");
    let (alice, bob) = (WebDevice::login(&server, "alice", "web"), WebDevice::login(&server, "bob", "web"));
    server.wait_for_metric("hongyan_sessions", 0);
    alice.say("bob", "are you there?");
    assert_eq!(texts(&bob.poll("0", 0)["entries"]), ["are you there?"]);
    assert_eq!(server.metric("hongyan_sessions"), 2);
    let mut stream = bob.stream("ndjson", "1");
    server.wait_for_metric("hongyan_sessions", 1);
    alice.say("bob", "still?");
    assert_eq!(stream.json().unwrap()["push"]["message"]["text"], "still?", "an open stream is presence");
    server.assert_healthy();
}

#[test]
fn tokens_are_exchanged_logged_out_and_survive_a_crash() {
    let mut server = TestServer::start();
    let bob = WebDevice::login(&server, "bob", "web");
    server.kill();
    server.restart();
    bob.get("/v1/account").ok();
    let exchanged = bob.post("/v1/resume", json!({ "cursor": 0 })).ok();
    let new = WebDevice { token: exchanged["token"].as_str().unwrap().into(), ..bob.clone() };
    assert_ne!(new.token, bob.token);
    new.get("/v1/account").ok();
    bob.get("/v1/account").expect_problem(409, "REPLACED");
    bob.post("/v1/resume", json!({})).expect_problem(401, "RESUME_REFUSED");
    new.get("/v1/account").ok();
    assert_eq!(new.post("/v1/logout", json!({})).status, 204);
    new.get("/v1/account").expect_problem(401, "RESUME_REFUSED");
    server.kill();
    server.restart();
    new.get("/v1/account").expect_problem(401, "RESUME_REFUSED");
}

#[test]
fn a_ticket_opens_one_stream_and_a_cookie_many() {
    let server = TestServer::start();
    let bob = WebDevice::login(&server, "bob", "web");
    let ticket = bob.post("/v1/ticket", json!({})).ok()["ticket"].as_str().unwrap().to_owned();
    let by_ticket = || Request::get(&format!("/v1/events?as=sse&after=0&ticket={ticket}"));
    assert_eq!(by_ticket().open(server.http()).status, 200);
    by_ticket().send(server.http()).expect_problem(401, "TICKET_INVALID");
    Request::get(&format!("/v1/account?ticket={ticket}")).send(server.http()).expect_problem(401, "NO_TOKEN");

    let body = json!({ "token": server.token("bob"), "device": "page", "cookie": true });
    let answer = Request::post("/v1/login", &body).send(server.http());
    let cookie = answer.header("set-cookie").unwrap().to_owned();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict; Path=/v1; Max-Age="), "{cookie}");
    assert!(!answer.ok().as_object().unwrap().contains_key("token"));
    let (pair, _) = cookie.split_once(';').unwrap();
    Request::get("/v1/account").header("cookie", &format!("other=1; {pair}")).send(server.http()).ok();
    let elsewhere = Request::get("/v1/account").header("cookie", pair).header("origin", "https://evil.example");
    elsewhere.send(server.http()).expect_problem(403, "ORIGIN_REFUSED");
}
