//! What must hold for every exchange, whatever the network does: each message is answered once, each entry arrives
//! once and in order on every device, and everything drains in the end.

use std::time::Duration;

use hongyan_proto::{frame::Frame, kind::Kind};
use proptest::prelude::*;

use crate::{
    net::{Plan, Rng},
    rig::{Answer, World},
    unless_miri,
};

const DEVICES: [(&str, &str); 3] = [("alice", "phone"), ("alice", "laptop"), ("bob", "phone")];
const LONG: Duration = Duration::from_secs(3600);
/// At most, of one chat.
const MESSAGES: usize = unless_miri(120, 10);
/// What waits for a device that was away.
const BACKLOG: usize = unless_miri(2_000, 200);

/// Messages in bursts with pauses between, to each other, to themselves and to nobody.
fn chat(world: &mut World, messages: usize) {
    let mut rng = Rng(world.rng.next());
    for number in 0..messages {
        let device = rng.below(3) as usize;
        let to = ["alice", "bob", "bob", "alice", "nobody"][rng.below(5) as usize];
        world.queue(device, to, &format!("message {number} from {device}"));
        if rng.below(3) == 0 {
            world.run(Duration::from_millis(rng.below(400)));
        }
    }
}

/// I1-I3 and I7 at the end of a run.
fn check_drained(world: &mut World) {
    let drained = world.run_until(LONG, World::is_drained);
    let state = |device: &crate::rig::Device| {
        (device.answers.len(), device.outbox.len(), device.cursor, world.core.head(device.uid), device.closes.clone())
    };
    assert!(drained, "not drained: {:?}", world.devices.iter().map(state).collect::<Vec<_>>());
    for device in &world.devices {
        assert!(device.entries.is_sorted_by_key(|(useq, _)| *useq), "order on {}/{}", device.uid, device.name);
        let mut seen: Vec<u64> = device.entries.iter().map(|(useq, _)| *useq).collect();
        seen.extend(device.answers.values().filter_map(|answer| match answer {
            Answer::Ack(ack) => Some(ack.useq),
            Answer::Nack(_) => None,
        }));
        seen.sort();
        let all: Vec<u64> = (1..=world.core.head(device.uid)).collect();
        assert_eq!(seen, all, "entries and own messages of {}/{}", device.uid, device.name);
        for (send_no, answer) in &device.answers {
            let refused = matches!(answer, Answer::Nack(_));
            assert_eq!(refused, device.outbox[*send_no as usize - 1].0 == "nobody", "answer to {send_no}");
        }
    }
}

