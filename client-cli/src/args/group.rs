//! What is done with groups, as it is typed.

use clap::{Args as Group, Subcommand, ValueEnum};

use super::value::group;

#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// Make a group; prints its id
    #[command(after_help = "\
Examples:
  hongyan-cli group create 'Wild geese' bob carol
  hongyan-cli group create News --may-post admin --join open")]
    Create {
        title: String,
        /// First members besides oneself
        #[arg(value_name = "UID")]
        members: Vec<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// What a group is; with its link for those who may invite
    #[command(after_help = "\
Examples:
  hongyan-cli group info 7")]
    Info {
        #[arg(value_name = "GROUP", value_parser = group)]
        group: u64,
    },
    /// Who is in it
    #[command(after_help = "\
Examples:
  hongyan-cli group members 7
  hongyan-cli group members 7 --role banned  for admins")]
    Members {
        #[arg(value_name = "GROUP", value_parser = group)]
        group: u64,
        /// Only these
        #[arg(long, value_name = "ROLE")]
        role: Option<RoleName>,
    },
    /// Add people
    #[command(after_help = "\
Examples:
  hongyan-cli group invite 7 dora eve")]
    Invite {
        #[arg(value_name = "GROUP", value_parser = group)]
        group: u64,
        #[arg(value_name = "UID", required = true)]
        uids: Vec<String>,
    },
    /// Join an open group, or one by its link; where admins let people in, this asks them
    #[command(after_help = "\
Examples:
  hongyan-cli group join 7
  hongyan-cli group join 7 --link 3qXs…")]
    Join {
        #[arg(value_name = "GROUP", value_parser = group)]
        group: u64,
        #[arg(long)]
        link: Option<String>,
    },
    /// Leave; the owner hands the group over first
    #[command(after_help = "\
Examples:
  hongyan-cli group leave 7")]
    Leave {
        #[arg(value_name = "GROUP", value_parser = group)]
        group: u64,
    },
    /// Remove a member
    #[command(after_help = "\
Examples:
  hongyan-cli group remove 7 eve")]
    Remove {
        #[arg(value_name = "GROUP", value_parser = group)]
        group: u64,
        #[arg(value_name = "UID")]
        who: String,
    },
    /// Remove a member, who cannot come back
    #[command(after_help = "\
Examples:
  hongyan-cli group ban 7 eve")]
    Ban {
        #[arg(value_name = "GROUP", value_parser = group)]
        group: u64,
        #[arg(value_name = "UID")]
        who: String,
    },
    /// Let somebody come back who was banned
    #[command(after_help = "\
Examples:
  hongyan-cli group unban 7 eve")]
    Unban {
        #[arg(value_name = "GROUP", value_parser = group)]
        group: u64,
        #[arg(value_name = "UID")]
        who: String,
    },
    /// Make a member an admin, or an admin a member
    #[command(after_help = "\
Examples:
  hongyan-cli group role 7 dora admin")]
    Role {
        #[arg(value_name = "GROUP", value_parser = group)]
        group: u64,
        #[arg(value_name = "UID")]
        who: String,
        role: Rank,
    },
    /// Make another member the owner
    #[command(after_help = "\
Examples:
  hongyan-cli group transfer 7 dora")]
    Transfer {
        #[arg(value_name = "GROUP", value_parser = group)]
        group: u64,
        #[arg(value_name = "UID")]
        who: String,
    },
    /// End the group for everybody; what was written stays to be read
    #[command(after_help = "\
Examples:
  hongyan-cli group dissolve 7")]
    Dissolve {
        #[arg(value_name = "GROUP", value_parser = group)]
        group: u64,
    },
    /// Print the link to join by, make a new one, or end it
    #[command(after_help = "\
Examples:
  hongyan-cli group link 7
  hongyan-cli group link 7 --new             older ones end
  hongyan-cli group link 7 --revoke")]
    Link {
        #[arg(value_name = "GROUP", value_parser = group)]
        group: u64,
        #[arg(long, conflicts_with = "revoke")]
        new: bool,
        #[arg(long)]
        revoke: bool,
    },
    /// Change what a group is
    #[command(after_help = "\
Examples:
  hongyan-cli group update 7 --title 'Wilder geese' --join request")]
    Update {
        #[arg(value_name = "GROUP", value_parser = group)]
        group: u64,
        #[arg(long)]
        title: Option<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Who wants to join
    #[command(after_help = "\
Examples:
  hongyan-cli group requests 7")]
    Requests {
        #[arg(value_name = "GROUP", value_parser = group)]
        group: u64,
    },
    /// Let somebody in who wants to join, or not
    #[command(after_help = "\
Examples:
  hongyan-cli group admit 7 eve
  hongyan-cli group admit 7 eve --refuse")]
    Admit {
        #[arg(value_name = "GROUP", value_parser = group)]
        group: u64,
        #[arg(value_name = "UID")]
        who: String,
        #[arg(long)]
        refuse: bool,
    },
}

/// What a group is, as far as it is said.
#[derive(Clone, Debug, Default, Group)]
pub struct Settings {
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Who can come by themselves
    #[arg(long)]
    pub join: Option<JoinName>,
    /// Whether new members see what was written before
    #[arg(long, value_name = "true|false")]
    pub history_for_new: Option<bool>,
    #[arg(long)]
    pub may_post: Option<Least>,
    #[arg(long)]
    pub may_invite: Option<Least>,
    #[arg(long)]
    pub may_pin: Option<Least>,
    /// Title and description
    #[arg(long)]
    pub may_describe: Option<Least>,
    #[arg(long)]
    pub may_mention_all: Option<Least>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum JoinName {
    /// By invitation only
    Closed,
    /// Whoever has the link
    Link,
    /// Whoever has the link may ask
    Request,
    /// Whoever knows the group's id
    Open,
}

/// The least role that may do a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Least {
    Member,
    Admin,
    Owner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Rank {
    Member,
    Admin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    Member,
    Admin,
    Owner,
    Pending,
    Banned,
}
