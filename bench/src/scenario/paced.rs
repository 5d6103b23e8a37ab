//! A fixed rate: latency from the intended times, and what a message costs when messages come one by one.

use super::{
    run::{Bench, TICK, nanos},
    schedule::Schedule,
};
use crate::{
    args::Paced,
    ledger::Ledger,
    meter::{self, Reading, Usage},
    progress::Progress,
    report::Unit,
};

pub fn run(bench: &mut Bench, args: &Paced) -> anyhow::Result<()> {
    let links = bench.add_links(0, 2 * args.pairs);
    let mut ledger = Ledger::new(links.len());
    bench.log_in(&links, &mut ledger)?;
    // A moment for what the logins have left behind.
    let start = bench.now() + 100_000_000;
    let (from, end) = (start + nanos(args.warmup), start + nanos(args.warmup) + nanos(args.seconds));
    ledger.measure_from = from;
    let senders = links.into_iter().step_by(2).collect();
    let mut schedule = Schedule::new(senders, args.rate, start, end, bench.seed);
    let before = drive(bench, &mut ledger, &mut schedule, from)?;
    let late_before = schedule.late;
    let after = drive(bench, &mut ledger, &mut schedule, end)?;
    bench.settle(&mut ledger)?;

    let (received, usage) = (after.1 - before.1, Usage::between(before.0, after.0));
    bench.report.latency("delivery", &ledger.latency);
    bench.report.latency("answer", &ledger.answer_latency);
    bench.report.row("delivered_per_s", received as f64 / usage.seconds, Unit::PerSecond);
    usage.report_costs(&mut bench.report, "message", received, bench.server);
    usage.report_load(&mut bench.report, bench.server);
    meter::report_memory(&mut bench.report, bench.server);
    bench.report.count("left_late", schedule.late - late_before);
    bench.report.errors(&ledger);
    Ok(())
}

fn drive(bench: &mut Bench, ledger: &mut Ledger, schedule: &mut Schedule, end: u64) -> anyhow::Result<(Reading, u64)> {
    let begin = bench.now();
    let progress = Progress::new("paced, ms", end.saturating_sub(begin) / 1_000_000);
    loop {
        let now = bench.now();
        // Before the end is looked at: a late generator still sends everything.
        schedule.send_due(&mut bench.engine, ledger, now);
        if now >= end || ledger.failures > 0 {
            return Ok((bench.read_meters(), ledger.received));
        }
        progress.set((now - begin) / 1_000_000);
        let next = schedule.next().unwrap_or(end).min(end).min(now + TICK);
        bench.poll(next, ledger)?;
    }
}
