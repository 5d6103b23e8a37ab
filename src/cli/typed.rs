//! What was typed: the command line as clap reads it, with its help texts.
//!
//! What to do about it is [`crate::cli::command::Command`]; values of settings are judged by [`crate::config`], so that a flag gets
//! the same message as a variable or a file.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use hongyan_proto::{ConversationId, DeviceName, Uid};

use crate::config::{Flag, Inputs, units::read_duration};

const EXAMPLES: &str = "\
Examples:
  hongyan                                    serve on 127.0.0.1:7600 from ./hongyan-data
  hongyan user add alice                     let alice exist
  hongyan token alice --ttl 12h              print a token that alice logs in with
  hongyan --config /etc/hongyan.toml         serve as the file says
  hongyan print-config --defaults            all settings, with their meaning, as TOML

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.";

const SERVE_EXAMPLES: &str = "\
Examples:
  hongyan serve --data /var/lib/hongyan --listen 127.0.0.1:7600 --http off
  HONGYAN_LIMITS__MAX_FRAME=128KiB hongyan serve --log-format json";

const USER_EXAMPLES: &str = "\
Examples:
  hongyan user add alice                     alice logs in with tokens only
  hongyan user add bob --password-stdin < bob.password
  hongyan user revoke alice                  make all tokens of alice invalid, and cut her off
  hongyan user list --json

These work on a stopped server's data directory and on a running server.";

const TOKEN_EXAMPLES: &str = "\
Examples:
  hongyan token alice
  hongyan token alice --ttl 10m --device phone
  TOKEN=$(hongyan token alice)";

const STORE_EXAMPLES: &str = "\
Examples:
  hongyan store verify
  hongyan store backup /backup/hongyan-today
  hongyan store compact                      messages taken back leave the disk now, not within store.purge_after
  hongyan store export hongyan.dump && hongyan store import hongyan.dump --data ./fresh";

const TRACE_EXAMPLES: &str = "\
Examples:
  hongyan trace alice bob 12                 message 12 of the conversation that alice has with bob
  hongyan trace alice '#7' 12 --json         message 12 of group 7, in which alice is
  hongyan trace alice --send-no 3 --device phone

It prints when and to whom, never what was written.";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  hongyan completions bash > /etc/bash_completion.d/hongyan
  hongyan completions fish > ~/.config/fish/completions/hongyan.fish";

/// An instant-messaging server: every user has one durable log, and every way in is a cursor over it.
#[derive(Parser)]
#[command(name = "hongyan", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Typed {
    #[command(subcommand)]
    pub verb: Option<Verb>,
    #[command(flatten)]
    pub serve: ServeFlags,
}

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Run the server (also without any command)
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeFlags),
    /// Check the configuration: "ok", or everything that is wrong with it and exit code 2
    CheckConfig(ServeFlags),
    /// Print the configuration as commented TOML
    PrintConfig {
        /// Print the defaults, whatever is configured
        #[arg(long, exclusive = true)]
        defaults: bool,
        #[command(flatten)]
        flags: ServeFlags,
    },
    /// Add, change, revoke and list users
    #[command(after_help = USER_EXAMPLES)]
    User {
        #[command(subcommand)]
        verb: UserVerb,
    },
    /// Print a token that a user logs in with; a user who does not exist is added
    #[command(after_help = TOKEN_EXAMPLES)]
    Token {
        /// The user's id
        uid: Uid,
        /// How long the token is valid, such as 10m, 1h or 30d
        #[arg(long, default_value = "1h", value_parser = ttl)]
        ttl: Duration,
        /// Bind the token to this device
        #[arg(long)]
        device: Option<DeviceName>,
        #[command(flatten)]
        place: PlaceFlags,
    },
    /// Verify, export, import, back up and compact the store
    #[command(after_help = STORE_EXAMPLES)]
    Store {
        #[command(subcommand)]
        verb: StoreVerb,
    },
    /// Print what became of a message: committed, offered, stored by which devices, read
    #[command(after_help = TRACE_EXAMPLES)]
    Trace(TraceFlags),
    /// Print a script that completes this command line in a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions { shell: Shell },
}

#[derive(Subcommand)]
pub(super) enum UserVerb {
    /// Add a user
    Add {
        /// The user's id
        uid: Uid,
        /// Read a password from standard input, one line; without it the user logs in with tokens only
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        place: PlaceFlags,
    },
    /// Set a user's password
    Passwd {
        /// The user's id
        uid: Uid,
        /// Read the password from standard input, one line
        #[arg(long, required = true)]
        password_stdin: bool,
        #[command(flatten)]
        place: PlaceFlags,
    },
    /// Refuse a user's logins and cut off their connections; nothing is deleted
    Disable(OneUser),
    /// Undo `disable`
    Enable(OneUser),
    /// Make every token given to a user so far invalid, and cut off their connections
    Revoke(OneUser),
    /// List all users
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceFlags,
    },
}

