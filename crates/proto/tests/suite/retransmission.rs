//! What happens when acks or answers stay away, and that nothing happens when they are only slow.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hongyan_proto::{BytesMut, CloseCode, client, frame::Frame, kind::Kind, server, wire};

use crate::{
    core::{limits, settings},
    net::Plan,
    rig::World,
};

const SECOND: Duration = Duration::from_secs(1);

fn two(plan: Plan) -> World {
    let mut world = World::new(7, plan, &[("alice", "phone"), ("bob", "phone")]);
    world.run(SECOND);
    world
}

fn useqs(world: &World, link: usize) -> Vec<u64> {
    let useq = |frame: &Frame| if let Frame::Push(entry) = frame { Some(entry.useq) } else { None };
    world.written_by_server(link).iter().filter_map(useq).collect()
}

fn send_nos(world: &World, link: usize) -> Vec<u64> {
    let send_no = |frame: &Frame| if let Frame::Send(send) = frame { Some(send.send_no) } else { None };
    world.written_by_client(link).iter().filter_map(send_no).collect()
}

#[test]
fn a_device_that_reads_but_never_acks_is_pushed_to_again_then_closed() {
    let mut world = two(Plan::default());
    world.devices[1].withholds_acks = true;
    world.queue(0, "bob", "one");
    world.queue(0, "bob", "two");
    let begun = world.now;
    // Probes at 3, 6, 12 and 24 seconds after the push before them; the entries again after the first three.
    for (until, pushes) in [(2, 1), (4, 2), (8, 2), (10, 3), (20, 3), (22, 4), (44, 4)] {
        world.run((begun + SECOND * until).saturating_duration_since(world.now));
        assert_eq!(useqs(&world, 1), [1, 2].repeat(pushes), "after {until} s");
        assert_eq!(world.devices[1].closes, []);
    }
    world.run(SECOND * 2);
    assert_eq!(world.devices[1].closes, [CloseCode::SLOW], "closed at 45 s");
    assert_eq!(world.devices[1].entries.len(), 2, "the driver saw each entry once");
}

#[test]
fn a_late_ack_ends_the_retransmission() {
    let mut world = two(Plan::default());
    world.devices[1].withholds_acks = true;
    world.queue(0, "bob", "one");
    world.run(SECOND * 5);
    world.devices[1].withholds_acks = false;
    world.run(SECOND * 300);
    assert_eq!(useqs(&world, 1), [1, 1]);
    assert_eq!(world.devices[1].closes, []);
}

#[test]
fn an_ack_travels_before_the_pong_that_follows_it() {
    let now = Instant::now();
    let (mut server, mut client) = live_pair(now, client::Settings::default());
    let item = server::encode_item(wire::entry::Item::Receipt(wire::Receipt::default()));
    assert!(server.push(1, 0, &item, now));
    // The network stalls: the PUSH and the probe arrive together.
    let probed = now + SECOND * 3;
    server.handle_timeout(probed);
    client.handle_bytes(server.take_output());
    while client.poll_event(probed).is_some() {}
    client.stored(client.applied());
    server.handle_bytes(client.take_output(probed), probed);
    assert_eq!(server.poll_event(probed), Some(server::Event::Acked(1)));
    assert_eq!(server.poll_event(probed), None);
    assert_eq!(server.lagging_after(), None, "nothing has to be pushed again");
}

#[test]
fn a_device_that_is_behind_does_not_ask_for_what_the_window_holds_back() {
    let now = Instant::now();
    let (mut server, mut client) = live_pair(now, client::Settings::default());
    server.on_head(1_000);
    server.set_lagging(true);
    client.ping(now);
    server.handle_bytes(client.take_output(now), now);
    assert_eq!(server.poll_event(now), None);
    client.handle_bytes(server.take_output());
    assert_eq!(client.poll_event(now), None);
    client.handle_timeout(now + SECOND);
    assert!(client.take_output(now + SECOND).is_empty(), "no SYNC_REQ");
    // Not behind, and yet the entry does not come: it is lost, and asked for.
    server.set_lagging(false);
    client.ping(now + SECOND);
    server.handle_bytes(client.take_output(now + SECOND), now + SECOND);
    assert_eq!(server.poll_event(now + SECOND), None);
    client.handle_bytes(server.take_output());
    assert_eq!(client.poll_event(now + SECOND), None);
    client.handle_timeout(now + SECOND * 2);
    server.handle_bytes(client.take_output(now + SECOND * 2), now + SECOND * 2);
    assert_eq!(server.poll_event(now + SECOND * 2), None);
    assert_eq!(server.lagging_after(), Some(0));
}

