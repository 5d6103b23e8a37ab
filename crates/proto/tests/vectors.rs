//! The golden vectors in `docs/vectors`, checked both ways, and the hex examples of `docs/protocol.md`.
//!
//! Fields are compared through the `.proto` files alone (by reflection), so that the vectors bind the generated code
//! and the files that other implementers read to each other.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc, time::Instant};

use hongyan_proto::{
    BytesMut, CloseCode, client,
    codec::{Decoder, MAX_FRAME, PREFACE, RawFrame},
    frame::Frame,
    kind::Kind,
    server, wire,
};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind as Type, MessageDescriptor, ReflectMessage, Value,
    prost::Message as _,
};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    #[allow(dead_code, reason = "for readers of the files")]
    from: String,
    kind: String,
    hex: String,
    fields: Map<String, Json>,
    /// False: this frame is legal, but no encoder of ours writes it so.
    #[serde(default = "yes")]
    canonical: bool,
    #[allow(dead_code, reason = "for readers of the files")]
    note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ignored {
    name: String,
    hex: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invalid {
    name: String,
    receiver: String,
    phase: String,
    hex: String,
    close: u32,
    close_name: String,
}

fn yes() -> bool {
    true
}

const FILES: [&str; 6] = ["session", "data", "conversations", "log", "close", "lenient"];

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn read<T: serde::de::DeserializeOwned>(file: &str) -> Vec<T> {
    let path = docs().join("vectors").join(file).with_extension("json");
    serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

fn vectors() -> impl Iterator<Item = Vector> {
    FILES.iter().flat_map(|file| read(file))
}

fn from_hex(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).unwrap()).collect();
    assert!(digits.len().is_multiple_of(2), "half a byte in {hex}");
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn only_frame(bytes: &[u8]) -> RawFrame {
    let mut decoder = Decoder::default();
    decoder.feed(BytesMut::from(bytes));
    let frame = decoder.next_frame(MAX_FRAME).unwrap().expect("a whole frame");
    assert_eq!(decoder.buffered(), 0, "more than one frame");
    frame
}

// ---------------------------------------------------------------- fields as JSON

fn schema() -> DescriptorPool {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let files = protox::compile(["hongyan/v1/wire.proto"], [root]).unwrap();
    DescriptorPool::from_file_descriptor_set(files).unwrap()
}

fn message_of(schema: &DescriptorPool, kind: Kind) -> MessageDescriptor {
    let name = if kind == Kind::Push { "Entry".into() } else { format!("{kind:?}") };
    schema.get_message_by_name(&format!("hongyan.v1.{name}")).unwrap()
}

/// Numbers above 2^53 - 1 are decimal strings, bytes are hex, enums are names; what is absent is left out.
fn to_json(message: &DynamicMessage) -> Json {
    let fields = message.fields().map(|(field, value)| {
        let json = match value {
            Value::List(items) => items.iter().map(|item| value_to_json(&field, item)).collect(),
            value => value_to_json(&field, value),
        };
        (field.name().to_owned(), json)
    });
    Json::Object(fields.collect())
}

fn value_to_json(field: &FieldDescriptor, value: &Value) -> Json {
    match value {
        Value::Bool(value) => Json::from(*value),
        Value::U32(value) => Json::from(*value),
        Value::U64(value) if *value < 1 << 53 => Json::from(*value),
        Value::U64(value) => Json::from(value.to_string()),
        Value::String(value) => Json::from(value.as_str()),
        Value::Bytes(value) => Json::from(to_hex(value)),
        Value::Message(value) => to_json(value),
        Value::EnumNumber(number) => match field.kind() {
            Type::Enum(names) => Json::from(names.get_value(*number).unwrap().name()),
            _ => unreachable!("only enums have enum numbers"),
        },
        other => panic!("{}: no field of this protocol is a {other:?}", field.name()),
    }
}

fn to_message(descriptor: MessageDescriptor, json: &Map<String, Json>) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for (name, json) in json {
        let field = descriptor.get_field_by_name(name).unwrap_or_else(|| panic!("no field {name}"));
        let value = match json {
            Json::Array(items) => Value::List(items.iter().map(|item| to_value(&field, item)).collect()),
            json => to_value(&field, json),
        };
        message.set_field(&field, value);
    }
    message
}

