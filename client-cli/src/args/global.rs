//! What every command takes: where the server is, who logs in, how it is told.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args as Group};

use super::value::seconds;

/// Taken by every command.
#[derive(Clone, Debug, Default, Group)]
#[command(next_help_heading = "Connection and output")]
pub struct Global {
    /// host:port, or tls://host:port for TLS 1.3 [default: the profile's, else 127.0.0.1:7600]
    #[arg(long, global = true, value_name = "ADDR", env = "HONGYAN_CLI_SERVER")]
    pub server: Option<String>,
    /// Certificates (PEM) to trust instead of the system's; with tls://
    #[arg(long, global = true, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Who logs in; may be left out with a token that names its subject
    #[arg(long, global = true, value_name = "U", env = "HONGYAN_CLI_UID")]
    pub uid: Option<String>,
    /// A token; other users of this machine can see arguments, so prefer --token-file or the environment
    #[arg(long, global = true, value_name = "T", env = "HONGYAN_CLI_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// A file with the token
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Read the password from the first line of stdin
    #[arg(long, global = true)]
    pub password_stdin: bool,
    /// Log in as `login` has kept it [default: "default", if there is one and neither --uid nor a token is given]
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// Be this device of the user, with its own store, instead of the first free one of this machine
    #[arg(long, global = true, value_name = "D")]
    pub device: Option<String>,
    /// Where devices keep their place and unsent messages [default: $XDG_STATE_HOME/hongyan]
    #[arg(long, global = true, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Be a device for this one run: nothing is kept here, and the server forgets it soon
    #[arg(long, global = true)]
    pub ephemeral: bool,
    /// One JSON object a line on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Show every frame in and out on stderr, without tokens, passwords and contents
    #[arg(long, global = true)]
    pub trace: bool,
    /// Show every frame, with the contents of messages
    #[arg(long, global = true)]
    pub trace_bodies: bool,
    /// Only errors on stderr
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// More on stderr; twice for all the client has to tell
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Give up after this time, with exit code 5
    #[arg(long, global = true, value_name = "SECS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// How long to try to reach the server, with exit code 3
    #[arg(long, global = true, value_name = "SECS", value_parser = seconds, default_value = "10")]
    pub connect_timeout: Duration,
}