#[test]
fn a_swallowed_answer_comes_again_after_a_probe() {
    let mut world = two(Plan::default());
    world.core.hold_answers = true;
    world.queue(0, "nobody", "one");
    world.queue(0, "nobody", "two");
    world.run(SECOND * 4);
    assert_eq!(send_nos(&world, 0), [1, 2], "nothing is sent again by timer alone");
    world.run(SECOND * 2);
    assert_eq!(send_nos(&world, 0), [1, 2, 1, 2], "the PONG proves that the server has read them");
    world.core.swallow_answers();
    world.core.hold_answers = false;
    world.run(SECOND * 8);
    assert_eq!(send_nos(&world, 0), [1, 2, 1, 2], "the patience has doubled");
    world.run(SECOND * 2);
    assert_eq!(send_nos(&world, 0), [1, 2, 1, 2, 1, 2]);
    assert!(world.is_drained(), "each has its answer");
}

#[test]
fn the_log_stands_for_a_swallowed_answer() {
    let mut world = two(Plan::default());
    world.core.hold_answers = true;
    world.queue(0, "bob", "one");
    world.run(SECOND * 6);
    world.core.swallow_answers();
    assert_eq!(useqs(&world, 0), [1], "a PONG named an entry that the device had not seen: it asked for it");
    assert!(world.is_drained());
    assert_eq!((world.core.head("alice"), world.core.head("bob")), (1, 1), "sent twice, in the log once");
}

#[test]
fn a_refusal_for_now_brings_on_one_round_each() {
    let mut world = two(Plan { max_piece: 20, max_delay: SECOND, ..Plan::default() });
    world.core.refuse_one_in = 10;
    (0..60).for_each(|number| world.queue(0, "bob", &format!("message {number}")));
    assert!(world.run_until(SECOND * 3600, World::is_drained));
    let refusals = world.written_by_server(0).iter().filter(|frame| is_rate_limit(frame)).count();
    assert!(refusals > 0);
    let sends = send_nos(&world, 0).len();
    assert!(sends <= 60 * (refusals + 1), "{sends} SENDs for 60 messages and {refusals} refusals");
}

fn is_rate_limit(frame: &Frame) -> bool {
    matches!(frame, Frame::SendNack(nack) if nack.code == wire::NackCode::NackRateLimited as i32)
}

#[test]
fn heartbeats_go_out_on_time_and_silence_ends_a_connection() {
    // Client's wish, interval that follows, silence after which the server gives up; in seconds.
    for (wish, interval, patience) in [(None, 60, 90), (Some(20), 20, 30), (Some(1), 10, 15), (Some(9_999), 600, 660)] {
        let now = Instant::now();
        let heartbeat = wish.map(Duration::from_secs);
        let (mut server, mut client) = live_pair(now, client::Settings { heartbeat, ..Default::default() });
        server.handle_bytes(client.take_output(now), now);
        assert_eq!(server.poll_event(now), None);
        client.handle_bytes(server.take_output());
        assert_eq!(client.poll_event(now), None);
        assert_eq!(client.poll_timeout(), Some(now + SECOND * interval), "wish {wish:?}");
        assert_eq!(server.poll_timeout(), Some(now + SECOND * patience), "wish {wish:?}");

        let next = now + SECOND * interval;
        client.handle_timeout(next);
        assert!(!client.take_output(next).is_empty(), "a PING");
        assert_eq!(client.poll_timeout(), Some(next + SECOND * 10), "and then 10 seconds for a sign of life");
        client.handle_timeout(next + SECOND * 10);
        let closed = client.poll_event(next + SECOND * 10);
        assert!(matches!(closed, Some(client::Event::Closed { code: CloseCode::IDLE_TIMEOUT, .. })));

        server.handle_timeout(now + SECOND * patience);
        let closed = server.poll_event(now + SECOND * patience);
        assert!(matches!(closed, Some(server::Event::Closed { code: CloseCode::IDLE_TIMEOUT, .. })));
    }
}

