//! Where things are written: data to stdout, messages to stderr, and the JSON records of both.

use std::io::{self, IsTerminal, Write};

use base64::{Engine, prelude::BASE64_STANDARD};
use hongyan_client::{Content, Received, Sent};
use serde::Serialize;

use crate::{args::Global, text};

/// How this run talks.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub json: bool,
    /// Dim what is not data, on a terminal that takes it.
    pub color: bool,
    pub quiet: bool,
}

impl Output {
    pub fn new(global: &Global) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let color = io::stdout().is_terminal() && !set("NO_COLOR") && !dumb;
        Self { json: global.json, color, quiet: global.quiet }
    }

    /// One line of data, written at once and whole.
    pub fn line(&self, line: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(format!("{line}\n").as_bytes())?;
        out.flush()
    }

    /// One JSON object in a line.
    pub fn record(&self, record: &impl Serialize) -> io::Result<()> {
        self.line(&json_line(record))
    }

    /// A message to the person, unless they asked for quiet.
    pub fn note(&self, message: &str) {
        if !self.quiet {
            self.error(message);
        }
    }

    /// A message that is always shown. Nothing can be done if stderr is gone.
    pub fn error(&self, message: &str) {
        let _ = io::stderr().lock().write_all(format!("hongyan-cli: {message}\n").as_bytes());
    }

    /// Beside the point, so less bright.
    pub fn dim(&self, text: &str) -> String {
        if self.color { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A record as one line. JSON itself escapes only some of what a terminal obeys.
pub fn json_line(record: &impl Serialize) -> String {
    text::harmless_json(&serde_json::to_string(record).expect("records have string keys and plain values"))
}

/// What is printed of a message, an ack or a receipt.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Record<'a> {
    Message(MessageRecord<'a>),
    Delivered { conversation: &'a str, up_to_cseq: u64 },
    Sent(AckRecord<'a>),
    Reset,
}

#[derive(Serialize)]
pub struct MessageRecord<'a> {
    /// Not known of messages from a history.
    #[serde(skip_serializing_if = "is_zero")]
    useq: u64,
    from: &'a str,
    to: &'a str,
    cseq: u64,
    time_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_base64: Option<String>,
    own: bool,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl<'a> From<&'a Received> for MessageRecord<'a> {
    fn from(message: &'a Received) -> Self {
        let text = Content::as_text(&message.content);
        let content_base64 = text.is_none().then(|| BASE64_STANDARD.encode(&message.content));
        let Received { useq, from, to, cseq, time_ms, own, .. } = message;
        let (from, to) = (from.as_str(), to.as_str());
        Self { useq: *useq, from, to, cseq: *cseq, time_ms: *time_ms, text, content_base64, own: *own }
    }
}

/// The server's answer to a message.
#[derive(Serialize)]
pub struct AckRecord<'a> {
    send_no: u64,
    conversation: &'a str,
    cseq: u64,
    useq: u64,
    time_ms: u64,
}

impl<'a> From<&'a Sent> for AckRecord<'a> {
    fn from(Sent { send_no, conversation, cseq, useq, time_ms }: &'a Sent) -> Self {
        Self { send_no: *send_no, conversation: conversation.as_str(), cseq: *cseq, useq: *useq, time_ms: *time_ms }
    }
}

impl Output {
    /// A message as data.
    pub fn message(&self, message: &Received) -> io::Result<()> {
        if self.json { self.record(&Record::Message(message.into())) } else { self.line(&text::message_line(message)) }
    }
}

#[cfg(test)]
mod tests {
    use hongyan_client::{Bytes, Uid};

    use super::*;

    fn received(content: Bytes) -> Received {
        let (alice, bob) = (Uid::new("alice").unwrap(), Uid::new("bob").unwrap());
        let (conversation, from) = (alice.clone(), alice);
        Received { useq: 3, conversation, from, to: bob, cseq: 2, time_ms: 1, content, own: false }
    }

    #[test]
    fn a_message_is_one_line_of_json_whatever_it_says() {
        let line = json_line(&Record::Message((&received(Content::text("a\n\x1b\"\u{9b}b"))).into()));
        let head = r#"{"type":"message","useq":3,"from":"alice","to":"bob","cseq":2,"time_ms":1,"#;
        assert_eq!(line, format!(r#"{head}"text":"a\n\u001b\"\u009bb","own":false}}"#));
        let line = json_line(&Record::Message((&received(Bytes::from_static(b"\xff\xff"))).into()));
        assert_eq!(line, format!(r#"{head}"content_base64":"//8=","own":false}}"#));
    }

    #[test]
    fn receipts_and_acks_name_their_type() {
        let line = json_line(&Record::Delivered { conversation: "bob", up_to_cseq: 4 });
        assert_eq!(line, r#"{"type":"delivered","conversation":"bob","up_to_cseq":4}"#);
        let sent = Sent { send_no: 1, conversation: Uid::new("bob").unwrap(), cseq: 2, useq: 3, time_ms: 4 };
        let ack = r#""send_no":1,"conversation":"bob","cseq":2,"useq":3,"time_ms":4}"#;
        assert_eq!(json_line(&Record::Sent((&sent).into())), format!(r#"{{"type":"sent",{ack}"#));
        assert_eq!(json_line(&AckRecord::from(&sent)), format!("{{{ack}"));
    }
}
