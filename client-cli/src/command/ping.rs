//! `ping`: the time of round trips, with a summary.

use std::time::Duration;

use hongyan_client::{Client, ErrorKind};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    exit::{Exit, Failure},
    output::Output,
    session::Login,
    slot::Family,
    terminal::interrupted,
};

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Record {
    Pong { seq: u64, rtt_ms: f64 },
    Summary { sent: u64, received: usize, min_ms: f64, avg_ms: f64, max_ms: f64 },
}

pub async fn run(login: &Login, count: Option<u64>, pause: Duration) -> Result<Exit, Failure> {
    let output = login.output;
    let session = login.open(Family::Sender).await?;
    let server = &login.setup.server;
    session
        .with_events_dropped(output, async |client| {
            let mut pinging = Pinging { output, server, sent: 0, times: Vec::new() };
            tokio::select! {
                ended = pinging.follow(client, count, pause) => ended?,
                signal = interrupted() => signal?,
            }
            pinging.summary()
        })
        .await
}

struct Pinging<'a> {
    output: Output,
    server: &'a str,
    sent: u64,
    times: Vec<Duration>,
}

impl Pinging<'_> {
    async fn follow(&mut self, client: &Client, count: Option<u64>, pause: Duration) -> Result<(), Failure> {
        let mut ticks = interval(pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while count.is_none_or(|count| self.sent < count) {
            ticks.tick().await;
            self.sent += 1;
            match client.ping().await {
                Ok(time) => {
                    self.times.push(time);
                    self.show(time)?;
                }
                Err(error) if *error.kind() == ErrorKind::Timeout => self.output.error(&error.to_string()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn show(&self, time: Duration) -> std::io::Result<()> {
        let (seq, rtt_ms) = (self.sent, milliseconds(time));
        if self.output.json {
            return self.output.record(&Record::Pong { seq, rtt_ms });
        }
        self.output.line(&format!("pong from {}: seq={seq} time={rtt_ms:.3} ms", self.server))
    }

    /// TimedOut if nothing ever came back.
    fn summary(&self) -> Result<Exit, Failure> {
        let Some((min_ms, avg_ms, max_ms)) = min_avg_max(&self.times) else {
            return Err(Failure::new(Exit::TimedOut, format!("{} sent, no answer", self.sent)));
        };
        let (sent, received) = (self.sent, self.times.len());
        if self.output.json {
            self.output.record(&Record::Summary { sent, received, min_ms, avg_ms, max_ms })?;
        } else {
            let line =
                format!("{sent} sent, {received} received, rtt min/avg/max = {min_ms:.3}/{avg_ms:.3}/{max_ms:.3} ms");
            self.output.line(&line)?;
        }
        Ok(Exit::Done)
    }
}

/// To the microsecond.
fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

fn min_avg_max(times: &[Duration]) -> Option<(f64, f64, f64)> {
    let (min, max) = (times.iter().min()?, times.iter().max()?);
    let average = times.iter().sum::<Duration>() / times.len() as u32;
    Some((milliseconds(*min), milliseconds(average), milliseconds(*max)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_right() {
        let times: Vec<_> = [3, 1, 8].map(Duration::from_millis).into();
        assert_eq!(min_avg_max(&times), Some((1.0, 4.0, 8.0)));
        assert_eq!(min_avg_max(&[]), None);
    }
}
