//! Texts of other people on a terminal: nothing in a message may act on the terminal, or look like another line.

use std::fmt::Write as _;

use hongyan_client::Received;
use hongyan_proto::wire::{self, content::Kind};
use jiff::{Timestamp, tz::TimeZone};
use prost::Message as _;

/// Characters that a terminal obeys instead of showing them, or that turn the order of what it shows.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Marks, embeddings, overrides and isolates of the writing direction.
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Line and paragraph separators, interlinear annotation, tags.
            | '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text with every such character written out, such as `\n` or `\u{1b}`. The rest stays as it is.
pub fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => out.extend(c.escape_default()),
            c if acts(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// A line of JSON with such characters escaped in JSON's own way. They can stand only inside its strings.
pub fn harmless_json(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        if acts(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// A message's content for a person, in one line.
pub fn content(content: &[u8]) -> String {
    match wire::Content::decode(content).ok().and_then(|content| content.kind) {
        Some(Kind::Text(text)) => harmless(&text),
        Some(Kind::File(file)) => {
            format!("[file {} ({} bytes) {}]", harmless(&file.name), file.size, harmless(&file.url))
        }
        Some(Kind::Custom(custom)) => format!("[{}, {} bytes]", harmless(&custom.r#type), custom.body.len()),
        None => format!("[{} bytes that are no text]", content.len()),
    }
}

/// Hours and minutes; with the date if that is not today's.
pub fn clock(time_ms: u64, now: Timestamp, zone: &TimeZone) -> String {
    let Some(time) = i64::try_from(time_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()) else {
        return "--:--".into();
    };
    let (time, now) = (time.to_zoned(zone.clone()), now.to_zoned(zone.clone()));
    let format = if time.date() == now.date() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    time.strftime(format).to_string()
}

/// [`clock`] by this machine's time and zone.
pub fn local_clock(time_ms: u64) -> String {
    clock(time_ms, Timestamp::now(), &TimeZone::system())
}

/// `12:03 alice: hello`; the user's own messages name whom they went to.
pub fn message_line(message: &Received) -> String {
    let (time, text) = (local_clock(message.time_ms), content(&message.content));
    if message.own {
        format!("{time} {} → {}: {text}", message.from, message.to)
    } else {
        format!("{time} {}: {text}", message.from)
    }
}

#[cfg(test)]
mod tests {
    use hongyan_client::Content;

    use super::*;

    #[test]
    fn nothing_in_a_text_acts_on_the_terminal() {
        let attack = "a\x1b[2J\x1b]0;title\x07\rfake\n12:00 bob: lie\u{9b}31m\u{202e}gnorw\u{2028}\x7f\x00";
        let shown = harmless(attack);
        assert!(!shown.chars().any(acts), "{shown:?}");
        assert_eq!(
            shown,
            "a\\u{1b}[2J\\u{1b}]0;title\\u{7}\\rfake\\n12:00 bob: lie\\u{9b}31m\\u{202e}gnorw\\u{2028}\\u{7f}\\u{0}"
        );
        for c in (0..=0x9f).filter_map(char::from_u32).filter(|c| c.is_control()) {
            assert!(!content(&Content::text(&c.to_string())).contains(c), "{c:?}");
        }
    }

    #[test]
    fn json_keeps_its_meaning_when_it_is_made_harmless() {
        let text = "\u{9b}31m \u{202e} \u{7f} \u{e0041} 雁";
        let line = harmless_json(&serde_json::to_string(text).unwrap());
        assert!(!line.chars().any(acts), "{line}");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }

    #[test]
    fn ordinary_texts_stay_as_they_are() {
        for text in ["hello", "鸿雁 👩‍👩‍👧", "a \\ b", "שלום", "é"] {
            assert_eq!(harmless(text), text);
        }
    }

    #[test]
    fn other_contents_are_named() {
        assert_eq!(content(b"\xff\xff"), "[2 bytes that are no text]");
        let file = wire::File { url: "https://x/\x1b".into(), name: "a.png".into(), size: 9, ..Default::default() };
        let file = wire::Content { kind: Some(Kind::File(file)) }.encode_to_vec();
        assert_eq!(content(&file), "[file a.png (9 bytes) https://x/\\u{1b}]");
    }

    #[test]
    fn times_carry_their_date_unless_it_is_today() {
        let now: Timestamp = "2026-11-20T12:30:00Z".parse().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond() as u64;
        assert_eq!(clock(at("2026-11-20T12:03:59Z"), now, &TimeZone::UTC), "12:03");
        assert_eq!(clock(at("2026-11-19T23:59:00Z"), now, &TimeZone::UTC), "2026-11-19 23:59");
        assert_eq!(clock(u64::MAX, now, &TimeZone::UTC), "--:--");
    }
}
