//! What a frame says, as names and values. Tokens and passwords are never shown, contents only on request.

use hongyan_client::Content;
use hongyan_proto::{
    CloseCode,
    code::nack_name,
    frame::{Frame, GREASE},
    wire::{self, entry::Item, hello::Credential, request::Op, response},
};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::What;
use crate::{output::json_line, text};

type Fields = Vec<(&'static str, Value)>;

/// A piece of a capture for people (Display) and programs (Serialize).
pub struct View {
    pub kind: String,
    fields: Fields,
}

macro_rules! fields {
    ($($name:ident: $value:expr),* $(,)?) => { vec![$((stringify!($name), json!($value)),)*] };
}

impl View {
    /// `bodies`: with the contents of messages.
    pub fn new(what: &What, bodies: bool) -> Self {
        let (kind, fields) = match what {
            What::Preface(version) => ("PREFACE".into(), fields! { version: version }),
            What::Frame(frame) => {
                let (kind, fields) = frame_fields(frame, bodies);
                (kind.into(), fields)
            }
            What::Unknown { type_byte, body } => {
                let kind = if GREASE.contains(type_byte) { "GREASE" } else { "UNKNOWN" };
                (kind.into(), fields! { type: format!("{type_byte:#04x}"), body: hidden(*body) })
            }
            What::Broken { error, .. } | What::Lost(error) => {
                ("BROKEN".into(), fields! { error: error.to_string(), code: error.code().to_string() })
            }
            What::CutOff { of: Some(of) } => {
                ("BROKEN".into(), fields! { error: format!("ends inside a frame of {of} bytes") })
            }
            What::CutOff { of: None } => {
                ("BROKEN".into(), fields! { error: "ends inside a preface or a frame's length" })
            }
        };
        Self { kind, fields: fields.into_iter().map(|(name, value)| (name, exact(value))).collect() }
    }
}

impl std::fmt::Display for View {
    /// The kind and the fields that are not at their default.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.kind)?;
        for (name, value) in self.fields.iter().filter(|(_, value)| !is_default(value)) {
            write!(f, " {name}={}", plain(value))?;
        }
        Ok(())
    }
}

impl Serialize for View {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.fields.iter().map(|(name, value)| (name, value)))
    }
}

/// With numbers above 2^53 - 1 as text, since many JSON readers would round them.
fn exact(value: Value) -> Value {
    match value {
        Value::Number(number) if number.as_u64().is_some_and(|number| number >= 1 << 53) => number.to_string().into(),
        Value::Array(items) => items.into_iter().map(exact).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, exact(value))).collect(),
        other => other,
    }
}

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) => false,
    }
}

/// Bare where that cannot be misread.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if text.starts_with('<') && text.ends_with(" bytes>") => text::harmless(text),
        Value::String(text) if text.chars().all(|c| c.is_ascii_alphanumeric() || "._@-:/".contains(c)) => text.clone(),
        other => json_line(other),
    }
}

fn hidden(len: usize) -> String {
    format!("<{len} bytes>")
}

