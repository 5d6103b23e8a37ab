//! What a frame says, as names and values, told by the `.proto` files alone: a new field needs nothing here. Tokens,
//! passwords and links are never shown, what people write only on request.

use std::sync::LazyLock;

use hongyan_client::Content;
use hongyan_proto::{
    BytesMut, CloseCode, DESCRIPTORS,
    codec::HEADER_LEN,
    frame::Frame,
    kind::{GREASE, Kind},
};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind as Type, MessageDescriptor, ReflectMessage as _, Value,
};
use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use super::capture::What;
use crate::{output::json_line, text};

/// The messages of the protocol.
static SCHEMA: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).expect("the build has made them"));

/// Whoever knows one can act as somebody.
const SECRETS: [&str; 4] = ["token", "password", "resume_token", "link"];
/// What people write.
const WORDS: [&str; 6] = ["content", "body", "draft", "reaction", "title", "description"];

/// A piece of a capture for people (Display) and programs (Serialize).
pub struct View {
    pub kind: String,
    fields: Fields,
}

/// In the order of the `.proto` file.
type Fields = Vec<(String, Shown)>;

/// What is shown of a value.
enum Shown {
    Plain(Json),
    List(Vec<Shown>),
    Fields(Fields),
}

fn one(name: &str, value: impl Into<Json>) -> (String, Shown) {
    (name.to_owned(), Shown::Plain(value.into()))
}

impl View {
    /// `bodies`: with what people write.
    pub fn new(what: &What, bodies: bool) -> Self {
        let (kind, fields) = match what {
            What::Preface(version) => ("PREFACE", vec![one("version", *version)]),
            What::Frame(frame) => return Self::of_frame(frame, bodies),
            What::Unknown { type_byte, body } => {
                let kind = if GREASE.contains(type_byte) { "GREASE" } else { "UNKNOWN" };
                (kind, vec![one("type", format!("{type_byte:#04x}")), one("body", hidden(*body))])
            }
            What::Broken { error, .. } | What::Lost(error) => {
                ("BROKEN", vec![one("error", error.to_string()), one("code", error.code().to_string())])
            }
            What::CutOff { of: Some(of) } => {
                ("BROKEN", vec![one("error", format!("ends inside a frame of {of} bytes"))])
            }
            What::CutOff { of: None } => ("BROKEN", vec![one("error", "ends inside a preface or a frame's length")]),
        };
        Self { kind: kind.into(), fields }
    }

    fn of_frame(frame: &Frame, bodies: bool) -> Self {
        let kind = frame.kind();
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes);
        let fields = DynamicMessage::decode(descriptor(kind), bytes.split_off(HEADER_LEN).freeze())
            .map(|message| fields(&message, bodies))
            .unwrap_or_default();
        Self { kind: screaming(&format!("{kind:?}")), fields }
    }
}

impl std::fmt::Display for View {
    /// The kind and the fields that are not at their default.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.kind)?;
        self.fields
            .iter()
            .filter(|(_, value)| !value.is_default())
            .try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

impl Serialize for View {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.fields.iter().map(|(name, value)| (name, value)))
    }
}

impl Shown {
    fn is_default(&self) -> bool {
        match self {
            Shown::Plain(Json::Number(number)) => number.as_u64() == Some(0),
            Shown::Plain(Json::String(text)) => text.is_empty(),
            Shown::Plain(value) => matches!(value, Json::Bool(false)),
            Shown::List(items) => items.is_empty(),
            // That it is there says something: GroupLeave, say, has no fields.
            Shown::Fields(_) => false,
        }
    }
}

impl std::fmt::Display for Shown {
    /// Bare where that cannot be misread.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_bare = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "#._@-:/".contains(c));
        match self {
            Shown::Plain(Json::String(text)) if text.starts_with('<') && text.ends_with(" bytes>") => {
                f.write_str(&text::harmless(text))
            }
            Shown::Plain(Json::String(text)) if is_bare(text) => f.write_str(text),
            Shown::Plain(value) => f.write_str(&json_line(value)),
            Shown::List(items) => {
                let items: Vec<_> = items.iter().map(Shown::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
            Shown::Fields(fields) => {
                let fields = fields.iter().filter(|(_, value)| !value.is_default());
                let fields: Vec<_> = fields.map(|(name, value)| format!("{name}={value}")).collect();
                write!(f, "{{{}}}", fields.join(" "))
            }
        }
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Shown::Plain(value) => value.serialize(serializer),
            Shown::List(items) => serializer.collect_seq(items),
            Shown::Fields(fields) => serializer.collect_map(fields.iter().map(|(name, value)| (name, value))),
        }
    }
}

fn descriptor(kind: Kind) -> MessageDescriptor {
    let name = if kind == Kind::Push { "Entry".into() } else { format!("{kind:?}") };
    SCHEMA.get_message_by_name(&format!("hongyan.v1.{name}")).expect("every kind has a message of its name")
}

