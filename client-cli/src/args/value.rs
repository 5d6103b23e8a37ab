//! Single values, read from what was typed: a conversation, a group, a rate, a time, a place in the log.

use std::{str::FromStr, time::Duration};

use hongyan_client::{ConversationId, InvalidId};

/// Where a look at the log begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    All,
    New,
    After(u64),
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Since::All),
            "new" => Ok(Since::New),
            number => match number.parse() {
                Ok(useq) => Ok(Since::After(useq)),
                Err(_) => Err("use all, new or a number".into()),
            },
        }
    }
}

/// A user, or a group as `#7` or, since shells take # for a comment, `group:7`.
pub fn conversation(text: &str) -> Result<ConversationId, InvalidId> {
    match text.strip_prefix("group:") {
        Some(number) => ConversationId::new(&format!("#{number}")),
        None => ConversationId::new(text),
    }
}

/// A group: `7`, `#7` or `group:7`.
pub fn group(text: &str) -> Result<u64, InvalidId> {
    let number = text.strip_prefix("group:").or(text.strip_prefix('#')).unwrap_or(text);
    match ConversationId::new(&format!("#{number}"))? {
        ConversationId::Group(number) => Ok(number),
        ConversationId::User(_) => unreachable!("what begins with # is no user"),
    }
}

/// Something a second, up to a thousand.
pub fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1000.0 => Ok(rate),
        _ => Err("use a number above 0, up to 1000".into()),
    }
}

/// A time in seconds, with a fraction if need be, up to a year.
pub fn seconds(text: &str) -> Result<Duration, String> {
    const YEAR: f64 = 365.0 * 86_400.0;
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= YEAR => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("use a number of seconds above 0, such as 2 or 0.5".into()),
    }
}
