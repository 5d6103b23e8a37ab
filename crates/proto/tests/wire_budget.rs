//! What the protocol costs on the wire, counted in application bytes (below them are TLS and TCP). The test prints the
//! table that README.md shows, and fails when a figure passes its budget.
//!
//! The numbers are those of an account in use: about 1,000 entries and messages, a clock of 41 bits, a resume token of
//! 36 bytes that holds a 32-byte secret.

use std::{sync::Arc, time::Instant};

use hongyan_proto::{Bytes, client, server, wire};

const TOKEN_LEN: usize = 400;
const NOW_MS: u64 = 1_795_132_800_000;

fn limits() -> wire::Limits {
    wire::Limits {
        max_frame: 65_536,
        max_content: 32_768,
        push_window: 64,
        heartbeat_ms: 60_000,
        heartbeat_min_ms: 10_000,
        heartbeat_max_ms: 600_000,
        sends_per_s: 50,
        send_burst: 200,
        id: 0x8F3A_21C4,
    }
}

fn hello(uid: &str) -> wire::Hello {
    wire::Hello {
        uid: uid.into(),
        device: "phone".into(),
        device_epoch: 0xC0FF_EE42,
        credential: Some(wire::hello::Credential::Token("x".repeat(TOKEN_LEN))),
        cursor: Some(1_000),
        log_epoch: 0x0123_4567_89AB_CDEF,
        last_send_no: 1_000,
        answered_send_no: 1_000,
        agent: "hongyan-cli 0.1.0".into(),
        ..Default::default()
    }
}

/// One user's device and the server's end of its connection; every byte between them is counted.
struct Pair {
    client: client::Connection,
    server: server::Connection,
    now: Instant,
    up: usize,
    down: usize,
}

impl Pair {
    fn new(client: client::Connection, now: Instant) -> Self {
        let settings = server::Settings {
            login_timeout: std::time::Duration::from_secs(5),
            limits: limits(),
            send_window: 64,
            push: server::PushSettings::default(),
        };
        Self { client, server: server::Connection::new(Arc::new(settings), now), now, up: 0, down: 0 }
    }

    fn log_in(uid: &str) -> Self {
        let now = Instant::now();
        let mut pair =
            Self::new(client::Connection::hello(client::Settings::default(), &hello(uid), place(), now), now);
        let Some(server::Event::Hello(_)) = pair.carry_up() else { panic!("no HELLO arrived") };
        let welcome = wire::Welcome {
            conn_epoch: 1_000,
            resume_token: Bytes::from_static(&[7; 36]),
            resume_ttl_s: 604_800,
            head: 1_000,
            last_send_no: 1_000,
            cursor: 1_000,
            log_epoch: 0x0123_4567_89AB_CDEF,
            time_ms: NOW_MS,
            uid: uid.into(),
            ..Default::default()
        };
        pair.server.welcome(welcome, now);
        pair.server.set_lagging(false);
        let Some(client::Event::Welcome(_)) = pair.carry_down() else { panic!("no WELCOME arrived") };
        pair
    }

    fn resume(fallback: Option<wire::Hello>) -> Self {
        let now = Instant::now();
        let resume_token = Bytes::from_static(&[7; 36]);
        let resume =
            wire::Resume { resume_token: resume_token.clone(), cursor: 1_000, limits_id: limits().id, fallback };
        let client = client::Connection::resume(client::Settings::default(), &resume, place(), now);
        let mut pair = Self::new(client, now);
        let Some(server::Event::Resume(_)) = pair.carry_up() else { panic!("no RESUME arrived") };
        let resumed =
            wire::Resumed { conn_epoch: 1_000, resume_token, head: 1_000, last_send_no: 1_000, ..Default::default() };
        pair.server.resumed(resumed, 1_000, limits().id, now);
        pair.server.set_lagging(false);
        let Some(client::Event::Resumed(_)) = pair.carry_down() else { panic!("no RESUMED arrived") };
        pair
    }

    /// The event that is no ack.
    fn carry_up(&mut self) -> Option<server::Event> {
        let bytes = self.client.take_output(self.now);
        self.up += bytes.len();
        self.server.handle_bytes(bytes, self.now);
        let events = std::iter::from_fn(|| self.server.poll_event(self.now));
        events.filter(|event| !matches!(event, server::Event::Acked(_))).last()
    }

