//! What is done about people, as it is typed.

use clap::{Args as Group, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub enum People {
    /// Who is online, and who was when
    #[command(after_help = "\
Examples:
  hongyan-cli presence bob carol
  hongyan-cli presence bob --follow          and every change from now on; Ctrl-C ends it")]
    Presence {
        #[arg(value_name = "UID", required = true)]
        uids: Vec<String>,
        /// Go on telling
        #[arg(long)]
        follow: bool,
    },
    /// List contacts and who is blocked, ask somebody to be a contact, or agree to it
    #[command(after_help = "\
Examples:
  hongyan-cli contacts
  hongyan-cli contacts --ask bob             asks, or agrees to be asked
  hongyan-cli contacts --remove bob          says no, or is none any more")]
    Contacts {
        #[arg(long, value_name = "UID", conflicts_with = "remove")]
        ask: Option<String>,
        #[arg(long, value_name = "UID")]
        remove: Option<String>,
    },
    /// Let somebody write no more
    #[command(after_help = "\
Examples:
  hongyan-cli block eve")]
    Block {
        #[arg(value_name = "UID")]
        who: String,
    },
    /// Let somebody write again
    #[command(after_help = "\
Examples:
  hongyan-cli unblock eve")]
    Unblock {
        #[arg(value_name = "UID")]
        who: String,
    },
    /// Who may write, add to groups, see when one is online; prints what holds
    #[command(after_help = "\
Examples:
  hongyan-cli privacy
  hongyan-cli privacy --write contacts --receipts off")]
    Privacy(PrivacyArgs),
}

#[derive(Debug, Group)]
pub struct PrivacyArgs {
    /// Who may write to one
    #[arg(long, value_name = "WHO")]
    pub write: Option<Who>,
    /// Who may add one to groups
    #[arg(long, value_name = "WHO")]
    pub add_to_groups: Option<Who>,
    /// Who sees whether one is online
    #[arg(long, value_name = "WHO")]
    pub presence: Option<Who>,
    /// Whether others are told what was delivered and read
    #[arg(long)]
    pub receipts: Option<Switch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Who {
    Everybody,
    Contacts,
    Nobody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}
