//! What is done with single messages and in conversations, as it is typed.

use std::time::Duration;

use clap::{Args as Group, Subcommand};
use hongyan_client::ConversationId;

use super::value::{conversation, seconds};

/// What a message carries besides its text.
#[derive(Clone, Debug, Default, Group)]
pub struct Carried {
    /// The number (cseq) of the message that this one answers
    #[arg(long, value_name = "CSEQ")]
    pub reply_to: Option<u64>,
    /// Meant for this member especially; may be repeated
    #[arg(long, value_name = "UID")]
    pub mention: Vec<String>,
    /// Meant for every member of the group
    #[arg(long)]
    pub mention_all: bool,
    /// Gone after so many seconds
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    pub expires: Option<Duration>,
}

#[derive(Debug, Subcommand)]
pub enum Talk {
    /// Answer a message
    #[command(after_help = "\
Examples:
  hongyan-cli reply bob 12 yes, at eight     the numbers stand in brackets in `history` and `listen`")]
    Reply {
        #[arg(value_name = "UID|GROUP", value_parser = conversation)]
        to: ConversationId,
        #[arg(value_name = "CSEQ")]
        cseq: u64,
        #[arg(required = true)]
        text: Vec<String>,
    },
    /// Give a message of one's own another text
    #[command(after_help = "\
Examples:
  hongyan-cli edit bob 12 at nine, not at eight")]
    Edit {
        #[arg(value_name = "UID|GROUP", value_parser = conversation)]
        conversation: ConversationId,
        #[arg(value_name = "CSEQ")]
        cseq: u64,
        #[arg(required = true)]
        text: Vec<String>,
    },
    /// Take a message back: the server forgets what it said
    #[command(after_help = "\
Examples:
  hongyan-cli recall bob 12
  hongyan-cli recall group:7 40              an admin, of anybody's message")]
    Recall {
        #[arg(value_name = "UID|GROUP", value_parser = conversation)]
        conversation: ConversationId,
        #[arg(value_name = "CSEQ")]
        cseq: u64,
    },
    /// React to a message
    #[command(after_help = "\
Examples:
  hongyan-cli react bob 12 👍
  hongyan-cli react bob 12                   takes the reaction back")]
    React {
        #[arg(value_name = "UID|GROUP", value_parser = conversation)]
        conversation: ConversationId,
        #[arg(value_name = "CSEQ")]
        cseq: u64,
        /// At most 32 bytes; none: takes it back
        reaction: Option<String>,
    },
    /// Copy a message into another conversation
    #[command(after_help = "\
Examples:
  hongyan-cli forward bob 12 carol
  hongyan-cli forward group:7 40 alice       to oneself: kept as a saved message")]
    Forward {
        /// Where it stands
        #[arg(value_name = "UID|GROUP", value_parser = conversation)]
        from: ConversationId,
        #[arg(value_name = "CSEQ")]
        cseq: u64,
        #[arg(value_name = "UID|GROUP", value_parser = conversation)]
        to: ConversationId,
    },
    /// Pin a message for everybody in the conversation
    #[command(after_help = "\
Examples:
  hongyan-cli pin group:7 40
  hongyan-cli pin group:7 40 --remove")]
    Pin {
        #[arg(value_name = "UID|GROUP", value_parser = conversation)]
        conversation: ConversationId,
        #[arg(value_name = "CSEQ")]
        cseq: u64,
        #[arg(long)]
        remove: bool,
    },
    /// Let messages of a conversation disappear after a time
    #[command(after_help = "\
Examples:
  hongyan-cli disappear bob 86400            a day after they were sent
  hongyan-cli disappear bob 0                they stay")]
    Disappear {
        #[arg(value_name = "UID|GROUP", value_parser = conversation)]
        conversation: ConversationId,
        #[arg(value_name = "SECS")]
        after: u32,
    },
    /// Mark a conversation as read
    #[command(after_help = "\
Examples:
  hongyan-cli read bob                       all of it
  hongyan-cli read bob 12                    up to message 12")]
    Read {
        #[arg(value_name = "UID|GROUP", value_parser = conversation)]
        conversation: ConversationId,
        /// Up to this number; none: to the end
        #[arg(value_name = "CSEQ")]
        cseq: Option<u64>,
    },
    /// Show the others that one is writing
    #[command(after_help = "\
Examples:
  hongyan-cli typing bob")]
    Typing {
        #[arg(value_name = "UID|GROUP", value_parser = conversation)]
        conversation: ConversationId,
    },
    /// Change how one's own list shows a conversation, on all devices
    #[command(after_help = "\
Examples:
  hongyan-cli arrange bob --pin --draft 'dear bob,'
  hongyan-cli arrange group:7 --mute 28800   for eight hours
  hongyan-cli arrange group:7 --unmute --archive")]
    Arrange(Arrange),
}

#[derive(Debug, Group)]
pub struct Arrange {
    #[arg(value_name = "UID|GROUP", value_parser = conversation)]
    pub conversation: ConversationId,
    /// Above the others
    #[arg(long, conflicts_with = "unpin")]
    pub pin: bool,
    #[arg(long)]
    pub unpin: bool,
    /// No noise for so many seconds
    #[arg(long, value_name = "SECS", value_parser = seconds, conflicts_with = "unmute")]
    pub mute: Option<Duration>,
    #[arg(long)]
    pub unmute: bool,
    #[arg(long, conflicts_with = "unarchive")]
    pub archive: bool,
    #[arg(long)]
    pub unarchive: bool,
    /// What is written and not sent; empty: nothing
    #[arg(long, value_name = "TEXT")]
    pub draft: Option<String>,
}
