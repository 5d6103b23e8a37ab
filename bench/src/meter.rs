//! The meters of a measurement: read at its beginning and at its end.

use std::time::Duration;

use crate::{
    engine::Engine,
    process::{self, Cpu, Server},
    report::{Report, Unit},
    traffic::Traffic,
};

/// One reading of all meters.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    at: u64,
    server: Cpu,
    own: Duration,
    traffic: Traffic,
}

impl Reading {
    pub fn take(engine: &Engine, server: Option<Server>) -> Self {
        let at = engine.run.now();
        Self {
            at,
            server: server.map(Server::cpu).unwrap_or_default(),
            own: process::own_cpu(),
            traffic: engine.traffic,
        }
    }
}

/// What was used between two readings.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub seconds: f64,
    pub server: Cpu,
    pub own: Duration,
    pub bytes: u64,
    pub calls: u64,
}

impl Usage {
    pub fn between(from: Reading, to: Reading) -> Self {
        let bytes = |traffic: Traffic| traffic.bytes_in + traffic.bytes_out;
        Self {
            seconds: (to.at - from.at) as f64 / 1e9,
            server: to.server - from.server,
            own: to.own.saturating_sub(from.own),
            bytes: bytes(to.traffic) - bytes(from.traffic),
            calls: to.traffic.calls - from.traffic.calls,
        }
    }

    /// Adds what one of `count` things (messages, logins, deliveries) has cost.
    pub fn report_costs(&self, report: &mut Report, what: &str, count: u64, server: Option<Server>) {
        let per = |total: f64| total / count as f64;
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        if server.is_some() {
            report.row(format!("server_cpu_us_per_{what}"), per(micros(self.server.total())), Unit::Micros);
            report.row(format!("server_user_us_per_{what}"), per(micros(self.server.user)), Unit::Micros);
            report.row(format!("server_system_us_per_{what}"), per(micros(self.server.system)), Unit::Micros);
        }
        report.row(format!("own_cpu_us_per_{what}"), per(micros(self.own)), Unit::Micros);
        report.row(format!("own_system_calls_per_{what}"), per(self.calls as f64), Unit::Plain);
        report.row(format!("wire_bytes_per_{what}"), per(self.bytes as f64), Unit::Bytes);
    }

    /// Adds how busy both ends were.
    pub fn report_load(&self, report: &mut Report, server: Option<Server>) {
        let percent = |time: Duration| time.as_secs_f64() / self.seconds * 100.0;
        if server.is_some() {
            report.row("server_cpu_percent", percent(self.server.total()), Unit::Percent);
        }
        report.row("own_cpu_percent", percent(self.own), Unit::Percent);
    }
}

/// Adds the server's memory as it is now.
pub fn report_memory(report: &mut Report, server: Option<Server>) {
    let Some(server) = server else { return };
    let memory = server.memory();
    report.row("server_rss_bytes", memory.rss as f64, Unit::Bytes);
    report.row("server_pss_bytes", memory.pss as f64, Unit::Bytes);
    report.row("server_anonymous_bytes", memory.anonymous as f64, Unit::Bytes);
}
