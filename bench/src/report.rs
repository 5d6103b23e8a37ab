//! What a run has found: rows with a name, a value and a unit, as a table for people or one JSON object.

use std::{fmt::Write, io};

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use crate::ledger::Ledger;

/// What a value is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Count,
    PerSecond,
    Micros,
    Millis,
    Seconds,
    Bytes,
    Percent,
    /// A ratio.
    Plain,
}

impl Unit {
    fn suffix(self) -> &'static str {
        match self {
            Unit::Count | Unit::Plain => "",
            Unit::PerSecond => "/s",
            Unit::Micros => "us",
            Unit::Millis => "ms",
            Unit::Seconds => "s",
            Unit::Bytes => "B",
            Unit::Percent => "%",
        }
    }
}

/// The findings of one run.
pub struct Report {
    scenario: &'static str,
    command: String,
    rows: Vec<(String, f64, Unit)>,
    failure: Option<String>,
    is_clean: bool,
}

impl Report {
    /// `command` is the line that runs this again.
    pub fn new(scenario: &'static str, command: String) -> Self {
        Self { scenario, command, rows: Vec::new(), failure: None, is_clean: true }
    }

    /// Adds a row. What could not be measured (a division by nothing) is left out.
    pub fn row(&mut self, name: impl Into<String>, value: f64, unit: Unit) {
        if value.is_finite() {
            self.rows.push((name.into(), value, unit));
        }
    }

    pub fn count(&mut self, name: &str, value: u64) {
        self.row(name, value as f64, Unit::Count);
    }

    /// Percentiles of nanoseconds, in microseconds.
    pub fn latency(&mut self, name: &str, histogram: &Histogram<u64>) {
        if histogram.is_empty() {
            return;
        }
        for (label, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)] {
            let value = histogram.value_at_quantile(quantile) as f64 / 1000.0;
            self.row(format!("{name}_{label}_us"), value, Unit::Micros);
        }
    }

    /// Adds what went missing or wrong. A run with any of it has failed.
    pub fn errors(&mut self, ledger: &Ledger) {
        self.count("sent", ledger.sent);
        self.count("answered", ledger.answered);
        self.count("received", ledger.received);
        self.count("missing", ledger.expected().saturating_sub(ledger.received));
        self.count("duplicates", ledger.duplicates);
        self.count("out_of_order", ledger.out_of_order);
        self.count("foreign", ledger.foreign);
        self.failures(ledger.failures, ledger.first_failure.as_deref());
        self.is_clean &= ledger.is_clean();
    }

    /// Adds what ended a connection or was refused.
    pub fn failures(&mut self, count: u64, first: Option<&str>) {
        self.count("failures", count);
        self.failure = self.failure.take().or_else(|| first.map(ToOwned::to_owned));
        self.is_clean &= count == 0;
    }

    /// Whether nothing went missing or wrong.
    pub fn is_clean(&self) -> bool {
        self.is_clean
    }

    /// One JSON object. Its keys are the names of the rows.
    pub fn to_json(&self) -> String {
        let mut object = Map::new();
        object.insert("scenario".to_owned(), json!(self.scenario));
        object.insert("version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
        object.insert("command".to_owned(), json!(self.command));
        for (name, value, unit) in &self.rows {
            let value: Value = if *unit == Unit::Count { json!(*value as u64) } else { json!(rounded(*value)) };
            object.insert(name.clone(), value);
        }
        if let Some(failure) = &self.failure {
            object.insert("first_failure".to_owned(), json!(failure));
        }
        object.insert("clean".to_owned(), json!(self.is_clean));
        Value::Object(object).to_string()
    }

    /// A table for people, and the line that runs this again.
    pub fn to_table(&self) -> String {
        let mut text = format!("{}\n", self.scenario);
        let width = self.rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
        for (name, value, unit) in &self.rows {
            let line = format!("  {name:<width$}  {:>14} {}", shown(*value), unit.suffix());
            let _ = writeln!(text, "{}", line.trim_end());
        }
        if let Some(failure) = &self.failure {
            let _ = writeln!(text, "  first failure: {failure}");
        }
        let _ = writeln!(text, "  run again: {}", self.command);
        text
    }

    pub fn print(&self, as_json: bool, out: &mut impl io::Write) -> io::Result<()> {
        if as_json { writeln!(out, "{}", self.to_json()) } else { write!(out, "{}", self.to_table()) }
    }
}

/// To three decimals, so that a file of results can be read.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Four digits or all of the whole part, with thin groups of three.
fn shown(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        x if x >= 1000.0 => 0,
        x if x >= 100.0 => 1,
        x if x >= 10.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), ""), |(whole, fraction)| (whole, fraction));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) && grouped != "-" {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction.trim_matches('0').is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_for_people() {
        let all: Vec<String> = [0.0, 1.0, 0.2435, 12.345, 123.45, 1234.5, 3_350_000.0].into_iter().map(shown).collect();
        assert_eq!(all, ["0", "1", "0.243", "12.35", "123.5", "1,234", "3,350,000"].map(str::to_owned));
    }

    #[test]
    fn table_and_json_say_the_same() {
        let mut report = Report::new("pairs", "hongyan-bench pairs --seed 1".to_owned());
        report.row("delivered_per_s", 90_000.25, Unit::PerSecond);
        report.row("unmeasured", f64::NAN, Unit::Micros);
        let mut ledger = Ledger::new(1);
        ledger.sent = 3;
        ledger.fail("the server is stopping");
        report.errors(&ledger);
        assert!(!report.is_clean());
        let json: Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!((&json["delivered_per_s"], &json["missing"]), (&json!(90_000.25), &json!(3)));
        assert_eq!((&json["clean"], &json["first_failure"]), (&json!(false), &json!("the server is stopping")));
        assert_eq!(json.get("unmeasured"), None);
        let table = report.to_table();
        for part in ["90,000 /s", "first failure: the server is stopping", "run again: hongyan-bench pairs --seed 1"] {
            assert!(table.contains(part), "{table}");
        }
    }
}