fn body(bytes: &[u8], bodies: bool) -> String {
    if !bodies {
        return hidden(bytes.len());
    }
    Content::as_text(bytes).unwrap_or_else(|| format!("hex:{}", hex(bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn close_code(code: u32) -> String {
    CloseCode(code).to_string()
}

fn object(fields: Fields) -> Value {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<serde_json::Map<_, _>>().into()
}

fn frame_fields(frame: &Frame, bodies: bool) -> (&'static str, Fields) {
    match frame {
        Frame::Hello(hello) => ("HELLO", hello_fields(hello)),
        Frame::Welcome(welcome) => ("WELCOME", welcome_fields(welcome)),
        Frame::Resume(wire::Resume { resume_token, cursor, limits_id, fallback }) => {
            let fallback = fallback.as_ref().map(|hello| object(hello_fields(hello)));
            (
                "RESUME",
                fields! { resume_token: hidden(resume_token.len()), cursor: cursor, limits_id: limits_id, fallback: fallback },
            )
        }
        Frame::Resumed(resumed) => ("RESUMED", resumed_fields(resumed)),
        Frame::Reject(wire::Reject { code, reason, retry_after_ms }) => {
            ("REJECT", fields! { code: close_code(*code), reason: reason, retry_after_ms: retry_after_ms })
        }
        Frame::Ping(wire::Ping { next_ms, ack }) => ("PING", fields! { next_ms: next_ms, ack: ack }),
        Frame::Pong(wire::Pong { head }) => ("PONG", fields! { head: head }),
        Frame::Ack(wire::Ack { useq }) => ("ACK", fields! { useq: useq }),
        Frame::Credit(wire::Credit { max_send_no }) => ("CREDIT", fields! { max_send_no: max_send_no }),
        Frame::GoAway(wire::GoAway { deadline_ms, spread_ms, alternatives }) => {
            ("GOAWAY", fields! { deadline_ms: deadline_ms, spread_ms: spread_ms, alternatives: alternatives })
        }
        Frame::Close(wire::Close { code, reason, retry_after_ms }) => {
            ("CLOSE", fields! { code: close_code(*code), reason: reason, retry_after_ms: retry_after_ms })
        }
        Frame::Send(wire::Send { send_no, to, content }) => {
            ("SEND", fields! { send_no: send_no, to: to, content: body(content, bodies) })
        }
        Frame::SendAck(wire::SendAck { send_no, cseq, useq, time_ms }) => {
            ("SEND_ACK", fields! { send_no: send_no, cseq: cseq, useq: useq, time_ms: time_ms })
        }
        Frame::SendNack(wire::SendNack { send_no, code, reason, retry_after_ms, expected }) => {
            let code = format!("{code} {}", nack_name(*code));
            let rest = fields! { reason: reason, retry_after_ms: retry_after_ms, expected: expected };
            ("SEND_NACK", [fields! { send_no: send_no, code: code }, rest].concat())
        }
        Frame::Push(entry) => ("PUSH", entry_fields(entry, bodies)),
        Frame::Signal(wire::Signal { to, from, body }) => {
            ("SIGNAL", fields! { to: to, from: from, body: hidden(body.len()) })
        }
        Frame::Request(request) => ("REQUEST", request_fields(request)),
        Frame::Response(response) => ("RESPONSE", response_fields(response, bodies)),
        Frame::SyncReq(wire::SyncReq { after }) => ("SYNC_REQ", fields! { after: after }),
        Frame::SyncReset(wire::SyncReset { log_epoch, low, head }) => {
            ("SYNC_RESET", fields! { log_epoch: log_epoch, low: low, head: head })
        }
    }
}

fn hello_fields(hello: &wire::Hello) -> Fields {
    let wire::Hello { uid, device, device_epoch, credential, cursor, log_epoch, .. } = hello;
    let wire::Hello { last_send_no, features, agent, from_head, ephemeral, .. } = hello;
    let secret = match credential {
        Some(Credential::Token(token)) => fields! { token: hidden(token.len()) },
        Some(Credential::Password(password)) => fields! { password: hidden(password.len()) },
        None => vec![],
    };
    [
        fields! { uid: uid, device: device, device_epoch: device_epoch },
        secret,
        fields! { cursor: cursor, log_epoch: log_epoch, last_send_no: last_send_no, features: features },
        fields! { agent: agent, from_head: from_head, ephemeral: ephemeral },
    ]
    .concat()
}

fn welcome_fields(welcome: &wire::Welcome) -> Fields {
    let wire::Welcome { conn_epoch, resume_token, resume_ttl_s, head, last_send_no, max_send_no, .. } = welcome;
    let wire::Welcome { log_epoch, cursor, limits, time_ms, features, uid, .. } = welcome;
    [
        fields! { uid: uid, conn_epoch: conn_epoch, resume_token: hidden(resume_token.len()), resume_ttl_s: resume_ttl_s },
        fields! { head: head, cursor: cursor, log_epoch: log_epoch, last_send_no: last_send_no, max_send_no: max_send_no },
        fields! { features: features, time_ms: time_ms, limits: limits.as_ref().map(limits_value) },
    ]
    .concat()
}

fn resumed_fields(resumed: &wire::Resumed) -> Fields {
    let wire::Resumed { conn_epoch, resume_token, head, last_send_no, max_send_no, limits } = resumed;
    [
        fields! { conn_epoch: conn_epoch, resume_token: hidden(resume_token.len()), head: head },
        fields! { last_send_no: last_send_no, max_send_no: max_send_no, limits: limits.as_ref().map(limits_value) },
    ]
    .concat()
}

fn limits_value(limits: &wire::Limits) -> Value {
    let wire::Limits { max_frame, max_content, push_window, heartbeat_ms, heartbeat_min_ms, .. } = limits;
    let wire::Limits { heartbeat_max_ms, sends_per_s, send_burst, id, .. } = limits;
    let sizes = fields! { max_frame: max_frame, max_content: max_content, push_window: push_window };
    let beats =
        fields! { heartbeat_ms: heartbeat_ms, heartbeat_min_ms: heartbeat_min_ms, heartbeat_max_ms: heartbeat_max_ms };
    object([sizes, beats, fields! { sends_per_s: sends_per_s, send_burst: send_burst, id: id }].concat())
}

fn entry_fields(entry: &wire::Entry, bodies: bool) -> Fields {
    let wire::Entry { useq, own_send_no, item } = entry;
    let item = match item {
        Some(Item::Message(wire::Message { from, to, cseq, time_ms, content })) => {
            fields! { from: from, to: to, cseq: cseq, time_ms: time_ms, content: body(content, bodies) }
        }
        Some(Item::Receipt(wire::Receipt { conversation, delivered_cseq })) => {
            fields! { conversation: conversation, delivered_cseq: delivered_cseq }
        }
        None => vec![],
    };
    [fields! { useq: useq, own_send_no: own_send_no }, item].concat()
}

fn request_fields(request: &wire::Request) -> Fields {
    let op = match &request.op {
        Some(Op::History(wire::HistoryRequest { conversation, after, before, limit, forward })) => {
            let range = fields! { conversation: conversation, after: after, before: before };
            [fields! { op: "history" }, range, fields! { limit: limit, forward: forward }].concat()
        }
        Some(Op::Conversations(wire::ConversationsRequest { after, limit })) => {
            fields! { op: "conversations", after: after, limit: limit }
        }
        Some(Op::Account(wire::AccountRequest {})) => fields! { op: "account" },
        None => vec![],
    };
    [fields! { id: request.id }, op].concat()
}

fn response_fields(response: &wire::Response, bodies: bool) -> Fields {
    let result = match &response.result {
        Some(response::Result::History(wire::HistoryPage { entries, head_cseq, more })) => {
            let entries: Vec<_> = entries.iter().map(|entry| object(entry_fields(entry, bodies))).collect();
            fields! { op: "history", entries: entries, head_cseq: head_cseq, more: more }
        }
        Some(response::Result::Conversations(wire::ConversationsPage { conversations, next })) => {
            let read = |item: &wire::Conversation| {
                object(fields! { conversation: item.conversation, head_cseq: item.head_cseq })
            };
            let conversations: Vec<_> = conversations.iter().map(read).collect();
            fields! { op: "conversations", conversations: conversations, next: next }
        }
        Some(response::Result::Account(wire::Account { uid, head, devices })) => {
            let read = |wire::Device { device, cursor, online, ephemeral }: &wire::Device| {
                object(fields! { device: device, cursor: cursor, online: online, ephemeral: ephemeral })
            };
            let devices: Vec<_> = devices.iter().map(read).collect();
            fields! { op: "account", uid: uid, head: head, devices: devices }
        }
        Some(response::Result::Failure(failure)) => {
            fields! { op: "failure", code: failure.code().as_str_name(), reason: failure.reason }
        }
        None => vec![],
    };
    [fields! { id: response.id }, result].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> wire::Hello {
        let credential = Some(Credential::Password("swordfish".into()));
        wire::Hello { uid: "alice".into(), device: "d\x1b".into(), credential, ..Default::default() }
    }

    fn show(frame: Frame, bodies: bool) -> (String, String) {
        let view = View::new(&What::Frame(frame), bodies);
        (view.to_string(), json_line(&view))
    }

    #[test]
    fn secrets_are_never_shown() {
        let resume =
            wire::Resume { resume_token: b"swordfish"[..].into(), fallback: Some(hello()), ..Default::default() };
        let token = wire::Hello { credential: Some(Credential::Token("swordfish".into())), ..Default::default() };
        let welcome = wire::Welcome { resume_token: b"swordfish"[..].into(), ..Default::default() };
        let resumed = wire::Resumed { resume_token: b"swordfish"[..].into(), ..Default::default() };
        for frame in [
            Frame::Hello(hello()),
            Frame::Hello(token),
            Frame::Resume(resume),
            Frame::Welcome(welcome),
            Frame::Resumed(resumed),
        ] {
            let (human, json) = show(frame, true);
            assert!(human.contains("<9 bytes>") && json.contains("<9 bytes>"), "{human}");
            assert!(!human.contains("swordfish") && !json.contains("swordfish"), "{human}");
        }
    }

    #[test]
    fn contents_are_shown_on_request_and_harmless() {
        let send = Frame::Send(wire::Send { send_no: 3, to: "bob".into(), content: Content::text("hi\x1b there") });
        assert_eq!(show(send.clone(), false).0, "SEND send_no=3 to=bob content=<11 bytes>");
        assert_eq!(show(send, true).0, r#"SEND send_no=3 to=bob content="hi\u001b there""#);
        assert!(!show(Frame::Hello(hello()), false).0.contains('\x1b'));
    }

    #[test]
    fn every_field_is_in_the_json_and_defaults_are_left_out_for_people() {
        let (human, json) = show(Frame::Ping(wire::Ping { next_ms: 0, ack: 7 }), false);
        assert_eq!(human, "PING ack=7");
        assert_eq!(json, r#"{"next_ms":0,"ack":7}"#);
        let close = wire::Close { code: 4008, reason: "no such".into(), retry_after_ms: 0 };
        assert_eq!(show(Frame::Close(close), false).0, r#"CLOSE code="4008 BAD_ACK" reason="no such""#);
    }
}