fn to_value(field: &FieldDescriptor, json: &Json) -> Value {
    let number = || json.as_u64().or_else(|| json.as_str()?.parse().ok()).unwrap();
    let text = || json.as_str().unwrap();
    match field.kind() {
        Type::Bool => Value::Bool(json.as_bool().unwrap()),
        Type::Uint32 | Type::Fixed32 => Value::U32(number().try_into().unwrap()),
        Type::Uint64 | Type::Fixed64 => Value::U64(number()),
        Type::String => Value::String(text().into()),
        Type::Bytes => Value::Bytes(from_hex(text()).into()),
        Type::Message(descriptor) => Value::Message(to_message(descriptor, json.as_object().unwrap())),
        Type::Enum(names) => Value::EnumNumber(names.get_value_by_name(text()).unwrap().number()),
        other => panic!("{}: no field of this protocol is a {other:?}", field.name()),
    }
}

fn plain(kind: &str) -> String {
    kind.replace('_', "").to_lowercase()
}

// ---------------------------------------------------------------- tests

#[test]
fn every_vector_decodes_and_encodes() {
    let schema = schema();
    for vector in vectors() {
        let name = &vector.name;
        let bytes = from_hex(&vector.hex);
        let raw = only_frame(&bytes);
        let frame = Frame::decode(raw.clone()).unwrap().expect("a known kind");
        assert_eq!(plain(&format!("{:?}", frame.kind())), plain(&vector.kind), "{name}");

        let descriptor = message_of(&schema, frame.kind());
        let decoded = DynamicMessage::decode(descriptor.clone(), raw.body).unwrap();
        assert_eq!(to_json(&decoded), Json::Object(vector.fields.clone()), "{name}: fields");

        let encoded = to_message(descriptor, &vector.fields);
        assert_eq!(encoded.descriptor().name(), decoded.descriptor().name());
        let body = encoded.encode_to_vec().into();
        let from_fields = Frame::decode(RawFrame { type_byte: raw.type_byte, body }).unwrap();
        assert_eq!(from_fields.as_ref(), Some(&frame), "{name}: the fields mean the same frame");
        let mut out = BytesMut::new();
        frame.encode(&mut out);
        assert_eq!(out == bytes, vector.canonical, "{name}: {} is written as {}", vector.hex, to_hex(&out));
    }
}

#[test]
fn the_vectors_cover_every_kind_and_every_close_code() {
    let names: Vec<String> = vectors().map(|vector| vector.name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "two vectors have one name");
    let kinds: BTreeSet<String> = vectors().map(|vector| plain(&vector.kind)).collect();
    for kind in Kind::ALL {
        assert!(kinds.contains(&plain(&format!("{kind:?}"))), "no vector of {kind:?}");
    }
    let closes: BTreeSet<u64> = read::<Vector>("close").iter().map(|v| v.fields["code"].as_u64().unwrap()).collect();
    for (code, name, _) in CloseCode::ALL {
        assert!(closes.contains(&u64::from(code.0)), "no vector closes with {name}");
    }
}

fn live_server(now: Instant) -> server::Connection {
    let mut server = server_at_login(now);
    let mut hello = BytesMut::new();
    Frame::Hello(wire::Hello::default()).encode(&mut hello);
    server.handle_bytes(hello, now);
    assert!(matches!(server.poll_event(now), Some(server::Event::Hello(_))));
    server.welcome(wire::Welcome::default(), now);
    server
}

fn server_at_login(now: Instant) -> server::Connection {
    let mut server = new_server(now);
    server.handle_bytes(BytesMut::from(&PREFACE[..]), now);
    server
}

