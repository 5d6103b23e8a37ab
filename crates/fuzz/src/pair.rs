//! Both ends together, over a network that splits, delays, cuts and half-opens: once it heals, every message has one
//! answer, and every device has every entry once and in order.

use std::time::Duration;

use arbitrary::{Result, Unstructured};

use crate::{
    net::Plan,
    rig::{Answer, Device, World},
};

const DEVICES: [(&str, &str); 3] = [("alice", "phone"), ("alice", "laptop"), ("bob", "phone")];
const LONG: Duration = Duration::from_secs(3600);

pub fn run(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let Ok(mut world) = world(&mut u) else { return };
    for _ in 0..24 {
        if u.is_empty() || step(&mut world, &mut u).is_err() {
            break;
        }
    }
    world.core.hold_answers = false;
    check(&mut world);
}

fn world(u: &mut Unstructured<'_>) -> Result<World> {
    let place = |u: &mut Unstructured<'_>| Ok(if u.arbitrary()? { Some(u.int_in_range(0..=900)?) } else { None });
    let mut cuts = Vec::new();
    for _ in 0..u.int_in_range(0..=5)? {
        cuts.push((place(u)?, place(u)?));
    }
    let plan = Plan {
        max_piece: u.int_in_range(0..=40)?,
        max_delay: Duration::from_millis(u.int_in_range(0..=250)?),
        cuts,
        half_open: u.arbitrary()?,
        grease: u.arbitrary()?,
    };
    let mut world = World::new(u.arbitrary()?, plan, &DEVICES);
    // Who refuses everything drains nothing.
    world.core.refuse_one_in = *u.choose(&[0, 0, 2, 3, 6])?;
    Ok(world)
}

fn step(world: &mut World, u: &mut Unstructured<'_>) -> Result<()> {
    match u.int_in_range(0..=5)? {
        0..=2 => {
            let device = u.int_in_range(0..=2)?;
            let to = u.choose(&["alice", "bob", "bob", "nobody"])?;
            world.queue(device, to, u.arbitrary()?);
        }
        3 => world.core.hold_answers = u.arbitrary()?,
        _ => world.run(Duration::from_millis(u.int_in_range(0..=8000)?)),
    }
    Ok(())
}

fn check(world: &mut World) {
    let drained = world.run_until(LONG, World::is_drained);
    let state = |device: &Device| {
        (device.answers.len(), device.outbox.len(), device.cursor, world.core.head(device.uid), device.closes.clone())
    };
    assert!(drained, "not drained: {:?}", world.devices.iter().map(state).collect::<Vec<_>>());
    for device in &world.devices {
        assert!(device.entries.is_sorted_by_key(|(useq, _)| *useq), "order on {}/{}", device.uid, device.name);
        let own = device.answers.values().filter_map(|answer| match answer {
            Answer::Ack(ack) => Some(ack.useq),
            Answer::Nack(_) => None,
        });
        let mut seen: Vec<u64> = device.entries.iter().map(|(useq, _)| *useq).chain(own).collect();
        seen.sort_unstable();
        let all: Vec<u64> = (1..=world.core.head(device.uid)).collect();
        assert_eq!(seen, all, "entries and own messages of {}/{}", device.uid, device.name);
    }
}
