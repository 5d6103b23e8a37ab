//! Measures each way: an idle time first, then messages.

use std::{sync::Arc, time::Duration};

use hongyan_client::{Client, Content, StartAt};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::{Instant, interval, timeout},
};

use super::{
    counted::Tally,
    cpu,
    row::{Row, percentile, table},
    ways::{Receiver, Told, Way},
};
use crate::{
    args::Comparison,
    exit::{Exit, Failure},
    output::Output,
    session::Login,
    terminal::interrupted,
};

/// How long the last messages may take: two turns of the slowest poller.
const LAST_ONES: Duration = Duration::from_secs(12);
/// The size of each text.
const TEXT_BYTES: usize = 32;

pub async fn run(login: &Login, comparison: &Comparison) -> Result<Exit, Failure> {
    let output = login.output;
    if login.setup.server.starts_with("tls://") {
        return Err(Failure::usage("compare counts bytes at the socket: use a server without TLS, on loopback"));
    }
    let Some(token) = &login.setup.token else {
        return Err(Failure::usage("compare logs in once for each way: give --token or --token-file"));
    };
    let session = login.open_ephemeral(StartAt::Head).await?;
    session
        .with_events_dropped(output, async |client| {
            let comparing = Comparing { login, token, client, comparison, bar: bar(output, comparison) };
            let mut rows = Vec::new();
            for way in Way::ALL {
                let row = tokio::select! {
                    row = comparing.measure(way) => row?,
                    signal = interrupted() => {
                        signal?;
                        break;
                    }
                };
                if output.json {
                    output.record(&row)?;
                }
                rows.push(row);
            }
            comparing.bar.finish_and_clear();
            if !output.json {
                table(&rows).iter().try_for_each(|line| output.line(line))?;
            }
            Ok(Exit::Done)
        })
        .await
}

/// Seconds, over all ways.
fn bar(output: Output, comparison: &Comparison) -> ProgressBar {
    if output.quiet {
        return ProgressBar::hidden();
    }
    let each = (comparison.idle + comparison.duration).as_secs();
    let bar = ProgressBar::new(each * Way::ALL.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{msg:16} [{bar:40}] {elapsed} of about {len} s") {
        bar.set_style(style);
    }
    bar
}

struct Comparing<'a> {
    login: &'a Login,
    token: &'a str,
    client: &'a Client,
    comparison: &'a Comparison,
    bar: ProgressBar,
}

impl Comparing<'_> {
    /// First an idle time, then messages.
    async fn measure(&self, way: Way) -> Result<Row, Failure> {
        let (told, mut hears) = unbounded_channel();
        let tally = Arc::new(Tally::default());
        let (setup, http) = (&self.login.setup, self.comparison.http.as_str());
        let receiver = Receiver { way, setup, token: self.token, http, tally: tally.clone(), told };
        self.bar.set_message(way.name());
        tokio::select! {
            ended = receiver.run() => {
                ended?;
                Err(Failure::new(Exit::Refused, format!("{} ended", way.name())))
            }
            row = self.observe(way, &tally, &mut hears) => row,
        }
    }

    async fn observe(&self, way: Way, tally: &Tally, hears: &mut UnboundedReceiver<Told>) -> Result<Row, Failure> {
        let lost = || Failure::new(Exit::Unreachable, "the receiver is gone");
        let Some(Told::Ready) = hears.recv().await else { return Err(lost()) };
        let before = self.reading(tally);
        self.pass(self.comparison.idle).await;
        let idle = self.reading(tally).since(&before);
        let before = self.reading(tally);
        let (sent, passing, mut latencies) = (self.send(), self.pass(self.comparison.duration), Vec::new());
        tokio::pin!(sent, passing);
        let mut has_passed = false;
        let mut sent_at: Option<Vec<Instant>> = None;
        let mut received: Vec<(u64, Instant)> = Vec::new();
        let count = self.count();
        while received.len() < count {
            tokio::select! {
                moments = &mut sent, if sent_at.is_none() => sent_at = Some(moments?),
                () = &mut passing, if !has_passed => has_passed = true,
                told = timeout(LAST_ONES + self.comparison.duration, hears.recv()) => match told {
                    Ok(Some(Told::Received(number, at))) => received.push((number, at)),
                    Ok(Some(Told::Ready)) => {}
                    Ok(None) => return Err(lost()),
                    Err(_) => break,
                },
            }
        }
        let busy = self.reading(tally).since(&before);
        let sent_at = match sent_at {
            Some(moments) => moments,
            None => sent.await?,
        };
        for (number, at) in &received {
            latencies.extend(sent_at.get(*number as usize).map(|sent| at.saturating_duration_since(*sent)));
        }
        if latencies.len() < count {
            let what = format!("{}: {} of {count} messages came", way.name(), latencies.len());
            return Err(Failure::new(Exit::TimedOut, what));
        }
        latencies.sort_unstable();
        let minutes = self.comparison.idle.as_secs_f64() / 60.0;
        Ok(Row {
            way: way.name(),
            messages: count,
            p50_ms: percentile(&latencies, 50),
            p99_ms: percentile(&latencies, 99),
            bytes_per_message: busy.bytes as f64 / count as f64,
            bytes_per_idle_minute: idle.bytes as f64 / minutes,
            requests_per_idle_minute: idle.requests as f64 / minutes,
            server_us_per_message: busy.worked.map(|worked| worked.as_secs_f64() * 1e6 / count as f64),
            server_us_per_idle_minute: idle.worked.map(|worked| worked.as_secs_f64() * 1e6 / minutes),
        })
    }

    fn count(&self) -> usize {
        (self.comparison.rate * self.comparison.duration.as_secs_f64()).ceil().max(1.0) as usize
    }

    /// Sends the messages at the rate that was asked for; when each was handed over.
    async fn send(&self) -> Result<Vec<Instant>, Failure> {
        let mut ticks = interval(Duration::from_secs_f64(1.0 / self.comparison.rate));
        let mut moments = Vec::with_capacity(self.count());
        let uid = &self.login.setup.uid;
        for number in 0..self.count() {
            ticks.tick().await;
            let text = format!("{:width$}", format!("{number} "), width = TEXT_BYTES);
            moments.push(Instant::now());
            self.client.enqueue(uid, Content::text(&text)).await?;
        }
        Ok(moments)
    }

    async fn pass(&self, time: Duration) {
        let mut ticks = interval(Duration::from_secs(1));
        ticks.tick().await;
        let end = Instant::now() + time;
        while Instant::now() < end {
            tokio::select! {
                _ = ticks.tick() => self.bar.inc(1),
                () = tokio::time::sleep_until(end) => {}
            }
        }
    }

    fn reading(&self, tally: &Tally) -> Reading {
        let (bytes, requests) = tally.read();
        Reading { bytes, requests, worked: self.comparison.pid.and_then(cpu::worked) }
    }
}

struct Reading {
    bytes: u64,
    requests: u64,
    worked: Option<Duration>,
}

impl Reading {
    fn since(&self, before: &Reading) -> Reading {
        let worked = self.worked.zip(before.worked).map(|(now, then)| now.saturating_sub(then));
        Reading { bytes: self.bytes - before.bytes, requests: self.requests - before.requests, worked }
    }
}
