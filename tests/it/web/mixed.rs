//! All ways at once: everything arrives on each, in order, once, also when the server is killed meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use hongyan_proto::{frame::Frame, wire};
use serde_json::json;
use tokio::task::block_in_place;

use super::{
    WebDevice,
    http::Request,
    reader::{Reader, WAYS},
    socket::WebSocket,
};
use crate::{
    device::{Device, assert_messages, builder, content},
    offline::UNLIMITED,
    schedule::Schedule,
    server::TestServer,
    wire::hello,
};

const NO_LIMITS: &str = "\n[web]\nrequests_per_second = 1_000_000\nrequests_burst = 1_000_000\n";

fn server() -> TestServer {
    TestServer::with(&format!("{UNLIMITED}{NO_LIMITS}"))
}

/// Sends messages that say their number, one POST after the other, each until it is answered.
fn post(alice: &WebDevice, numbers: impl Iterator<Item = u64>, sent: &AtomicU64) {
    for number in numbers {
        let message = json!({ "to": "bob", "text": number.to_string() });
        let request = Request::post("/v1/messages", &message)
            .bearer(&alice.token)
            .header("idempotency-key", &format!("message {number}"));
        while !request.clone().try_send(alice.address).is_ok_and(|answer| answer.status == 200) {
            thread::sleep(Duration::from_millis(5));
        }
        sent.store(number, Ordering::Release);
    }
}

/// The same over a WebSocket, as many at once as the credit allows.
fn push_through_socket(server: &TestServer, numbers: std::ops::RangeInclusive<u64>) {
    let mut socket = WebSocket::connect(server.http(), "hongyan.v1");
    let hello = wire::Hello { from_head: true, ..hello("alice", "socket", &server.token("alice")) };
    socket.send(&Frame::Hello(hello));
    let Some(Frame::Welcome(welcome)) = socket.receive() else { panic!("no WELCOME") };
    let (count, mut sent, mut answered) = (numbers.clone().count() as u64, 0, 0);
    let mut credit = welcome.max_send_no;
    while answered < count {
        while sent < count && sent < credit {
            sent += 1;
            let number = numbers.start() + sent - 1;
            socket.send(&Frame::Send(wire::Send {
                send_no: sent,
                to: "bob".into(),
                content: content(number),
                ..Default::default()
            }));
        }
        match socket.receive() {
            Some(Frame::SendAck(ack)) => {
                answered = ack.send_no;
                socket.send(&Frame::Ack(wire::Ack { useq: ack.useq }));
            }
            Some(Frame::Credit(more)) => credit = more.max_send_no,
            Some(Frame::SendNack(nack)) => panic!("{nack:?}"),
            Some(_) => {}
            None => panic!("the socket was closed after {answered}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_messages_wait_for_devices_of_every_kind() {
    const COUNT: u64 = 10_000;
    let server = server();
    server.token("bob");
    let alice = WebDevice::login(&server, "alice", "poller");
    block_in_place(|| {
        post(&alice, 1..=500, &AtomicU64::new(0));
        push_through_socket(&server, 501..=COUNT);
    });
    let phone = Device::connect(builder(&server, "bob", "phone")).await;
    let readers = WAYS.map(|way| Reader::start(&server, way, COUNT as usize));
    phone.wait_messages(COUNT as usize).await;
    assert_messages(&phone.shown().messages, COUNT, false);
    for reader in readers {
        let reader = block_in_place(|| reader.join().unwrap());
        reader.assert_complete();
        assert_eq!(reader.cuts, 0);
    }
    // Her own messages and a receipt that says that all have been delivered.
    let (mut after, last) = ("0".to_owned(), json!(COUNT.to_string()));
    loop {
        let page = block_in_place(|| alice.poll(&after, 20));
        after = page["next"].as_str().unwrap().to_owned();
        let entries = page["entries"].as_array().unwrap();
        if entries.iter().any(|entry| entry["receipt"]["deliveredCseq"] == last) {
            break;
        }
        assert!(!entries.is_empty(), "the last receipt is missing");
    }
    server.assert_healthy();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_and_repeats_nothing_on_any_way() {
    const COUNT: u64 = 1000;
    let mut schedule = Schedule::new("web_kills");
    let places = schedule.places(Schedule::kills(4), COUNT - 1);
    let mut server = server();
    server.token("bob");
    let phone = Device::connect(builder(&server, "bob", "phone")).await;
    let readers = WAYS.map(|way| Reader::start(&server, way, COUNT as usize));
    let alice = WebDevice::login(&server, "alice", "poller");
    let sent = Arc::new(AtomicU64::new(0));
    let sender = thread::spawn({
        let (alice, sent) = (alice.clone(), sent.clone());
        move || post(&alice, 1..=COUNT, &sent)
    });
    for place in places {
        while sent.load(Ordering::Acquire) < place {
            schedule.pass(Duration::from_millis(5)).await;
        }
        block_in_place(|| {
            server.kill();
            server.restart();
        });
    }
    block_in_place(|| sender.join().unwrap());
    phone.wait_messages(COUNT as usize).await;
    assert_messages(&phone.shown().messages, COUNT, false);
    for reader in readers {
        block_in_place(|| reader.join().unwrap()).assert_complete();
    }
    server.assert_healthy();
}
