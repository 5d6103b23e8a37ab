//! The hot operations of the protocol, made ready one by one: for the clock (`operations.rs`), for the counter of
//! instructions (`instructions.rs`) and for the limits on allocations (`tests/allocations.rs`).

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use hongyan_proto::{
    Bytes, BytesMut, client,
    codec::{self, Decoder, MAX_FRAME, PREFACE},
    frame::Frame,
    kind::Kind,
    server, wire,
};

/// One thing to measure.
pub struct Operation {
    pub name: &'static str,
    /// How many messages one run takes.
    pub messages: u64,
    /// Makes everything that one run needs; the run itself is what is measured.
    pub prepare: fn() -> Run,
}

/// May be called once.
pub type Run = Box<dyn FnMut()>;

pub const OPERATIONS: &[Operation] = &[
    Operation { name: "decode_send", messages: 1, prepare: decode_send },
    Operation { name: "message_item", messages: 1, prepare: message_item },
    Operation { name: "put_push", messages: 1, prepare: put_push },
    Operation { name: "server_takes_32_sends", messages: 32, prepare: server_takes_sends },
    Operation { name: "server_pushes_64_entries", messages: 64, prepare: server_pushes_entries },
    Operation { name: "client_sends_32_messages", messages: 32, prepare: client_sends_messages },
    Operation { name: "client_stores_64_entries", messages: 64, prepare: client_stores_entries },
];

const CONTENT: &[u8] = &[b'x'; 100];
const TIME_MS: u64 = 1_800_000_000_000;

fn send_frame(send_no: u64) -> wire::Send {
    wire::Send { send_no, to: "bob".into(), content: Bytes::from_static(CONTENT), ..Default::default() }
}

fn item() -> Bytes {
    codec::message_item("alice", "bob", 1_000, TIME_MS, CONTENT)
}

/// Frames as a link reads them: in a buffer of their own.
fn sends(send_nos: std::ops::RangeInclusive<u64>) -> BytesMut {
    let mut bytes = BytesMut::new();
    send_nos.for_each(|send_no| codec::put_frame(&mut bytes, Kind::Send, &send_frame(send_no)));
    BytesMut::from(&bytes[..])
}

fn pushes(useqs: std::ops::RangeInclusive<u64>) -> BytesMut {
    let (mut bytes, item) = (BytesMut::new(), item());
    useqs.for_each(|useq| codec::put_push(&mut bytes, useq, 0, &item));
    BytesMut::from(&bytes[..])
}

fn decode_send() -> Run {
    let mut bytes = sends(1_000..=1_000);
    Box::new(move || {
        let mut decoder = Decoder::default();
        decoder.feed(std::mem::take(&mut bytes));
        let raw = decoder.next_frame(MAX_FRAME).expect("it was encoded here").expect("it is whole");
        black_box(Frame::decode(raw)).expect("it was encoded here");
    })
}

fn message_item() -> Run {
    Box::new(|| drop(black_box(codec::message_item(black_box("alice"), "bob", 1_000, TIME_MS, CONTENT))))
}

fn put_push() -> Run {
    let (item, mut out) = (item(), BytesMut::with_capacity(1024));
    Box::new(move || codec::put_push(&mut out, 1_000, 0, black_box(&item)))
}

/// A server's connection of a device that is logged in and has everything up to entry 1,000.
fn live_server(now: Instant) -> server::Connection {
    let limits = wire::Limits { max_frame: 65_536, push_window: 64, heartbeat_ms: 60_000, ..Default::default() };
    let push = server::PushSettings { window_entries: 64, ..Default::default() };
    let settings = server::Settings { login_timeout: Duration::from_secs(5), limits, send_window: 64, push };
    let mut connection = server::Connection::new(Arc::new(settings), now);
    let mut hello = BytesMut::from(&PREFACE[..]);
    codec::put_frame(&mut hello, Kind::Hello, &wire::Hello::default());
    connection.handle_bytes(hello, now);
    assert!(matches!(connection.poll_event(now), Some(server::Event::Hello(_))));
    connection.welcome(wire::Welcome { cursor: 1_000, head: 1_000, ..Default::default() }, now);
    connection.set_lagging(false);
    connection.take_output();
    connection
}

