//! What one way costs, and all of them as a table.

use std::time::Duration;

use serde::Serialize;

/// What one way costs.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "way")]
pub struct Row {
    pub way: String,
    pub messages: usize,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub bytes_per_message: f64,
    pub bytes_per_idle_minute: f64,
    pub requests_per_idle_minute: f64,
    /// Of the whole path from the sender on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_us_per_message: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_us_per_idle_minute: Option<f64>,
}

/// Of a sorted list that is not empty, in milliseconds.
pub fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted[index].as_secs_f64() * 1000.0
}

/// A line for the names of the columns and one for each way.
pub fn table(rows: &[Row]) -> Vec<String> {
    let cell = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"));
    let mut lines = vec![format!(
        "{:<16} {:>9} {:>9} {:>10} {:>10} {:>12} {:>9} {:>12}",
        "", "p50 ms", "p99 ms", "B/message", "B/idle min", "req/idle min", "CPU us/msg", "CPU us/idle min"
    )];
    lines.extend(rows.iter().map(|row| {
        format!(
            "{:<16} {:>9.2} {:>9.2} {:>10.0} {:>10.0} {:>12.1} {:>10} {:>15}",
            row.way,
            row.p50_ms,
            row.p99_ms,
            row.bytes_per_message,
            row.bytes_per_idle_minute,
            row.requests_per_idle_minute,
            cell(row.server_us_per_message),
            cell(row.server_us_per_idle_minute),
        )
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_list() {
        let sorted: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!((percentile(&sorted, 50), percentile(&sorted, 99)), (50.0, 99.0));
        assert_eq!(percentile(&sorted[..1], 99), 1.0);
    }
}
