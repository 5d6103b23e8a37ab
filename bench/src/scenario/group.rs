//! One group, everybody online: the owner writes at a fixed rate, and each message goes to all others.

use anyhow::bail;
use hongyan_proto::{
    ConversationId,
    wire::{self, act::What},
};

use super::run::{Bench, TICK, nanos};
use crate::{
    args::Group,
    device::{Event, To},
    ledger::Ledger,
    progress::Progress,
    stamp::Stamp,
};

/// The owner's user and link; the other members follow.
const OWNER: u32 = 0;
/// How many may be added in one act.
const ADDED_AT_ONCE: usize = 500;
/// How long what the members were told of the new group may take to arrive, in nanoseconds.
const REST: u64 = 500_000_000;

pub fn run(bench: &mut Bench, args: &Group) -> anyhow::Result<()> {
    let links = bench.add_links(OWNER, args.members);
    let mut ledger = Ledger::new(links.len());
    bench.log_in(&links, &mut ledger)?;
    let group = found(bench, &links[1..])?;
    bench.rest(REST, &mut ledger)?;
    ledger.receivers = u64::from(args.members - 1);
    let start = bench.now();
    ledger.measure_from = start;
    let messages = (args.seconds.as_secs_f64() * f64::from(args.rate)).ceil() as u64;
    let gap = 1_000_000_000 / u64::from(args.rate);
    let progress = Progress::new("deliveries", messages * ledger.receivers);
    let from = bench.read_meters();
    for number in 0..messages {
        let intended = start + number * gap;
        while bench.now() < intended {
            bench.poll(intended, &mut ledger)?;
        }
        bench.engine.send(OWNER, To::Group(group), Stamp { sender: OWNER, number, intended });
        ledger.sent += 1;
        progress.set(ledger.received);
        let is_hopeless = bench.now() > start + 10 * nanos(args.seconds) + bench.patience.as_nanos() as u64;
        if ledger.failures > 0 || is_hopeless {
            break;
        }
    }
    bench.settle(&mut ledger)?;
    progress.set(ledger.received);
    bench.report_deliveries(from, &ledger);
    Ok(())
}

/// Makes a group of all members and gives its number.
fn found(bench: &mut Bench, members: &[u32]) -> anyhow::Result<u64> {
    let uids = |members: &[u32]| members.iter().map(|user| bench.engine.run.uids[*user as usize].clone()).collect();
    let parts: Vec<Vec<String>> = members.chunks(ADDED_AT_ONCE).map(uids).collect();
    let progress = Progress::new("adding members", parts.len() as u64);
    for (done, uids) in parts.into_iter().enumerate() {
        let group = bench.engine.device(OWNER).group;
        let (to, what) = match group {
            0 => (String::new(), What::GroupCreate(wire::GroupCreate { settings: None, members: uids })),
            _ => (ConversationId::Group(group).to_string(), What::GroupInvite(wire::GroupInvite { uids })),
        };
        bench.engine.act(OWNER, to, what);
        await_answer(bench)?;
        progress.set(done as u64 + 1);
    }
    Ok(bench.engine.device(OWNER).group)
}

fn await_answer(bench: &mut Bench) -> anyhow::Result<()> {
    let (start, mut is_answered, mut failure) = (bench.now(), false, None);
    while !is_answered {
        let until = bench.now() + TICK;
        bench.poll_with(until, |_, event, _| match event {
            Event::Answered { .. } => is_answered = true,
            Event::Failed(why) => failure = Some(why),
            _ => {}
        })?;
        if let Some(why) = failure {
            bail!("the group cannot be made: {why}");
        }
        if bench.is_impatient_since(start) {
            bail!("for {:?} nothing was answered to who makes the group", bench.patience);
        }
    }
    Ok(())
}