    fn carry_down(&mut self) -> Option<client::Event> {
        let bytes = self.server.take_output();
        self.down += bytes.len();
        self.client.handle_bytes(bytes);
        let event = self.client.poll_event(self.now);
        self.client.stored(self.client.applied());
        event
    }

    /// The client's next PING and the server's PONG.
    fn heartbeat(&mut self) {
        self.now = self.client.poll_timeout().expect("a heartbeat is due");
        self.client.handle_timeout(self.now);
        assert_eq!(self.carry_up(), None);
        assert_eq!(self.carry_down(), None);
    }

    fn take_count(&mut self) -> usize {
        std::mem::take(&mut self.up) + std::mem::take(&mut self.down)
    }
}

fn place() -> client::Place {
    client::Place { cursor: 1_000, first_unanswered: 1_001, last_queued: 1_000 }
}

/// Alice writes to Bob; both ack. Returns the bytes of both connections.
fn message(alice: &mut Pair, bob: &mut Pair, number: u64) -> usize {
    let content = Bytes::from_static(b"a text of exactly 32 bytes, yes!");
    alice.client.queued(number);
    assert_eq!(alice.client.poll_send(alice.now), Some(number));
    alice.client.send(
        &wire::Send { send_no: number, to: "bob".into(), content: content.clone(), ..Default::default() },
        alice.now,
    );
    let Some(server::Event::Send(send)) = alice.carry_up() else { panic!("no SEND arrived") };
    alice.server.acked(
        wire::SendAck { send_no: send.send_no, cseq: number, useq: number, time_ms: NOW_MS, group: 0 },
        alice.now,
    );
    let Some(client::Event::Answered(_)) = alice.carry_down() else { panic!("no SEND_ACK arrived") };
    let message = wire::Message {
        from: "alice".into(),
        to: send.to,
        cseq: number,
        time_ms: NOW_MS,
        content,
        ..Default::default()
    };
    let item = server::encode_item(wire::entry::Item::Message(message));
    assert!(bob.server.push(number, 0, &item, bob.now));
    let Some(client::Event::Entry(_)) = bob.carry_down() else { panic!("no PUSH arrived") };
    bob.carry_up();
    alice.take_count() + bob.take_count()
}

#[test]
fn the_wire_stays_in_its_budget() {
    let mut alice = Pair::log_in("alice");
    let login = alice.take_count() - TOKEN_LEN;
    let mut bob = Pair::log_in("bob");
    bob.take_count();
    alice.heartbeat();
    let heartbeat = alice.take_count();

    let sent = message(&mut alice, &mut bob, 1_001);
    assert_eq!(bob.server.cursor(), 1_001, "Bob's device has acked");
    alice.heartbeat();
    assert_eq!(alice.server.cursor(), 1_001, "and so has Alice's, within a PING that leaves anyway");
    let one = sent + alice.take_count() - heartbeat;

    let many: usize = (1_002..=2_001).map(|number| message(&mut alice, &mut bob, number)).sum();
    let resume = Pair::resume(None).take_count();
    let fallback = Pair::resume(Some(hello("alice"))).take_count() - TOKEN_LEN;

    let table = [
        ("One 32-byte text: SEND, SEND_ACK, PUSH and both acks", one, 144),
        ("The same, one of many, with cumulative acks", many.div_ceil(1_000), 136),
        ("Heartbeat: PING and PONG", heartbeat, 8),
        ("Login: preface, HELLO and WELCOME, without the token itself", login, 196),
        ("Resume: preface, RESUME and RESUMED", resume, 115),
    ];
    println!("| exchange | bytes | budget |\n|---|---:|---:|");
    for (exchange, bytes, budget) in table {
        println!("| {exchange} | {bytes} | {budget} |");
    }
    println!("A RESUME that carries a whole HELLO as fallback: {fallback} bytes and the token.");
    for (exchange, bytes, budget) in table {
        assert!(bytes <= budget, "{exchange}: {bytes} bytes, budget {budget}");
    }
}
