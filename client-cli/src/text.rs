//! Texts of other people on a terminal: nothing in a message may act on the terminal, or look like another line.

use std::fmt::Write as _;

use hongyan_client::{Changed, ConversationId, Entry, Gone, JoinPolicy, Presence, Received, Role, Uid, What};
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

/// `12:03 [7] alice: hello`; the user's own messages, and those to groups, name where they went. The number in brackets
/// is what other commands call the message by.
pub fn entry_line(entry: &Entry) -> String {
    match entry {
        Entry::Message(message) => {
            let names_to = message.own || matches!(message.to, ConversationId::Group(_));
            let to = if names_to { format!(" → {}", message.to) } else { String::new() };
            let time = local_clock(message.time_ms);
            format!("{time} [{}] {}{to}: {}", message.cseq, message.from, message_text(message))
        }
        Entry::Changed(changed) => {
            let group = match &changed.conversation {
                ConversationId::Group(_) => format!(" in {}", changed.conversation),
                ConversationId::User(peer) if changed.own => format!(" with {peer}"),
                ConversationId::User(_) => String::new(),
            };
            let time = local_clock(changed.time_ms);
            format!("{time} {}{group} {}", changed.by, change(changed))
        }
    }
}

/// What a message says, with what it answers, who wrote it first, and whether it was edited.
pub fn message_text(message: &Received) -> String {
    let gone = match message.gone {
        Gone::Not => None,
        Gone::Recalled => Some("(taken back)".to_owned()),
        Gone::Expired => Some("(disappeared)".to_owned()),
    };
    let mut text = String::new();
    if message.reply_to != 0 {
        let _ = write!(text, "(to [{}]) ", message.reply_to);
    }
    if let Some(author) = &message.forwarded_from {
        let _ = write!(text, "(from {author}) ");
    }
    text += &gone.unwrap_or_else(|| content(&message.content));
    if message.edited.is_some() && message.gone == Gone::Not {
        text += " (edited)";
    }
    text
}

/// What somebody has done, to be read behind their name.
pub fn change(changed: &Changed) -> String {
    let names = |uids: &[Uid]| uids.iter().map(Uid::to_string).collect::<Vec<_>>().join(", ");
    match &changed.what {
        What::Edited { cseq, content, .. } if content.is_empty() => format!("edited [{cseq}]"),
        What::Edited { cseq, content, .. } => format!("edited [{cseq}]: {}", self::content(content)),
        What::Recalled { cseq, author: Some(author) } if *author != changed.by => {
            format!("took back [{cseq}] of {author}")
        }
        What::Recalled { cseq, .. } => format!("took back [{cseq}]"),
        What::Reacted { cseq, reaction, previous } if reaction.is_empty() => {
            format!("took {} from [{cseq}]", harmless(previous))
        }
        What::Reacted { cseq, reaction, .. } => format!("reacted {} to [{cseq}]", harmless(reaction)),
        What::Pinned { cseq } => format!("pinned [{cseq}]"),
        What::Unpinned { cseq } => format!("unpinned [{cseq}]"),
        What::Disappears { after_s: 0 } => "lets messages stay".into(),
        What::Disappears { after_s } => format!("lets messages disappear after {}", span(*after_s)),
        What::GroupCreated { settings, members } if members.is_empty() => {
            format!("made the group {:?}", harmless(&settings.title))
        }
        What::GroupCreated { settings, members } => {
            format!("made the group {:?} with {}", harmless(&settings.title), names(members))
        }
        What::GroupUpdated(update) => match &update.title {
            Some(title) => format!("named the group {:?}", harmless(title)),
            None => "changed the group's settings".into(),
        },
        What::Invited { uids } => format!("added {}", names(uids)),
        What::Joined => "joined".into(),
        What::Left => "left".into(),
        What::Removed { uid, banned: true } => format!("banned {uid}"),
        What::Removed { uid, banned: false } => format!("removed {uid}"),
        What::Unbanned { uid } => format!("lets {uid} come back"),
        What::RoleChanged { uid, role } => format!("made {uid} {}", role_name(*role)),
        What::Transferred { uid } => format!("made {uid} the owner"),
        What::Dissolved => "dissolved the group".into(),
        What::Grown => "made the group a large one".into(),
        _ => "did something that this version does not know".into(),
    }
}

/// Whether somebody is there.
pub fn presence(presence: &Presence) -> String {
    let state = match presence {
        Presence { online: true, .. } => "online".into(),
        Presence { last_seen_ms: 0, .. } => "not told".into(),
        Presence { last_seen_ms, .. } => format!("last seen {}", local_clock(*last_seen_ms)),
    };
    format!("{}: {state}", presence.uid)
}

/// `1 message`, `2 messages`.
pub fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// A time in the largest unit that is whole.
pub fn span(seconds: u32) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let (unit, name) = units.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit)).unwrap_or((1, "second"));
    count((seconds / unit) as usize, name)
}

pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::None => "none",
        Role::Member => "member",
        Role::Admin => "admin",
        Role::Owner => "owner",
        Role::Pending => "pending",
        Role::Banned => "banned",
    }
}

pub fn join_name(join: JoinPolicy) -> &'static str {
    match join {
        JoinPolicy::JoinClosed => "closed",
        JoinPolicy::JoinLink => "link",
        JoinPolicy::JoinRequest => "request",
        JoinPolicy::JoinOpen => "open",
    }
}

#[cfg(test)]
pub mod tests {
    use hongyan_client::{Bytes, Content};

    use super::*;

    /// A message from `from` to bob, or to alice if it is from somebody else than alice.
    pub fn received(from: &str, cseq: u64, content: Bytes) -> Received {
        let uid = |name: &str| Uid::new(name).unwrap();
        Received {
            useq: cseq,
            conversation: uid(from).into(),
            from: uid(from),
            to: uid(if from == "alice" { "bob" } else { "alice" }).into(),
            cseq,
            time_ms: 0,
            content,
            own: false,
            reply_to: 0,
            mentions: Vec::new(),
            mention_all: false,
            forwarded_from: None,
            edited: None,
            gone: Gone::Not,
            expires_ms: 0,
        }
    }

    #[test]
    fn a_line_says_all_that_a_message_is() {
        let message = received("bob", 7, Content::text("hi"));
        assert!(entry_line(&Entry::Message(message.clone())).ends_with(" [7] bob: hi"));
        let forwarded_from = Some(Uid::new("carol").unwrap());
        let rich = Received { reply_to: 3, forwarded_from, edited: Some((9, 1)), ..message };
        assert_eq!(message_text(&rich), "(to [3]) (from carol) hi (edited)");
        let gone = Received { gone: Gone::Recalled, to: ConversationId::Group(4), ..rich };
        assert!(entry_line(&Entry::Message(gone)).ends_with(" [7] bob → #4: (to [3]) (from carol) (taken back)"));
        for (seconds, text) in [(60, "1 minute"), (86_400, "1 day"), (7_200, "2 hours"), (61, "61 seconds")] {
            assert_eq!(span(seconds), text);
        }
    }

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