fn new_server(now: Instant) -> server::Connection {
    let limits = wire::Limits { max_frame: 65_536, heartbeat_ms: 60_000, ..Default::default() };
    let push = server::PushSettings::default();
    let login_timeout = std::time::Duration::from_secs(5);
    server::Connection::new(Arc::new(server::Settings { login_timeout, limits, send_window: 64, push }), now)
}

fn new_client(now: Instant) -> client::Connection {
    let place = client::Place { cursor: 0, first_unanswered: 1, last_queued: 0 };
    client::Connection::hello(client::Settings::default(), &wire::Hello::default(), place, now)
}

fn live_client(now: Instant) -> client::Connection {
    let mut client = new_client(now);
    let mut welcome = BytesMut::new();
    Frame::Welcome(wire::Welcome::default()).encode(&mut welcome);
    client.handle_bytes(welcome);
    assert!(matches!(client.poll_event(now), Some(client::Event::Welcome(_))));
    client
}

/// How a fresh connection of this role and phase ends on these bytes; none: it goes on.
fn verdict(receiver: &str, phase: &str, bytes: &[u8]) -> Option<CloseCode> {
    let now = Instant::now();
    let bytes = BytesMut::from(bytes);
    if receiver == "client" {
        let mut client = if phase == "live" { live_client(now) } else { new_client(now) };
        client.handle_bytes(bytes);
        return std::iter::from_fn(|| client.poll_event(now)).find_map(|event| match event {
            client::Event::Closed { code, .. } => Some(code),
            _ => None,
        });
    }
    let mut server = match phase {
        "preface" => new_server(now),
        "login" => server_at_login(now),
        _ => live_server(now),
    };
    server.handle_bytes(bytes, now);
    std::iter::from_fn(|| server.poll_event(now)).find_map(|event| match event {
        server::Event::Closed { code, .. } => Some(code),
        _ => None,
    })
}

#[test]
fn invalid_vectors_close_with_their_code() {
    for vector in read::<Invalid>("invalid") {
        let code = verdict(&vector.receiver, &vector.phase, &from_hex(&vector.hex));
        assert_eq!(code, Some(CloseCode(vector.close)), "{}", vector.name);
        assert_eq!(CloseCode(vector.close).name(), Some(vector.close_name.as_str()), "{}", vector.name);
    }
}

#[test]
fn ignored_vectors_are_ignored_everywhere() {
    for vector in read::<Ignored>("ignored") {
        for (receiver, phase) in [("server", "login"), ("server", "live"), ("client", "login"), ("client", "live")] {
            assert_eq!(verdict(receiver, phase, &from_hex(&vector.hex)), None, "{} at {receiver}", vector.name);
        }
    }
}

/// Every ```hex block of the document is whole frames (a preface may stand before them), and each is a vector.
#[test]
fn every_hex_example_of_the_document_is_a_vector() {
    let known: BTreeSet<Vec<u8>> = vectors().map(|vector| from_hex(&vector.hex)).collect();
    let document = fs::read_to_string(docs().join("protocol.md")).unwrap();
    let mut frames = 0;
    for block in document.split("```hex\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let hex: String = block.lines().map(|line| line.split(';').next().unwrap()).collect();
        let mut decoder = Decoder::default();
        decoder.feed(BytesMut::from(&from_hex(&hex)[..]));
        if hex.starts_with("A9") {
            assert_eq!(decoder.take_preface(), Ok(true));
        }
        while let Some(raw) = decoder.next_frame(MAX_FRAME).unwrap() {
            let len = (raw.body.len() as u32 + 1).to_be_bytes();
            let bytes = [&len[1..], &[raw.type_byte], &raw.body[..]].concat();
            assert!(known.contains(&bytes), "no vector is {}", to_hex(&bytes));
            frames += 1;
        }
        assert_eq!(decoder.buffered(), 0, "an incomplete frame in:\n{block}");
    }
    assert!(frames >= 12, "only {frames} frames are shown");
}