#[derive(Args)]
pub(super) struct OneUser {
    /// The user's id
    pub uid: Uid,
    #[command(flatten)]
    pub place: PlaceFlags,
}

#[derive(Subcommand)]
pub(super) enum StoreVerb {
    /// Read everything and check that it is whole
    Verify(PlaceFlags),
    /// Write everything into a new file, for `import`
    Export(StoreFile),
    /// Fill a fresh data directory from an exported file; clients then load a snapshot
    Import(StoreFile),
    /// Copy the store consistently, also while the server runs
    Backup(StoreFile),
    /// Take everything out of the store's files that was taken back, edited or has expired, also while the server runs
    Compact(PlaceFlags),
}

#[derive(Args)]
pub(super) struct StoreFile {
    /// The file to write or read
    pub file: PathBuf,
    #[command(flatten)]
    pub place: PlaceFlags,
}

#[derive(Args)]
pub(super) struct TraceFlags {
    /// Whose conversation, or who has sent it
    pub uid: Uid,
    #[command(flatten)]
    pub numbered: Numbered,
    #[command(flatten)]
    pub sent: Sent,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub place: PlaceFlags,
}

/// By its number in a conversation.
#[derive(Args)]
#[group(conflicts_with = "Sent")]
pub(super) struct Numbered {
    /// The other user, or # and the number of a group
    #[arg(required_unless_present = "send_no", requires = "cseq")]
    pub conversation: Option<ConversationId>,
    /// The number of the message
    pub cseq: Option<u64>,
}

/// By the number that the device gave it.
#[derive(Args)]
pub(super) struct Sent {
    /// The send_no
    #[arg(long, requires = "device")]
    pub send_no: Option<u64>,
    /// The device that has sent it
    #[arg(long, requires = "send_no")]
    pub device: Option<DeviceName>,
}

/// Which server is meant.
#[derive(Args)]
pub(super) struct PlaceFlags {
    /// The configuration file (TOML); also HONGYAN_CONFIG
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory; also HONGYAN_DATA [default: ./hongyan-data]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
}

/// What is most often set for one run.
#[derive(Args)]
pub(super) struct ServeFlags {
    #[command(flatten)]
    place: PlaceFlags,
    /// Where the native protocol listens; also HONGYAN_LISTEN [default: 127.0.0.1:7600]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where HTTP listens for health and metrics, or "off"; also HONGYAN_HTTP [default: 127.0.0.1:7680]
    #[arg(long, value_name = "ADDR|off")]
    http: Option<String>,
    /// Accept unencrypted connections from other machines: everyone on the path can read and alter
    /// passwords, tokens and messages
    #[arg(long)]
    insecure_plaintext: bool,
    /// The log on stderr, for people or as one JSON object a line [default: human]
    #[arg(long, value_name = "human|json")]
    log_format: Option<String>,
    /// What to log: off, error, warn, info, debug, trace, or such as info,hongyan::link=debug [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl PlaceFlags {
    pub fn into_inputs(self) -> Inputs {
        let flags = flag("--data", "data", self.data).into_iter().collect();
        Inputs { file: self.config, env: Vec::new(), flags }
    }
}

impl ServeFlags {
    pub fn into_inputs(self) -> Inputs {
        let mut inputs = self.place.into_inputs();
        let plaintext = self.insecure_plaintext.then(|| true.to_string());
        inputs.flags.extend(
            [
                flag("--listen", "listen", self.listen),
                flag("--http", "http", self.http),
                flag("--insecure-plaintext", "tls.allow_plaintext_off_loopback", plaintext),
                flag("--log-format", "log.format", self.log_format),
                flag("--log-level", "log.level", self.log_level),
            ]
            .into_iter()
            .flatten(),
        );
        inputs
    }
}

fn flag(name: &'static str, key: &'static str, value: Option<String>) -> Option<Flag> {
    value.map(|value| Flag { name, key, value })
}

fn ttl(text: &str) -> Result<Duration, String> {
    read_duration(text)
        .filter(|ttl| *ttl >= Duration::from_secs(1))
        .ok_or_else(|| "must be a duration of at least 1s, with its unit: s, m, h or d".to_owned())
}
