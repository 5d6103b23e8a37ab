//! What is typed, and what is refused.

use std::time::Duration;

use clap::{CommandFactory, Parser};
use hongyan_client::ConversationId;

use super::{
    command::{Args, Command},
    value::{Since, conversation, group},
};

fn parse(line: &str) -> Result<Args, clap::Error> {
    Args::try_parse_from(line.split(' '))
}

#[test]
fn the_definitions_hold_together() {
    Args::command().debug_assert();
}

#[test]
fn global_flags_stand_before_and_after_the_command() {
    for line in ["hongyan-cli --uid a --json send bob hi you", "hongyan-cli send bob hi you --json --uid a"] {
        let args = parse(line).unwrap();
        assert!(args.global.json);
        assert_eq!(args.global.uid.as_deref(), Some("a"));
        assert!(
            matches!(args.command, Command::Send { to, text, .. } if to.to_string() == "bob" && text == ["hi", "you"])
        );
    }
}

#[test]
fn a_lone_dash_and_dashed_words_can_be_sent() {
    assert!(matches!(parse("hongyan-cli send bob -").unwrap().command, Command::Send { text, .. } if text == ["-"]));
    let dashed = parse("hongyan-cli send bob -- -5 --json").unwrap();
    assert!(!dashed.global.json);
    assert!(matches!(dashed.command, Command::Send { text, .. } if text == ["-5", "--json"]));
}

#[test]
fn values_are_checked() {
    for (text, since) in [("all", Since::All), ("new", Since::New), ("7", Since::After(7))] {
        let args = parse(&format!("hongyan-cli listen --since {text} --timeout 0.5")).unwrap();
        assert_eq!(args.global.timeout, Some(Duration::from_millis(500)));
        assert!(matches!(args.command, Command::Listen { since: Some(given), .. } if given == since));
    }
    for bad in [
        "listen --since old",
        "listen --count 0",
        "listen --timeout 0",
        "listen --timeout -1",
        "listen --timeout NaN",
        "listen --timeout inf",
        "history bob --limit 0",
        "send #x hi",
        "group info x",
        "arrange bob --pin --unpin",
        "ping -q -v",
        "send",
        "",
    ] {
        assert_eq!(parse(&format!("hongyan-cli {bad}")).unwrap_err().exit_code(), 2, "{bad}");
    }
}

#[test]
fn whom_a_command_is_about_is_not_who_logs_in() {
    for line in ["block eve", "group ban 7 eve", "group role 7 eve admin", "group admit 7 eve", "contacts --ask eve"] {
        assert_eq!(parse(&format!("hongyan-cli --uid a {line}")).unwrap().global.uid.as_deref(), Some("a"), "{line}");
    }
}

#[test]
fn groups_are_named_so_that_a_shell_leaves_them_alone() {
    for text in ["group:7", "#7"] {
        assert_eq!(conversation(text).unwrap(), ConversationId::Group(7));
        assert_eq!(group(text).unwrap(), 7);
    }
    assert_eq!(group("7").unwrap(), 7);
    assert!(conversation("group:x").is_err() && group("").is_err());
}

#[test]
fn every_command_has_examples() {
    let args = Args::command();
    let groups = args.find_subcommand("group").unwrap().get_subcommands();
    for command in args.get_subcommands().chain(groups) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains("Examples:"), "{}", command.get_name());
    }
}
