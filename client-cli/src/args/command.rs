//! The whole command line, and every command that has no family of its own.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use hongyan_client::ConversationId;

use super::{
    comparison::Comparison,
    global::Global,
    group::GroupCommand,
    people::People,
    talk::{Carried, Talk},
    value::{Since, conversation, seconds},
};

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 refused by the server, 2 usage, 3 could not connect, 4 login refused, 5 timed out, 6 failed here
(disk, store, terminal). Data goes to stdout, messages to stderr.";

/// Chat, script and debug Hongyan from a terminal.
#[derive(Debug, Parser)]
#[command(name = "hongyan-cli", version, max_term_width = 120, after_help = EXIT_CODES)]
pub struct Args {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send a message, or one for each line of stdin
    #[command(after_help = "\
Examples:
  hongyan-cli send bob hello there
  hongyan-cli send group:7 hello all         a group, also written '#7' (in quotes, as # begins a comment)
  hongyan-cli send bob --json hi             print the server's answer
  generate | hongyan-cli send bob            one message per line, many in flight
A message that is queued when this ends is sent by the next `send` of the same user.")]
    Send {
        #[arg(value_name = "UID|GROUP", value_parser = conversation)]
        to: ConversationId,
        #[command(flatten)]
        carried: Carried,
        /// The words of the message; none or `-`: one message per line of stdin, empty lines left out
        text: Vec<String>,
    },
    /// Print messages, and what is done in conversations, as they come, going on where the last `listen` stopped
    #[command(after_help = "\
Examples:
  hongyan-cli listen                         for ever; Ctrl-C ends it
  hongyan-cli listen --count 1 --timeout 5   one message, or exit code 5
  hongyan-cli listen --json | jq .text
  hongyan-cli listen --since all             everything kept; moves no place")]
    Listen {
        /// Stop after this many messages
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
        /// all, new, or the number (useq) after which to begin; looks as a device of its own
        #[arg(long, value_name = "USEQ|all|new")]
        since: Option<Since>,
    },
    /// Chat line by line
    #[command(after_help = "\
Examples:
  hongyan-cli chat bob
  hongyan-cli chat group:7
  printf 'hello\\nbye\\n' | hongyan-cli chat bob
✓ behind your message: the server has made it durable. ✓✓: it has reached one of the other's devices. /help in the
chat tells how to answer, edit, take back and react.")]
    Chat {
        #[arg(value_name = "UID|GROUP", value_parser = conversation)]
        with: ConversationId,
    },
    /// Print the messages of a conversation
    #[command(after_help = "\
Examples:
  hongyan-cli history bob                    the last 50
  hongyan-cli history bob --before 120 --limit 20
  hongyan-cli history group:7 --around 40")]
    History {
        #[arg(value_name = "UID|GROUP", value_parser = conversation)]
        with: ConversationId,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// Only messages below this number (cseq)
        #[arg(long, value_name = "CSEQ", default_value_t = 0, hide_default_value = true)]
        before: u64,
        /// Before and behind the message of this number
        #[arg(long, value_name = "CSEQ", conflicts_with = "before")]
        around: Option<u64>,
    },
    /// List one's conversations: what is unread, pinned, muted, drafted
    #[command(after_help = "\
Examples:
  hongyan-cli conversations
  hongyan-cli conversations --unread
  hongyan-cli conversations --archived --json")]
    Conversations {
        /// Only those with unread messages
        #[arg(long)]
        unread: bool,
        /// Those that are archived too
        #[arg(long)]
        archived: bool,
    },
    /// Make groups, and do what is done in them
    #[command(
        subcommand,
        after_help = "\
Examples:
  hongyan-cli group create 'Wild geese' bob carol
  hongyan-cli group --help                   lists what can be done
A GROUP is its number, 7, or its id, '#7'."
    )]
    Group(GroupCommand),
    #[command(flatten)]
    Talk(Talk),
    #[command(flatten)]
    People(People),
    /// What the server knows of this user, or what became of a message
    #[command(after_help = "\
Examples:
  hongyan-cli status                         devices, the log, what waits to be sent
  hongyan-cli status 12                      the message with send_no 12, on each device of this machine
  hongyan-cli status bob 40                  message 40 of the conversation with bob: who has received and read it")]
    Status {
        /// A send_no; or with a number behind it a conversation
        #[arg(value_name = "SEND_NO|UID|GROUP")]
        what: Option<String>,
        #[arg(value_name = "CSEQ")]
        cseq: Option<u64>,
    },
    /// Measure the time of round trips to the server
    #[command(after_help = "\
Examples:
  hongyan-cli ping --count 5 --interval 0.2
  hongyan-cli ping                           for ever; Ctrl-C ends it and prints the summary")]
    Ping {
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
        /// Seconds between two
        #[arg(long, value_name = "S", default_value = "1", value_parser = seconds)]
        interval: Duration,
    },
    /// Measure the same conversation over every way in: TCP, WebSocket, SSE, NDJSON, long and short polls
    #[command(after_help = "\
Examples:
  hongyan-cli compare --uid alice --token \"$(hongyan token alice)\"
  hongyan-cli compare --pid \"$(pidof hongyan)\" --idle 60 --rate 20 --json
One way after the other: first an idle time, then messages from a native sender to this user's own other device.
Bytes are counted at the receiver's socket, both directions, acks included; the server's work is that of the whole path.")]
    Compare(Comparison),
    /// Log in, and keep that as a profile for the other commands
    #[command(after_help = "\
Examples:
  hongyan-cli login --server chat.example.com:7600 --uid alice
  hongyan-cli login --uid alice --token-file alice.jwt --profile work
  pass chat | hongyan-cli login --uid alice --password-stdin
A password is never kept: this machine's devices come back with what the server gave them (resume tokens).")]
    Login,
    /// Forget a profile, with the places and unsent messages of its devices
    #[command(after_help = "\
Examples:
  hongyan-cli logout
  hongyan-cli logout --profile work")]
    Logout,
    /// Decode a capture of the protocol, hex or binary, of either direction
    #[command(after_help = "\
Examples:
  hongyan-cli frames capture.bin
  echo 'A9485901 00000506 08E0D403' | hongyan-cli frames --json
The first column is the offset in bytes. Contents are shown with --trace-bodies, tokens and passwords never.")]
    Frames {
        /// `-` or none: stdin
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Print a completion script for a shell
    #[command(after_help = "\
Examples:
  hongyan-cli completions bash > ~/.local/share/bash-completion/completions/hongyan-cli
  hongyan-cli completions fish > ~/.config/fish/completions/hongyan-cli.fish")]
    Completions { shell: Shell },
}
