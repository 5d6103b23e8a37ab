//! What a typed line means.

use hongyan_client::ConversationId;

use crate::args;

/// Which message is meant: its number, or `.` for the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Number(u64),
    Newest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Nothing,
    Say(String),
    Reply(Target, String),
    Edit(Target, String),
    Recall(Target),
    React(Target, String),
    Forward(Target, ConversationId),
    Pin(Target),
    Unpin(Target),
    History(Option<u32>),
    Members,
    Status,
    Help,
    /// What is wrong with it.
    Wrong(String),
}

pub const HELP: &str = "\
/reply N TEXT     answer message N; the numbers stand in brackets, and . is the newest
/edit N TEXT      give your message another text
/recall N         take your message back
/react N [EMOJI]  react to a message, or take that back
/forward N TO     copy a message to a user or a group (group:7)
/pin N, /unpin N  for everybody
/members          who is in the group, or whether the other one is online
/history [N]      the last N messages (20)
/status           the connection, and what waits to be sent
/quit             leave; Ctrl-D does the same
Any other line is sent. ✓ sent, ✓✓ delivered; what was read is told.";

/// Reads a line as it was typed.
pub fn parse(line: &str) -> Line {
    let line = line.trim();
    let Some(command) = line.strip_prefix('/') else {
        return if line.is_empty() { Line::Nothing } else { Line::Say(line.into()) };
    };
    if command.starts_with('/') {
        return Line::Say(command.into());
    }
    let (name, rest) = split(command);
    match name {
        "help" => Line::Help,
        "status" => Line::Status,
        "members" => Line::Members,
        "history" if rest.is_empty() => Line::History(None),
        "history" => match rest.parse() {
            Ok(number) if number > 0 => Line::History(Some(number)),
            _ => Line::Wrong(format!("{rest:?} is no number of messages")),
        },
        "reply" | "edit" | "recall" | "react" | "forward" | "pin" | "unpin" => about(name, rest),
        _ => {
            Line::Wrong("no such command; /help lists them, and // at the start sends a line that begins with /".into())
        }
    }
}

fn about(name: &str, rest: &str) -> Line {
    let (target, rest) = split(rest);
    let target = match target {
        "." => Target::Newest,
        number => match number.parse() {
            Ok(number) if number > 0 => Target::Number(number),
            _ => {
                return Line::Wrong(format!(
                    "/{name} needs the number of a message, or . for the newest; /help says more"
                ));
            }
        },
    };
    match name {
        "recall" => Line::Recall(target),
        "pin" => Line::Pin(target),
        "unpin" => Line::Unpin(target),
        "react" => Line::React(target, rest.into()),
        "forward" => match args::conversation(rest) {
            Ok(to) => Line::Forward(target, to),
            Err(error) => Line::Wrong(error.to_string()),
        },
        _ if rest.is_empty() => Line::Wrong(format!("/{name} needs a text behind the number")),
        "reply" => Line::Reply(target, rest.into()),
        _ => Line::Edit(target, rest.into()),
    }
}

fn split(text: &str) -> (&str, &str) {
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (first, rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_are_meant() {
        for (typed, line) in [
            ("  ", Line::Nothing),
            (" hello you ", Line::Say("hello you".into())),
            ("//etc", Line::Say("/etc".into())),
            ("/help", Line::Help),
            ("/history", Line::History(None)),
            ("/history 5", Line::History(Some(5))),
            ("/edit . at  nine", Line::Edit(Target::Newest, "at  nine".into())),
            ("/reply 7 8 o'clock", Line::Reply(Target::Number(7), "8 o'clock".into())),
            ("/react 7", Line::React(Target::Number(7), String::new())),
            ("/recall .", Line::Recall(Target::Newest)),
            ("/forward 3 group:9", Line::Forward(Target::Number(3), ConversationId::Group(9))),
        ] {
            assert_eq!(parse(typed), line, "{typed}");
        }
        for wrong in ["/no", "/history x", "/edit 3", "/edit x y", "/recall", "/recall 0", "/forward 3 a/b"] {
            assert!(matches!(parse(wrong), Line::Wrong(_)), "{wrong}");
        }
    }
}