/// A client's connection that is logged in, has everything up to entry 1,000 and `queued` messages to send.
fn live_client(queued: u64, now: Instant) -> client::Connection {
    let place = client::Place { cursor: 1_000, first_unanswered: 1, last_queued: queued };
    let mut connection = client::Connection::hello(client::Settings::default(), &wire::Hello::default(), place, now);
    connection.take_output(now);
    let welcome = wire::Welcome { cursor: 1_000, head: 1_000, max_send_no: 64, ..Default::default() };
    let mut bytes = BytesMut::new();
    codec::put_frame(&mut bytes, Kind::Welcome, &welcome);
    connection.handle_bytes(bytes);
    assert!(matches!(connection.poll_event(now), Some(client::Event::Welcome(_))));
    connection
}

/// What a link does when a burst of SENDs has come, and when the committer has answered them.
fn server_takes_sends() -> Run {
    let now = Instant::now();
    let (mut connection, mut bytes) = (live_server(now), sends(1..=32));
    Box::new(move || {
        connection.handle_bytes(std::mem::take(&mut bytes), now);
        let mut taken = 0;
        while let Some(event) = connection.poll_event(now) {
            assert!(matches!(black_box(event), server::Event::Send(_)));
            taken += 1;
        }
        assert_eq!(taken, 32);
        for send_no in 1..=32 {
            let ack = wire::SendAck { send_no, cseq: send_no, useq: 1_000 + send_no, time_ms: TIME_MS, group: 0 };
            connection.acked(ack, now);
        }
        black_box(connection.take_output());
    })
}

/// What a link does when a window of entries waits in its channel, and when their ack comes back.
fn server_pushes_entries() -> Run {
    let now = Instant::now();
    let (mut connection, item, mut ack) = (live_server(now), item(), BytesMut::new());
    codec::put_frame(&mut ack, Kind::Ack, &wire::Ack { useq: 1_064 });
    Box::new(move || {
        for useq in 1_001..=1_064 {
            assert!(connection.push(useq, 0, &item, now));
        }
        black_box(connection.take_output());
        connection.handle_bytes(std::mem::take(&mut ack), now);
        assert_eq!(connection.poll_event(now), Some(server::Event::Acked(1_064)));
    })
}

/// What an SDK's driver does to write its outbox, and with the answers.
fn client_sends_messages() -> Run {
    let now = Instant::now();
    let (mut connection, mut answers) = (live_client(32, now), BytesMut::new());
    let outbox: Vec<wire::Send> = (1..=32).map(send_frame).collect();
    for send_no in 1..=32 {
        let ack = wire::SendAck { send_no, cseq: send_no, useq: 1_000 + send_no, time_ms: TIME_MS, group: 0 };
        codec::put_frame(&mut answers, Kind::SendAck, &ack);
    }
    Box::new(move || {
        while let Some(send_no) = connection.poll_send(now) {
            connection.send(&outbox[send_no as usize - 1], now);
        }
        black_box(connection.take_output(now));
        connection.handle_bytes(std::mem::take(&mut answers));
        let mut answered = 0;
        while let Some(event) = connection.poll_event(now) {
            assert!(matches!(event, client::Event::Answered(_)));
            answered += 1;
        }
        assert_eq!(answered, 32);
    })
}

/// What an SDK's driver does with a burst of entries, up to the ack.
fn client_stores_entries() -> Run {
    let now = Instant::now();
    let (mut connection, mut bytes) = (live_client(0, now), pushes(1_001..=1_064));
    Box::new(move || {
        connection.handle_bytes(std::mem::take(&mut bytes));
        while let Some(event) = connection.poll_event(now) {
            assert!(matches!(black_box(event), client::Event::Entry(_)));
        }
        connection.stored(connection.applied());
        assert!(!black_box(connection.take_output(now)).is_empty());
        assert_eq!(connection.applied(), 1_064);
    })
}