#[test]
fn nothing_extends_the_time_for_the_login() {
    let now = Instant::now();
    let mut server = server::Connection::new(Arc::new(settings()), now);
    let mut bytes = BytesMut::from(&hongyan_proto::codec::PREFACE[..]);
    for second in 0..5 {
        hongyan_proto::codec::put_typed(&mut bytes, 0x2A, 0, |_| {});
        server.handle_bytes(bytes.split(), now + SECOND * second);
        assert_eq!(server.poll_event(now + SECOND * second), None);
        assert_eq!(server.poll_timeout(), Some(now + SECOND * 5));
    }
    server.handle_timeout(now + SECOND * 5);
    let closed = server.poll_event(now + SECOND * 5);
    assert!(matches!(closed, Some(server::Event::Closed { code: CloseCode::LOGIN_TIMEOUT, .. })));
}

#[test]
fn the_window_holds_64_entries_or_256_kib() {
    let now = Instant::now();
    let (mut server, _client) = live_pair(now, client::Settings::default());
    let small = server::encode_item(wire::entry::Item::Receipt(wire::Receipt::default()));
    (1..=64).for_each(|useq| assert!(server.push_room() > 0 && server.push(useq, 0, &small, now)));
    assert_eq!(server.push_room(), 0);

    let (mut server, _client) = live_pair(now, client::Settings::default());
    let content = vec![0; 32_000].into();
    let large = server::encode_item(wire::entry::Item::Message(wire::Message { content, ..Default::default() }));
    let pushed = (1..=64).take_while(|useq| server.push_room() > 0 && server.push(*useq, 0, &large, now)).count();
    assert_eq!(pushed, 9, "the entry that fills the window is the last");
}

#[test]
fn credit_grows_by_halves_of_the_window() {
    let now = Instant::now();
    let (mut server, _client) = live_pair(now, client::Settings::default());
    let mut credits = Vec::new();
    for send_no in 1..=128 {
        server.acked(wire::SendAck { send_no, useq: send_no, cseq: send_no, time_ms: 1, group: 0 }, now);
        let mut decoder = hongyan_proto::codec::Decoder::default();
        decoder.feed(server.take_output());
        while let Some(raw) = decoder.next_frame(4096).unwrap() {
            if let Some(Frame::Credit(credit)) = Frame::decode(raw).unwrap() {
                credits.push((send_no, credit.max_send_no));
            }
        }
    }
    assert_eq!(credits, [(32, 96), (64, 128), (96, 160), (128, 192)]);
}

/// Both ends just after the login, with nothing under way.
pub fn live_pair(now: Instant, client_settings: client::Settings) -> (server::Connection, client::Connection) {
    let mut server = server::Connection::new(Arc::new(settings()), now);
    let place = client::Place { cursor: 0, first_unanswered: 1, last_queued: 0 };
    let mut client = client::Connection::hello(client_settings, &wire::Hello::default(), place, now);
    server.handle_bytes(client.take_output(now), now);
    assert!(matches!(server.poll_event(now), Some(server::Event::Hello(_))));
    server.welcome(wire::Welcome { conn_epoch: 1, ..Default::default() }, now);
    server.set_lagging(false);
    client.handle_bytes(server.take_output());
    let Some(client::Event::Welcome(welcome)) = client.poll_event(now) else { panic!("no welcome") };
    assert_eq!((welcome.limits, welcome.max_send_no), (Some(limits()), 64));
    (server, client)
}

#[test]
fn a_credit_frame_is_rare() {
    let mut world = two(Plan::default());
    (0..320).for_each(|number| world.queue(0, "bob", &format!("message {number}")));
    assert!(world.run_until(SECOND * 60, World::is_drained));
    let credits = world.written_by_server(0).iter().filter(|frame| frame.kind() == Kind::Credit).count();
    assert_eq!(credits, 10);
}
