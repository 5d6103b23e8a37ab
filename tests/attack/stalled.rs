//! Peers that write and do not read, read and do not write, or do either very slowly.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use hongyan_proto::frame::Frame;

use crate::{
    fixture::{OPEN, deaf_device, send_many},
    server::{DEADLINE, TestServer, eventually},
    wire::{WireClient, encoded, hello, message},
};

const KIB: u64 = 1024;

/// Waits until a counter has stopped.
fn wait_until_still(server: &TestServer, metric: &str) {
    let mut before = 0;
    eventually(&format!("{metric} stands still"), || {
        thread::sleep(Duration::from_millis(200));
        let now = server.metric(metric);
        (std::mem::replace(&mut before, now) == now && now > 0).then_some(())
    });
}

#[test]
fn one_send_repeated_for_ever_piles_up_no_answers() {
    const DEVICES: u64 = 24;
    let server = TestServer::with(OPEN);
    let mut bystander = WireClient::login_as(&server, "bystander", "phone").0;
    let devices: Vec<_> = (0..DEVICES).map(|number| deaf_device(&server, &format!("u{number}"))).collect();
    server.wait_for_metric("hongyan_sessions", DEVICES + 1);
    let before = server.rss();
    let again = encoded(&[message(1, "nobody", b"")]).repeat(10_000);
    let floods: Vec<_> = devices.iter().map(|device| device.flood(again.clone())).collect();
    wait_until_still(&server, "hongyan_messages_received_total");
    let grown = server.rss().saturating_sub(before);
    assert!(grown < DEVICES * 1024 * KIB, "{grown} bytes for {DEVICES} devices");
    bystander.ping();
    server.assert_healthy();
    devices.iter().for_each(WireClient::abort);
    drop(devices);
    floods.into_iter().for_each(|flood| flood.join().unwrap());
}

/// Half a frame each, before and after the login. A stranger is closed in time; a user keeps what one frame needs.
#[test]
fn half_frames_cost_half_a_frame() {
    const USERS: u64 = 100;
    let server = TestServer::with(&format!("{OPEN}login_timeout = \"2s\"\n"));
    let strangers: Vec<_> = (0..USERS)
        .map(|_| {
            let mut stranger = WireClient::open(server.address());
            stranger.send_bytes(&[0, 0x0F, 0xFF, 1, 0x0A]);
            stranger
        })
        .collect();
    for mut stranger in strangers {
        stranger.expect_close(hongyan_proto::CloseCode::LOGIN_TIMEOUT);
    }
    let mut users: Vec<_> =
        (0..USERS).map(|number| WireClient::login_as(&server, &format!("u{number}"), "phone").0).collect();
    let before = server.rss();
    let half = [&[0, 0xFF, 0xFF, 0x10][..], &[0; 32 * 1024]].concat();
    for user in &mut users {
        user.ping();
        user.send_bytes(&half);
    }
    // Byte by byte, for as long as it takes to see that it changes nothing.
    for _ in 0..20 {
        users.iter_mut().for_each(|user| user.send_bytes(&[0]));
    }
    WireClient::login_as(&server, "bystander", "phone").0.ping();
    let each = server.rss().saturating_sub(before) / USERS;
    assert!(each < 96 * KIB, "{each} bytes each");
    server.assert_healthy();
}

/// Many write to one who reads nothing: to the server that is as if the user were away.
#[test]
fn a_huge_fan_in_to_one_deaf_user_costs_one_window() {
    let away = fan_in(|server| drop(server.token("bob")), |()| {});
    let deaf = fan_in(
        |server| {
            let mut deaf = deaf_device(server, "bob");
            deaf.expect_welcome();
            deaf
        },
        |mut deaf| {
            for useq in 1..=100 {
                match deaf.skip(|frame| matches!(frame, Frame::Ping(_))) {
                    Frame::Push(entry) => assert_eq!(entry.useq, useq),
                    other => panic!("{other:?}"),
                }
                deaf.ack(useq);
            }
        },
    );
    assert!(deaf < away + (8 << 20), "grown by {deaf} bytes, without the device by {away}");
}

/// The same by HTTP: an event stream that is opened and not read. Afterwards all of it comes, in order.
#[test]
fn an_event_stream_that_nobody_reads_costs_one_window() {
    let away = fan_in(|server| drop(server.token("bob")), |()| {});
    let deaf = fan_in(
        |server| {
            let token = crate::web::login(server, "bob");
            let mut stream = TcpStream::connect(server.http()).unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            let bearer = format!("authorization: Bearer {token}");
            write!(stream, "GET /v1/events?as=sse&after=0 HTTP/1.1\r\nhost: x\r\n{bearer}\r\n\r\n").unwrap();
            stream
        },
        |stream| {
            let lines = BufReader::new(stream).lines().map_while(Result::ok);
            let ids = lines.filter_map(|line| line.strip_prefix("id: ")?.split_once('-')?.1.parse::<u64>().ok());
            assert!(ids.take(1000).eq(1..=1000));
        },
    );
    assert!(deaf < away + (8 << 20), "grown by {deaf} bytes, without the stream by {away}");
}

/// How much the server grows while fifty senders write 40 MB to bob.
fn fan_in<B>(bob: impl Fn(&TestServer) -> B, afterwards: impl Fn(B)) -> u64 {
    const EACH: u64 = 200;
    let server = TestServer::with(&format!("{OPEN}[store]\nsync = \"os\"\ncache = \"1MiB\"\n"));
    let bob = bob(&server);
    let mut senders: Vec<_> =
        (0..50).map(|number| WireClient::login_as(&server, &format!("s{number}"), "phone").0).collect();
    let before = server.rss();
    for sender in &mut senders {
        send_many(sender, 1, EACH, "bob", &[b'x'; 4000]);
    }
    let grown = server.rss().saturating_sub(before);
    afterwards(bob);
    server.assert_healthy();
    grown
}

/// Asks and does not listen: one answer's worth is prepared, not more.
#[test]
fn questions_without_listening_pile_up_no_answers() {
    const DEVICES: u64 = 16;
    let server = TestServer::with(OPEN);
    let mut alice = WireClient::login_as(&server, "alice", "phone").0;
    let names: Vec<String> = (0..DEVICES).map(|number| format!("u{number}")).collect();
    let devices: Vec<_> = names.iter().map(|uid| deaf_device(&server, uid)).collect();
    server.wait_for_metric("hongyan_sessions", DEVICES + 1);
    for (uid, first) in names.iter().zip((1..).step_by(40)) {
        send_many(&mut alice, first, 40, uid, &[7; 1000]);
    }
    let before = server.rss();
    let history = hongyan_proto::wire::HistoryRequest { conversation: "alice".into(), ..Default::default() };
    let op = Some(hongyan_proto::wire::request::Op::History(history));
    let question = encoded(&[Frame::Request(hongyan_proto::wire::Request { id: 1, op })]).repeat(1000);
    let floods: Vec<_> = devices.iter().map(|device| device.flood(question.clone())).collect();
    let mut bystander = WireClient::login(&server, hello("bystander", "phone", &server.token("bystander"))).0;
    for _ in 0..200 {
        bystander.ping();
    }
    let each = server.rss().saturating_sub(before) / DEVICES;
    assert!(each < 512 * KIB, "{each} bytes each");
    server.assert_healthy();
    devices.iter().for_each(WireClient::abort);
    drop(devices);
    floods.into_iter().for_each(|flood| flood.join().unwrap());
}
