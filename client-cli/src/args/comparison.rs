//! What is compared, as it is typed.

use std::time::Duration;

use clap::Args as Group;

use super::value::{rate, seconds};

/// How ways in are compared.
#[derive(Clone, Debug, Group)]
pub struct Comparison {
    /// host:port of the server's HTTP
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7680")]
    pub http: String,
    /// Messages a second
    #[arg(long, value_name = "N", default_value = "10", value_parser = rate)]
    pub rate: f64,
    /// Seconds of messages, for each way
    #[arg(long, value_name = "S", default_value = "20", value_parser = seconds)]
    pub duration: Duration,
    /// Seconds of silence, for each way
    #[arg(long, value_name = "S", default_value = "30", value_parser = seconds)]
    pub idle: Duration,
    /// The server's process on this machine: shows what it works
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
}
