//! Everybody loses the connection and comes back at once: how long it takes, what a resume costs, what the others feel.

use std::{collections::VecDeque, net::TcpStream, thread, time::Duration};

use anyhow::bail;

use super::{
    run::{Bench, TICK},
    schedule::Schedule,
};
use crate::{
    args::ResumeStorm,
    device::Event,
    ledger::{Ledger, histogram},
    meter::{self, Usage},
    process::Server,
    progress::Progress,
    report::Unit,
};

/// How long the server may come to rest before the storm, and how long messages go on after it, in nanoseconds.
const REST: u64 = 1_500_000_000;
/// Failed attempts for each device before the run is given up.
const ATTEMPTS: u64 = 10;
/// The pause between two looks whether the server is back.
const LOOK: Duration = Duration::from_millis(5);

pub fn run(bench: &mut Bench, args: &ResumeStorm) -> anyhow::Result<()> {
    // A server that goes takes everybody along: then those who talk are among those who come back.
    let apart = if args.await_restart { 0 } else { 2 * args.pairs };
    let everybody = bench.add_links(0, apart + args.connections);
    let links = &everybody[apart as usize..];
    let mut ledger = Ledger::new(everybody.len());
    bench.log_in(&everybody, &mut ledger)?;
    let pairs = everybody.chunks_exact(2).take(args.pairs as usize);
    let senders: Vec<u32> = pairs.map(|pair| pair[0]).collect();
    let start = bench.now();
    let mut schedule = Schedule::new(senders, args.rate, start, u64::MAX, bench.seed);
    go_on(bench, &mut ledger, &mut schedule)?;
    if args.await_restart {
        await_restart(bench, links, &mut ledger, &mut schedule)?;
    } else {
        links.iter().for_each(|link| bench.engine.cut(*link));
    }
    storm(bench, args, links, &mut ledger, &mut schedule)?;
    go_on(bench, &mut ledger, &mut schedule)?;
    schedule.stop(bench.now());
    bench.settle(&mut ledger)?;
    bench.report.latency("delivery_meanwhile", &ledger.latency);
    meter::report_memory(&mut bench.report, bench.server);
    bench.report.errors(&ledger);
    Ok(())
}

/// The pairs talk, before or after the storm.
fn go_on(bench: &mut Bench, ledger: &mut Ledger, schedule: &mut Schedule) -> anyhow::Result<()> {
    let end = bench.now() + REST;
    while bench.now() < end {
        let now = bench.now();
        schedule.send_due(&mut bench.engine, ledger, now);
        let until = schedule.next().unwrap_or(end).min(end).min(now + TICK);
        bench.poll(until, ledger)?;
    }
    Ok(())
}

fn storm(
    bench: &mut Bench,
    args: &ResumeStorm,
    links: &[u32],
    ledger: &mut Ledger,
    schedule: &mut Schedule,
) -> anyhow::Result<()> {
    let progress = Progress::new("resuming", links.len() as u64);
    let at_once = args.at_once as usize;
    let first = links.first().copied().unwrap_or(0);
    let (mut waiting, mut back): (VecDeque<u32>, _) = (links.iter().copied().collect(), histogram());
    let (mut open, mut failed) = (0, 0);
    let start = bench.now();
    ledger.measure_from = start;
    let from = bench.read_meters();
    let mut last_progress = start;
    while (back.len() as usize) < links.len() {
        while open < at_once
            && let Some(link) = waiting.pop_front()
        {
            bench.engine.connect(link)?;
            open += 1;
        }
        let now = bench.now();
        schedule.send_due(&mut bench.engine, ledger, now);
        let until = schedule.next().unwrap_or(u64::MAX).min(now + TICK);
        bench.poll_with(until, |link, event, now| match event {
            Event::LoggedIn => {
                back.saturating_record(now - start);
                (open, last_progress) = (open - 1, now);
            }
            // Turned away or cut: it tries again, as a client does.
            Event::Failed(_) if link >= first => {
                waiting.push_back(link);
                (open, failed) = (open - 1, failed + 1);
            }
            event => ledger.note(link, event, now),
        })?;
        progress.set(back.len());
        if failed > ATTEMPTS * links.len() as u64 || bench.is_impatient_since(last_progress) {
            ledger.fail(&format!(
                "{} of {} devices have not come back",
                links.len() - back.len() as usize,
                links.len()
            ));
            break;
        }
    }
    let usage = Usage::between(from, bench.read_meters());
    bench.report.row("storm_seconds", usage.seconds, Unit::Seconds);
    bench.report.row("resumes_per_s", back.len() as f64 / usage.seconds, Unit::PerSecond);
    usage.report_costs(&mut bench.report, "resume", back.len(), bench.server);
    usage.report_load(&mut bench.report, bench.server);
    bench.report.latency("back", &back);
    bench.report.count("failed_attempts", failed);
    Ok(())
}

/// Waits until every connection is gone, and until the server listens again.
fn await_restart(bench: &mut Bench, links: &[u32], ledger: &mut Ledger, schedule: &mut Schedule) -> anyhow::Result<()> {
    let progress = Progress::new("kill it and start it again", links.len() as u64);
    let mut gone = 0;
    while gone < links.len() {
        let now = bench.now();
        schedule.send_due(&mut bench.engine, ledger, now);
        let until = schedule.next().unwrap_or(u64::MAX).min(now + TICK);
        bench.poll_with(until, |link, event, now| match event {
            Event::Failed(_) => gone += 1,
            event => ledger.note(link, event, now),
        })?;
        progress.set(gone as u64);
    }
    let target = bench.engine.run.target;
    let since = bench.now();
    while TcpStream::connect(target).is_err() {
        if bench.is_impatient_since(since) {
            bail!("the server is gone and did not listen again on {target} within {:?}", bench.patience);
        }
        thread::sleep(LOOK);
    }
    bench.server = Server::listening_on(target);
    Ok(())
}
