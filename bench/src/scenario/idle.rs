//! Devices that are logged in and silent: what a login costs, what a connection weighs, what heartbeats cost.

use super::run::{Bench, nanos};
use crate::{
    args::Idle,
    ledger::Ledger,
    meter::{self, Usage},
    progress::Progress,
    report::Unit,
};

/// How long the server may come to rest before its memory is read, in nanoseconds.
const REST: u64 = 1_500_000_000;

pub fn run(bench: &mut Bench, args: &Idle) -> anyhow::Result<()> {
    let memory_before = bench.server.map(|server| server.memory());
    let links = bench.add_links(0, args.connections);
    let mut ledger = Ledger::new(links.len());
    let logins = bench.log_in(&links, &mut ledger)?;
    let count = u64::from(args.connections);
    bench.report.row("logins_per_s", count as f64 / logins.seconds, Unit::PerSecond);
    logins.report_costs(&mut bench.report, "login", count, bench.server);
    bench.rest(REST, &mut ledger)?;
    if let (Some(before), Some(server)) = (memory_before, bench.server) {
        let after = server.memory();
        let per = |after: u64, before: u64| after.saturating_sub(before) as f64 / count as f64;
        bench.report.row("server_rss_bytes_per_connection", per(after.rss, before.rss), Unit::Bytes);
        bench.report.row("server_anonymous_bytes_per_connection", per(after.anonymous, before.anonymous), Unit::Bytes);
    }
    watch(bench, args, &mut ledger)?;
    meter::report_memory(&mut bench.report, bench.server);
    let alive = links.iter().filter(|link| bench.engine.device(**link).is_live()).count();
    bench.report.count("connections_at_end", alive as u64);
    bench.report.failures(ledger.failures, ledger.first_failure.as_deref());
    Ok(())
}

fn watch(bench: &mut Bench, args: &Idle, ledger: &mut Ledger) -> anyhow::Result<()> {
    let begin = bench.now();
    let end = begin + nanos(args.seconds);
    let progress = Progress::new("idle, ms", (end - begin) / 1_000_000);
    let from = bench.read_meters();
    while bench.now() < end {
        bench.poll(end, ledger)?;
        progress.set((bench.now() - begin) / 1_000_000);
    }
    let usage = Usage::between(from, bench.read_meters());
    usage.report_load(&mut bench.report, bench.server);
    bench.report.row("idle_wire_bytes_per_s", usage.bytes as f64 / usage.seconds, Unit::Bytes);
    Ok(())
}
