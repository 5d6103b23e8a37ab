//! Messages to a user who is away: what storing costs, and how soon all is there once the user comes back.

use super::run::{Bench, TICK};
use crate::{
    args::Offline,
    device::Event,
    ledger::Ledger,
    meter::{self, Reading, Usage},
    progress::Progress,
    report::Unit,
    stamp::Stamp,
};

/// Users and links at once.
const SENDER: u32 = 0;
const RECEIVER: u32 = 1;
/// How long the server may come to rest, in nanoseconds.
const REST: u64 = 1_000_000_000;

pub fn run(bench: &mut Bench, args: &Offline) -> anyhow::Result<()> {
    let links = bench.add_links(SENDER, 2);
    let mut ledger = Ledger::new(links.len());
    bench.log_in(&links, &mut ledger)?;
    bench.engine.leave(RECEIVER);
    bench.engine.flush()?;
    bench.engine.cut(RECEIVER);
    bench.rest(REST / 2, &mut ledger)?;

    let total = u64::from(args.messages);
    let storing = store(bench, args, &mut ledger)?;
    bench.report.row("stored_per_s", ledger.answered as f64 / storing.seconds, Unit::PerSecond);
    storing.report_costs(&mut bench.report, "stored_message", ledger.answered, bench.server);
    bench.rest(REST, &mut ledger)?;
    if ledger.answered == total && ledger.failures == 0 {
        fetch(bench, &mut ledger)?;
    }
    meter::report_memory(&mut bench.report, bench.server);
    bench.report.errors(&ledger);
    Ok(())
}

fn store(bench: &mut Bench, args: &Offline, ledger: &mut Ledger) -> anyhow::Result<Usage> {
    let (total, window) = (u64::from(args.messages), u64::from(args.window));
    let progress = Progress::new("storing", total);
    let from = bench.read_meters();
    ledger.last_progress = bench.now();
    while ledger.answered < total && ledger.failures == 0 && !bench.is_impatient_since(ledger.last_progress) {
        let now = bench.now();
        while ledger.sent < total && ledger.sent - ledger.answered < window {
            let stamp = Stamp { sender: SENDER, number: ledger.sent, intended: now };
            bench.engine.send(SENDER, RECEIVER, stamp);
            ledger.sent += 1;
        }
        bench.poll(now + TICK, ledger)?;
        progress.set(ledger.answered);
    }
    Ok(Usage::between(from, bench.read_meters()))
}

/// The receiver comes back and takes everything.
fn fetch(bench: &mut Bench, ledger: &mut Ledger) -> anyhow::Result<()> {
    let progress = Progress::new("fetching", ledger.sent);
    let start = bench.now();
    let from = bench.read_meters();
    let mut first = None;
    let mut all: Option<(u64, Reading)> = None;
    ledger.last_progress = start;
    bench.engine.connect(RECEIVER)?;
    while all.is_none() || !bench.engine.device(RECEIVER).has_acked_all() {
        let until = bench.now() + TICK;
        bench.poll_with(until, |link, event, now| {
            if link == RECEIVER && matches!(event, Event::Received(_)) {
                first.get_or_insert(now);
            }
            ledger.note(link, event, now);
        })?;
        progress.set(ledger.received);
        if ledger.received >= ledger.sent && all.is_none() {
            all = Some((bench.now(), bench.read_meters()));
        }
        if ledger.failures > 0 || bench.is_impatient_since(ledger.last_progress) {
            break;
        }
    }
    let acked = bench.now();
    let millis = |at: u64| (at - start) as f64 / 1e6;
    bench.report.row("first_received_ms", first.map_or(f64::NAN, millis), Unit::Millis);
    let Some((received, meters)) = all else { return Ok(()) };
    bench.report.row("all_received_ms", millis(received), Unit::Millis);
    bench.report.row("all_acked_ms", millis(acked), Unit::Millis);
    Usage::between(from, meters).report_costs(&mut bench.report, "fetched_message", ledger.received, bench.server);
    Ok(())
}
