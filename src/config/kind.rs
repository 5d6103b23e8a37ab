//! The kinds of values a setting can have: how each is read, written back, and described to a person.
//!
//! A value may come from TOML with a type or from the environment and flags as text; both are read through the text,
//! so that `max_frame = 65536` fails in a file as it does in a variable. Rules between settings are not here but in
//! [`super::validate`].

use std::{fmt, net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use figment::value::Value;
use tracing_subscriber::EnvFilter;

use super::units::{read_duration, read_size, write_duration, write_size};

/// What is wrong inside a value. `at` is empty for the value itself, or leads to a part of it, such as `[0].kid`.
#[derive(Debug, PartialEq)]
pub(super) struct Fault {
    pub at: String,
    /// As it was given; none where there is nothing, or nothing that should be shown.
    pub value: Option<String>,
    pub message: String,
}

pub(super) trait Kind {
    type Value: Clone;
    /// Completes "must be …".
    fn allowed(&self) -> String;
    fn read(&self, raw: &Value) -> Result<Self::Value, Vec<Fault>>;
    /// The TOML that reads as this value.
    fn write(&self, value: &Self::Value) -> String;
}

/// A kind whose values are one word of text.
pub(super) trait Scalar {
    type Value: Clone;
    /// Whether TOML writes it without quotes.
    const BARE: bool = false;
    fn allowed(&self) -> String;
    fn parse(&self, text: &str) -> Option<Self::Value>;
    fn show(&self, value: &Self::Value) -> String;
}

impl<S: Scalar> Kind for S {
    type Value = S::Value;

    fn allowed(&self) -> String {
        Scalar::allowed(self)
    }

    fn read(&self, raw: &Value) -> Result<S::Value, Vec<Fault>> {
        scalar_text(raw).and_then(|text| self.parse(&text)).ok_or_else(|| {
            vec![Fault {
                at: String::new(),
                value: Some(shown(raw)),
                message: format!("must be {}", Scalar::allowed(self)),
            }]
        })
    }

    fn write(&self, value: &S::Value) -> String {
        let text = self.show(value);
        if S::BARE { text } else { quoted(&text) }
    }
}

/// The text of a string, number or boolean; none for a table or an array.
pub(super) fn scalar_text(raw: &Value) -> Option<String> {
    match raw {
        Value::String(_, text) => Some(text.clone()),
        Value::Char(_, c) => Some(c.to_string()),
        Value::Bool(_, is) => Some(is.to_string()),
        Value::Num(_, number) => number
            .to_u128()
            .map(|n| n.to_string())
            .or_else(|| number.to_i128().map(|n| n.to_string()))
            .or_else(|| number.to_f64().map(|n| n.to_string())),
        Value::Empty(..) | Value::Dict(..) | Value::Array(..) => None,
    }
}

/// A value as it is shown in a message: what is nested is named, not spelt out.
pub(super) fn shown(raw: &Value) -> String {
    match raw {
        Value::String(_, text) => quoted(text),
        Value::Dict(..) => "a table".to_owned(),
        Value::Array(..) => "an array".to_owned(),
        _ => scalar_text(raw).unwrap_or_else(|| "nothing".to_owned()),
    }
}

/// A TOML basic string.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A whole number.
pub(super) struct Count(pub RangeInclusive<u64>);

impl Scalar for Count {
    type Value = u64;
    const BARE: bool = true;

    fn allowed(&self) -> String {
        format!("a whole number from {} to {}", self.0.start(), self.0.end())
    }

    fn parse(&self, text: &str) -> Option<u64> {
        text.parse().ok().filter(|n| self.0.contains(n))
    }

    fn show(&self, value: &u64) -> String {
        value.to_string()
    }
}

/// A number of bytes with its unit.
pub(super) struct Size(pub RangeInclusive<u64>);

impl Scalar for Size {
    type Value = u64;

    fn allowed(&self) -> String {
        let (least, most) = (write_size(*self.0.start()), write_size(*self.0.end()));
        format!("a size from {least} to {most}, with its unit: B, KiB, MiB or GiB")
    }

    fn parse(&self, text: &str) -> Option<u64> {
        read_size(text).filter(|n| self.0.contains(n))
    }

    fn show(&self, value: &u64) -> String {
        write_size(*value)
    }
}

/// A length of time with its unit.
pub(super) struct Span(pub RangeInclusive<Duration>);

impl Scalar for Span {
    type Value = Duration;

    fn allowed(&self) -> String {
        let (least, most) = (write_duration(*self.0.start()), write_duration(*self.0.end()));
        format!("a duration from {least} to {most}, with its unit: ms, s, m, h or d")
    }

    fn parse(&self, text: &str) -> Option<Duration> {
        read_duration(text).filter(|d| self.0.contains(d))
    }

    fn show(&self, value: &Duration) -> String {
        write_duration(*value)
    }
}

/// Yes or no.
pub(super) struct Switch;

impl Scalar for Switch {
    type Value = bool;
    const BARE: bool = true;

    fn allowed(&self) -> String {
        "true or false".to_owned()
    }

    fn parse(&self, text: &str) -> Option<bool> {
        text.parse().ok()
    }

    fn show(&self, value: &bool) -> String {
        value.to_string()
    }
}

/// Where to listen: at least one address.
pub(super) struct Addresses;

impl Scalar for Addresses {
    type Value = Vec<SocketAddr>;

    fn allowed(&self) -> String {
        "an IP address and a port, such as 127.0.0.1:7600 or [::1]:7600; or several, with commas between them"
            .to_owned()
    }

    fn parse(&self, text: &str) -> Option<Vec<SocketAddr>> {
        text.split(',').map(|word| word.trim().parse().ok()).collect()
    }

    fn show(&self, value: &Vec<SocketAddr>) -> String {
        value.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// Something that can be left out by writing `word` in its place.
pub(super) struct Unless<S> {
    pub word: &'static str,
    pub kind: S,
}

impl<S: Scalar> Scalar for Unless<S> {
    type Value = Option<S::Value>;

    fn allowed(&self) -> String {
        format!("{}, or {}", self.kind.allowed(), quoted(self.word))
    }

    fn parse(&self, text: &str) -> Option<Option<S::Value>> {
        if text == self.word { Some(None) } else { self.kind.parse(text).map(Some) }
    }

    fn show(&self, value: &Option<S::Value>) -> String {
        value.as_ref().map_or(self.word.to_owned(), |value| self.kind.show(value))
    }
}

/// A file or directory. Relative paths start from the working directory of the process.
pub(super) struct FilePath;

impl Scalar for FilePath {
    type Value = PathBuf;

    fn allowed(&self) -> String {
        "a path".to_owned()
    }

    fn parse(&self, text: &str) -> Option<PathBuf> {
        (!text.is_empty() && !text.contains('\0')).then(|| text.into())
    }

    fn show(&self, value: &PathBuf) -> String {
        value.display().to_string()
    }
}

/// Origins of pages, with commas between them.
pub(super) struct Origins;

impl Scalar for Origins {
    type Value = Vec<String>;

    fn allowed(&self) -> String {
        "origins such as https://chat.example.com, with commas between them".to_owned()
    }

    fn parse(&self, text: &str) -> Option<Vec<String>> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        words.map(|word| is_origin(word).then(|| word.to_ascii_lowercase())).collect()
    }

    fn show(&self, value: &Vec<String>) -> String {
        value.join(", ")
    }
}

/// A scheme, a host, perhaps a port, and nothing behind it: as a browser names it.
fn is_origin(word: &str) -> bool {
    let authority = word.strip_prefix("https://").or_else(|| word.strip_prefix("http://"));
    let is_part_of_host = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    authority.is_some_and(|host| !host.is_empty() && host.chars().all(is_part_of_host))
}

/// The most characters of a [`Name`].
const LONGEST_NAME: usize = 128;

/// A short name without spaces, as it goes into tokens.
pub(super) struct Name;

impl Scalar for Name {
    type Value = String;

    fn allowed(&self) -> String {
        format!("1 to {LONGEST_NAME} characters without spaces")
    }

    fn parse(&self, text: &str) -> Option<String> {
        let is_name = (1..=LONGEST_NAME).contains(&text.chars().count())
            && !text.chars().any(|c| c.is_whitespace() || c.is_control());
        is_name.then(|| text.to_owned())
    }

    fn show(&self, value: &String) -> String {
        value.clone()
    }
}

/// Which log events to write, in the syntax of `tracing_subscriber`'s `EnvFilter`.
pub(super) struct LogFilter;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl Scalar for LogFilter {
    type Value = String;

    fn allowed(&self) -> String {
        format!("{}; or targets with levels, such as info,hongyan::link=debug", LEVELS.join(", "))
    }

    /// `EnvFilter` takes a lone word for a target, so that a misspelt level would silence everything; it is refused.
    fn parse(&self, text: &str) -> Option<String> {
        let is_directive = |word: &str| word.contains(['=', '[']) || LEVELS.contains(&word);
        let is_filter = text.split(',').all(|word| is_directive(word.trim().to_ascii_lowercase().as_str()))
            && EnvFilter::builder().parse(text).is_ok();
        is_filter.then(|| text.to_owned())
    }

    fn show(&self, value: &String) -> String {
        value.clone()
    }
}

/// One of a few words.
pub(super) struct OneOf<T: 'static>(pub &'static [(&'static str, T)]);

impl<T: Copy + PartialEq + fmt::Debug> Scalar for OneOf<T> {
    type Value = T;

    fn allowed(&self) -> String {
        self.0.iter().map(|(word, _)| quoted(word)).collect::<Vec<_>>().join(" or ")
    }

    fn parse(&self, text: &str) -> Option<T> {
        self.0.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
    }

    fn show(&self, value: &T) -> String {
        let (word, _) = self.0.iter().find(|(_, known)| known == value).expect("every value has its word in the table");
        (*word).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_no_filter() {
        for good in ["info", "DEBUG", "off", "info,hongyan=debug", "warn,hongyan::link[login]=trace"] {
            assert_eq!(LogFilter.parse(good).as_deref(), Some(good));
        }
        for bad in ["", "inof", "info,hongyan", "hongyan=loud", "info,,"] {
            assert_eq!(LogFilter.parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        let read = |text| Origins.parse(text);
        assert_eq!(read(""), Some(Vec::new()));
        assert_eq!(
            read("https://Chat.example.com, http://[::1]:80"),
            Some(vec!["https://chat.example.com".into(), "http://[::1]:80".into()])
        );
        for bad in ["*", "chat.example.com", "https://", "https://a/b", "https://a b"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn quoting_keeps_a_string_on_one_line_of_toml() {
        assert_eq!(quoted("a\"b\\c\n"), r#""a\"b\\c\u000A""#);
    }

    #[test]
    fn a_number_keeps_its_digits() {
        assert_eq!(scalar_text(&Value::from(u64::MAX)).as_deref(), Some("18446744073709551615"));
        assert_eq!(scalar_text(&Value::from(-1)).as_deref(), Some("-1"));
        assert_eq!(scalar_text(&Value::from(1.5)).as_deref(), Some("1.5"));
    }
}