/// A healthy connection sees no byte twice: no number leaves twice on it.
fn check_nothing_twice(world: &World) {
    for link in 0..world.links.len() {
        let number = |frame: &Frame| match frame {
            Frame::Push(entry) => Some((Kind::Push, entry.useq)),
            Frame::Send(send) => Some((Kind::Send, send.send_no)),
            Frame::SendAck(ack) => Some((Kind::SendAck, ack.send_no)),
            Frame::Ack(ack) => Some((Kind::Ack, ack.useq)),
            Frame::Credit(credit) => Some((Kind::Credit, credit.max_send_no)),
            Frame::SyncReq(_) => panic!("a healthy connection asks for nothing again"),
            _ => None,
        };
        for frames in [world.written_by_server(link), world.written_by_client(link)] {
            let mut numbers: Vec<_> = frames.iter().filter_map(number).map(|(kind, no)| (kind as u8, no)).collect();
            numbers.sort();
            let count = numbers.len();
            numbers.dedup();
            assert_eq!(numbers.len(), count, "something was written twice on link {link}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: unless_miri(96, 2) as u32, failure_persistence: None, ..ProptestConfig::default() })]

    /// Splits, joins and delays below the patience of either end change nothing at all.
    #[test]
    fn a_healthy_connection_writes_nothing_twice(
        seed: u64, max_piece in 0usize..200, delay_ms in 0u64..4_000, messages in 1..MESSAGES,
    ) {
        let plan = Plan { max_piece, max_delay: Duration::from_millis(delay_ms), grease: true, ..Plan::default() };
        let mut world = World::new(seed, plan, &DEVICES);
        chat(&mut world, messages);
        check_drained(&mut world);
        check_nothing_twice(&world);
        prop_assert_eq!(world.links.len(), DEVICES.len(), "nobody had to reconnect");
    }

    /// Cuts at any byte, in both directions, noticed by the server or not; refusals; delays beyond every patience.
    #[test]
    fn cuts_lose_and_repeat_nothing(
        seed: u64,
        max_piece in 0usize..200,
        delay_ms in prop_oneof![0u64..500, 3_000u64..20_000],
        cuts in prop::collection::vec((prop::option::of(0usize..3_000), prop::option::of(0usize..6_000)), 0..12),
        half_open: bool,
        refuse_one_in in 0u64..6,
        messages in 1..MESSAGES,
    ) {
        // The login has 5 seconds at the server; a delay beyond them cannot succeed and is no cut.
        let max_delay = Duration::from_millis(delay_ms.min(4_000));
        let plan = Plan { max_piece, max_delay, cuts, half_open, grease: true };
        let mut world = World::new(seed, plan, &DEVICES);
        world.core.refuse_one_in = if refuse_one_in == 1 { 0 } else { refuse_one_in };
        chat(&mut world, messages);
        check_drained(&mut world);
    }
}

/// Fault 1 of the list: each direction cut after every single byte of a login, a send, a push and their acks; the server
/// learns of it or hears nothing more.
#[test]
fn a_cut_after_every_byte_of_a_small_exchange() {
    let exchange = |cuts: Vec<_>, half_open| {
        let plan = Plan { cuts, half_open, ..Plan::default() };
        let mut world = World::new(1, plan, &[("alice", "phone"), ("bob", "phone")]);
        world.queue(0, "bob", "first");
        world.queue(1, "alice", "second");
        world.queue(0, "bob", "third");
        check_drained(&mut world);
        world
    };
    let whole = exchange(Vec::new(), false);
    check_nothing_twice(&whole);
    let mut exchanges = 0;
    for (link, half_open) in [(0, false), (1, false), (0, true), (1, true)] {
        let mut cut_on = |cut| {
            let mut cuts = vec![(None, None); 2];
            cuts[1 - link] = cut;
            exchange(cuts, half_open);
            exchanges += 1;
        };
        let places = |bytes: &[u8]| (0..=bytes.len()).step_by(unless_miri(1, 60));
        places(whole.links[link].up.tap()).for_each(|at| cut_on((Some(at), None)));
        places(whole.links[link].down.tap()).for_each(|at| cut_on((None, Some(at))));
    }
    println!("{exchanges} exchanges");
}

/// A backlog of thousands arrives through the window, in order, and the acks are few.
#[test]
fn a_backlog_arrives_in_order_with_few_acks() {
    let plan = Plan { max_delay: Duration::from_millis(300), ..Plan::default() };
    let mut world = World::new(3, plan, &DEVICES);
    world.devices[2].connect_at = None;
    (0..BACKLOG).for_each(|number| world.queue(0, "bob", &format!("message {number}")));
    world.run_until(LONG, |world| world.devices[0].answers.len() == BACKLOG);
    world.devices[2].connect_at = Some(world.now);
    check_drained(&mut world);
    check_nothing_twice(&world);
    let bob = world.devices[2].link;
    let acks = world.written_by_client(bob).iter().filter(|frame| frame.kind() == Kind::Ack).count();
    assert!((BACKLOG / 64..=BACKLOG / 16).contains(&acks), "{acks} acks for {BACKLOG} entries");
    let credits = world.written_by_server(world.devices[0].link);
    let credits = credits.iter().filter(|frame| frame.kind() == Kind::Credit).count();
    assert!((BACKLOG / 64..=BACKLOG / 32 + 1).contains(&credits), "{credits} CREDIT frames for {BACKLOG} messages");
}
