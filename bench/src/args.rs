//! What can be typed: the options of every run and of each scenario.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

/// Measures a Hongyan server over its native protocol.
///
/// Every message carries its sender, number and intended time, and its arrival is checked by content. The exit code is 0
/// only if every message arrived once, in order, unchanged. bench/README.md says how to set the server up.
#[derive(Parser, Clone, Debug)]
#[command(name = "hongyan-bench", version)]
pub struct Cli {
    #[command(subcommand)]
    pub scenario: Scenario,
    #[command(flatten)]
    pub common: Common,
}

/// Options of every scenario.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of every scenario")]
pub struct Common {
    /// The server's native port.
    #[arg(long, global = true, value_name = "HOST:PORT", default_value = "127.0.0.1:7600")]
    pub server: String,
    /// The secret of an HS256 key in the server's auth.keys; the users' tokens are minted with it.
    #[arg(long, global = true, value_name = "FILE", default_value = "bench.secret")]
    pub secret_file: PathBuf,
    /// The key's id in auth.keys.
    #[arg(long, global = true, default_value = "bench")]
    pub kid: String,
    /// The issuer that the server expects of tokens (auth.iss, or else server_name).
    #[arg(long, global = true, default_value = "hongyan")]
    pub iss: String,
    /// The audience that the server expects of tokens (auth.aud, or else server_name).
    #[arg(long, global = true, default_value = "hongyan")]
    pub aud: String,
    /// Speak TLS. Needs --ca.
    #[arg(long, global = true, requires = "ca")]
    pub tls: bool,
    /// The PEM file of the authority that signed the server's certificate, or of the certificate itself.
    #[arg(long, global = true, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Bytes of each message's content, at least 24.
    #[arg(long, global = true, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(24..=1_000_000))]
    pub content_bytes: u32,
    /// The interval of heartbeats; without it what the server suggests.
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds)]
    pub heartbeat: Option<Duration>,
    /// Logins under way at once. Keep it below limits.max_unauthenticated_per_ip of the server.
    #[arg(long, global = true, value_name = "N", default_value_t = 48, value_parser = clap::value_parser!(u32).range(1..))]
    pub logins_at_once: u32,
    /// How long to wait without any progress before what is outstanding counts as missing.
    #[arg(long, global = true, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub patience: Duration,
    /// The server's process, for its CPU time and memory. Without it the process that listens on a loopback --server.
    #[arg(long, global = true, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// Makes user ids, fillings and order the same again. Without it a random one, which the last line shows.
    #[arg(long, global = true)]
    pub seed: Option<u64>,
    /// One JSON object instead of a table.
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Subcommand, Clone, Debug)]
pub enum Scenario {
    /// Senders and receivers in pairs, each with a window of unanswered messages, as fast as it goes
    Pairs(Pairs),
    /// A fixed rate, whatever the server does; latency from the intended time of each message
    Paced(Paced),
    /// Many devices that are logged in and say nothing but heartbeats
    Idle(Idle),
    /// One sender writes to every one of many online receivers, one message each, again and again
    FanOut(FanOut),
    /// One group whose members are all online: its owner writes at a fixed rate, everybody else gets it
    Group(Group),
    /// Many messages to one user who is away, and then comes back
    Offline(Offline),
    /// Many devices lose their connections and come back at once
    ResumeStorm(ResumeStorm),
}

#[derive(Args, Clone, Debug)]
pub struct Pairs {
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub pairs: u32,
    /// Unanswered messages of each sender. Not above limits.send_window of the server.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub window: u32,
    /// How long to measure.
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub seconds: Duration,
    /// How long to run before.
    #[arg(long, default_value = "2", value_parser = seconds)]
    pub warmup: Duration,
}

#[derive(Args, Clone, Debug)]
pub struct Paced {
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub pairs: u32,
    /// Messages a second, over all pairs.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: u32,
    /// How long to measure.
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub seconds: Duration,
    /// How long to run before.
    #[arg(long, default_value = "1", value_parser = seconds)]
    pub warmup: Duration,
}

#[derive(Args, Clone, Debug)]
pub struct Idle {
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,
    /// How long to watch them.
    #[arg(long, default_value = "30", value_parser = seconds)]
    pub seconds: Duration,
}

#[derive(Args, Clone, Debug)]
pub struct FanOut {
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub receivers: u32,
    /// Rounds a second; a round is one message to every receiver.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: u32,
    /// How many seconds of rounds.
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub seconds: Duration,
}

#[derive(Args, Clone, Debug)]
pub struct Group {
    /// Members, the owner among them. Not above groups.max_members of the server.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..))]
    pub members: u32,
    /// Messages a second.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: u32,
    /// How many seconds of messages.
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub seconds: Duration,
}

#[derive(Args, Clone, Debug)]
pub struct Offline {
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub messages: u32,
    /// Unanswered messages of the sender.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub window: u32,
}

#[derive(Args, Clone, Debug)]
pub struct ResumeStorm {
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,
    /// Resumes under way at once. Keep it below limits.max_unauthenticated and max_unauthenticated_per_ip of the server.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub at_once: u32,
    /// Do not cut the connections: wait for the server to be killed and started again by somebody else.
    #[arg(long)]
    pub await_restart: bool,
    /// Pairs that go on exchanging messages during the storm. With --await-restart they are among the connections, lose
    /// theirs as well, and send again what was not answered.
    #[arg(long, default_value_t = 10)]
    pub pairs: u32,
    /// Messages a second over these pairs.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: u32,
}

/// A positive number of seconds, fractions allowed.
fn seconds(text: &str) -> Result<Duration, String> {
    let value: f64 = text.parse().map_err(|_| "must be a number of seconds".to_owned())?;
    if !(0.001..=1e6).contains(&value) {
        return Err("must be between 0.001 and 1000000 seconds".to_owned());
    }
    Ok(Duration::from_secs_f64(value))
}

/// The line that runs this again: what was typed, and the seed if it was not.
pub fn command_line(typed: &[String], seed: u64) -> String {
    let has_seed = typed.iter().any(|word| word == "--seed" || word.starts_with("--seed="));
    let words = typed.iter().skip(1).map(|word| quoted(word));
    let seed = (!has_seed).then(|| format!("--seed {seed}"));
    std::iter::once("hongyan-bench".to_owned()).chain(words).chain(seed).collect::<Vec<_>>().join(" ")
}

/// As a shell reads it back.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_line_runs_again_with_its_seed() {
        let line = |words: &[&str]| command_line(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), 7);
        assert_eq!(line(&["/x/hongyan-bench", "pairs", "--pairs", "2"]), "hongyan-bench pairs --pairs 2 --seed 7");
        assert_eq!(line(&["b", "idle", "--seed=9"]), "hongyan-bench idle --seed=9");
        assert_eq!(line(&["b", "idle", "--ca", "my ca's"]), r"hongyan-bench idle --ca 'my ca'\''s' --seed 7");
    }

    #[test]
    fn options_of_every_scenario_may_follow_it() {
        let cli =
            Cli::try_parse_from(["hongyan-bench", "paced", "--rate", "5", "--server", "h:1", "--patience", "0.5"]);
        let cli = cli.unwrap();
        assert_eq!((cli.common.server.as_str(), cli.common.patience), ("h:1", Duration::from_millis(500)));
        assert!(Cli::try_parse_from(["hongyan-bench", "pairs", "--seconds", "0"]).is_err());
        assert!(Cli::try_parse_from(["hongyan-bench", "pairs", "--tls"]).is_err(), "TLS needs an authority");
    }
}