/// `SendAck` is `SEND_ACK`; GOAWAY is one word.
fn screaming(name: &str) -> String {
    if name == "GoAway" {
        return "GOAWAY".into();
    }
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}

/// Every field, those at their default included, but for those whose absence means something.
fn fields(message: &DynamicMessage, bodies: bool) -> Fields {
    let descriptor = message.descriptor();
    let shown = descriptor.fields().filter(|field| !field.supports_presence() || message.has_field(field));
    shown.map(|field| (field.name().to_owned(), shown_value(&field, &message.get_field(&field), bodies))).collect()
}

fn shown_value(field: &FieldDescriptor, value: &Value, bodies: bool) -> Shown {
    match value {
        Value::List(items) => Shown::List(items.iter().map(|item| shown_value(field, item, bodies)).collect()),
        Value::Message(message) => Shown::Fields(fields(message, bodies)),
        value => Shown::Plain(plain_value(field, value, bodies)),
    }
}

fn plain_value(field: &FieldDescriptor, value: &Value, bodies: bool) -> Json {
    let name = field.name();
    match value {
        Value::String(text) if SECRETS.contains(&name) || !bodies && WORDS.contains(&name) => hide(text.len()),
        Value::String(text) => text.as_str().into(),
        Value::Bytes(bytes) if SECRETS.contains(&name) || !bodies => hide(bytes.len()),
        Value::Bytes(bytes) => Content::as_text(bytes).unwrap_or_else(|| format!("hex:{}", hex(bytes))).into(),
        Value::U32(code) if name == "code" => CloseCode(*code).to_string().into(),
        Value::U32(number) => (*number).into(),
        // Many JSON readers would round larger ones.
        Value::U64(number) if *number >= 1 << 53 => number.to_string().into(),
        Value::U64(number) => (*number).into(),
        Value::Bool(value) => (*value).into(),
        Value::EnumNumber(number) => match field.kind() {
            Type::Enum(names) => names.get_value(*number).map_or(json!(number), |value| value.name().into()),
            _ => json!(number),
        },
        other => other.to_string().into(),
    }
}

/// Nothing of it but its length; nothing at all where there is nothing.
fn hide(len: usize) -> Json {
    if len == 0 { "".into() } else { hidden(len).into() }
}

fn hidden(len: usize) -> String {
    format!("<{len} bytes>")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use hongyan_proto::wire::{self, hello::Credential};

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
        let join = wire::act::What::GroupJoin(wire::GroupJoin { link: "swordfish".into() });
        let join = wire::Send { act: Some(Box::new(wire::Act { what: Some(join) })), ..Default::default() };
        for frame in [
            Frame::Hello(hello()),
            Frame::Hello(token),
            Frame::Resume(resume),
            Frame::Welcome(welcome),
            Frame::Resumed(resumed),
            Frame::Send(join),
        ] {
            let (human, json) = show(frame, true);
            assert!(human.contains("<9 bytes>") && json.contains("<9 bytes>"), "{human}");
            assert!(!human.contains("swordfish") && !json.contains("swordfish"), "{human}");
        }
    }

    #[test]
    fn what_people_write_is_shown_on_request_and_harmless() {
        let (to, content) = ("bob".to_owned(), Content::text("hi\x1b there"));
        let send = Frame::Send(wire::Send { send_no: 3, to, content, ..Default::default() });
        assert_eq!(show(send.clone(), false).0, "SEND send_no=3 to=bob content=<11 bytes>");
        assert_eq!(show(send, true).0, r#"SEND send_no=3 to=bob content="hi\u001b there""#);
        assert!(!show(Frame::Hello(hello()), false).0.contains('\x1b'));
        let reaction = wire::act::What::React(wire::React { cseq: 2, reaction: "thumb".into(), ..Default::default() });
        let message = wire::Message { act: Some(Box::new(wire::Act { what: Some(reaction) })), ..Default::default() };
        let item = Some(wire::entry::Item::Message(message));
        let push = Frame::Push(wire::Entry { useq: 1, own_send_no: 0, item });
        assert_eq!(show(push.clone(), false).0, "PUSH useq=1 message={act={react={cseq=2 reaction=<5 bytes>}}}");
        assert!(show(push, true).0.contains("reaction=thumb"));
    }

    #[test]
    fn every_field_is_in_the_json_and_defaults_are_left_out_for_people() {
        let (human, json) = show(Frame::Ping(wire::Ping { next_ms: 0, ack: 7 }), false);
        assert_eq!(human, "PING ack=7");
        assert_eq!(json, r#"{"next_ms":0,"ack":7}"#);
        let close = wire::Close { code: 4008, reason: "no such".into(), retry_after_ms: 0 };
        assert_eq!(show(Frame::Close(close), false).0, r#"CLOSE code="4008 BAD_ACK" reason="no such""#);
        for kind in Kind::ALL {
            assert!(!descriptor(*kind).name().is_empty());
        }
    }
}
