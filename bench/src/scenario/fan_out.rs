//! One sender, many online receivers: a message to each of them, in rounds at a fixed rate.

use super::run::{Bench, TICK, nanos};
use crate::{args::FanOut, ledger::Ledger, progress::Progress, stamp::Stamp};

/// The sender's user and link; the receivers follow.
const SENDER: u32 = 0;

pub fn run(bench: &mut Bench, args: &FanOut) -> anyhow::Result<()> {
    let links = bench.add_links(SENDER, 1 + args.receivers);
    let mut ledger = Ledger::new(links.len());
    bench.log_in(&links, &mut ledger)?;
    let start = bench.now() + 100_000_000;
    ledger.measure_from = start;
    let rounds = (args.seconds.as_secs_f64() * f64::from(args.rate)).ceil() as u64;
    let gap = 1_000_000_000 / u64::from(args.rate);
    let progress = Progress::new("deliveries", rounds * u64::from(args.receivers));
    let from = bench.read_meters();
    for number in 0..rounds {
        let intended = start + number * gap;
        while bench.now() < intended {
            bench.poll(intended, &mut ledger)?;
        }
        for receiver in &links[1..] {
            bench.engine.send(SENDER, *receiver, Stamp { sender: SENDER, number, intended });
            ledger.sent += 1;
        }
        let until = bench.now();
        bench.poll(until, &mut ledger)?;
        progress.set(ledger.received);
        if ledger.failures > 0 || bench.now() > start + 10 * nanos(args.seconds) + bench.patience.as_nanos() as u64 {
            break;
        }
    }
    while !ledger.is_settled() && ledger.failures == 0 && !bench.is_impatient_since(ledger.last_progress.max(start)) {
        let until = bench.now() + TICK;
        bench.poll(until, &mut ledger)?;
        progress.set(ledger.received);
    }
    bench.report_deliveries(from, &ledger);
    Ok(())
}
