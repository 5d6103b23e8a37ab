//! Pairs as fast as it goes: throughput, and what a message costs when the server works in batches.

use super::run::{Bench, TICK, nanos};
use crate::{
    args::Pairs,
    ledger::Ledger,
    meter::{self, Reading, Usage},
    progress::Progress,
    report::Unit,
    stamp::Stamp,
};

/// A sender and how far it is. Its user and link are `2 * index`, the receiver's are one more.
struct Sender {
    sent: u64,
    answered: u64,
}

pub fn run(bench: &mut Bench, args: &Pairs) -> anyhow::Result<()> {
    let links = bench.add_links(0, 2 * args.pairs);
    let mut ledger = Ledger::new(links.len());
    bench.log_in(&links, &mut ledger)?;
    let start = bench.now();
    let (from, end) = (start + nanos(args.warmup), start + nanos(args.warmup) + nanos(args.seconds));
    ledger.measure_from = from;
    let mut load = Load { senders: Vec::new(), window: args.window.into() };
    load.senders.resize_with(args.pairs as usize, || Sender { sent: 0, answered: 0 });
    let before = load.drive(bench, &mut ledger, from)?;
    let after = load.drive(bench, &mut ledger, end)?;
    bench.settle(&mut ledger)?;

    let (received, usage) = (after.1 - before.1, Usage::between(before.0, after.0));
    bench.report.row("delivered_per_s", received as f64 / usage.seconds, Unit::PerSecond);
    usage.report_costs(&mut bench.report, "message", received, bench.server);
    usage.report_load(&mut bench.report, bench.server);
    bench.report.latency("delivery", &ledger.latency);
    bench.report.latency("answer", &ledger.answer_latency);
    meter::report_memory(&mut bench.report, bench.server);
    bench.report.errors(&ledger);
    Ok(())
}

struct Load {
    senders: Vec<Sender>,
    window: u64,
}

impl Load {
    /// Keeps every window full until `end`; returns the meters and the messages received at that moment.
    fn drive(&mut self, bench: &mut Bench, ledger: &mut Ledger, end: u64) -> anyhow::Result<(Reading, u64)> {
        let begin = bench.now();
        let progress = Progress::new("pairs, ms", end.saturating_sub(begin) / 1_000_000);
        (0..self.senders.len()).for_each(|index| self.fill(bench, ledger, index));
        loop {
            let now = bench.now();
            if now >= end || ledger.failures > 0 {
                return Ok((bench.read_meters(), ledger.received));
            }
            progress.set((now - begin) / 1_000_000);
            bench.engine.poll(end.min(now + TICK), &mut bench.events)?;
            let now = bench.now();
            let mut events = std::mem::take(&mut bench.events);
            for (link, event) in events.drain(..) {
                let answered = matches!(event, crate::device::Event::Answered { .. });
                ledger.note(link, event, now);
                if answered {
                    let index = link as usize / 2;
                    self.senders[index].answered += 1;
                    self.fill(bench, ledger, index);
                }
            }
            bench.events = events;
        }
    }

    fn fill(&mut self, bench: &mut Bench, ledger: &mut Ledger, index: usize) {
        let state = &mut self.senders[index];
        let sender = 2 * index as u32;
        let now = bench.now();
        while state.sent - state.answered < self.window {
            bench.engine.send(sender, sender + 1, Stamp { sender, number: state.sent, intended: now });
            state.sent += 1;
            ledger.sent += 1;
        }
    }
}
