//! The one JSON form of what the protocol carries: proto3 JSON of the messages in `proto/`, as the generated code has it,
//! so that a new message or field appears here by itself. One thing is made readable: where `content` is exactly an
//! encoded `Content` with a text, `text` stands in its place, and `text` is taken in its place.

use base64::{Engine, prelude::BASE64_STANDARD};
use hongyan_proto::wire::{Content, content::Kind};
use prost::Message;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

const CONTENT: &str = "content";
const TEXT: &str = "text";

/// The JSON of a message or frame.
pub fn to_value(message: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(message).expect("protobuf messages have a JSON form");
    each_object(&mut value, &mut |object| {
        if let Some(text) = object.get(CONTENT).and_then(text_of) {
            object.remove(CONTENT);
            object.insert(TEXT.into(), text.into());
        }
    });
    value
}

/// The same, written out.
pub fn to_text(message: &impl Serialize) -> String {
    to_value(message).to_string()
}

/// Reads a message or frame.
///
/// # Errors
/// What is wrong, for whoever wrote it.
pub fn from_value<T: DeserializeOwned>(mut value: Value) -> Result<T, String> {
    each_object(&mut value, &mut |object| {
        if !object.contains_key(CONTENT)
            && let Some(Value::String(text)) = object.remove(TEXT)
        {
            let content = Content { kind: Some(Kind::Text(text)) }.encode_to_vec();
            object.insert(CONTENT.into(), BASE64_STANDARD.encode(content).into());
        }
    });
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// The text, if `content` is the base64 of an encoded text and of nothing else.
fn text_of(content: &Value) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(content.as_str()?).ok()?;
    let content = Content::decode(&*bytes).ok()?;
    if content.encode_to_vec() != bytes {
        return None;
    }
    match content.kind? {
        Kind::Text(text) => Some(text),
        _ => None,
    }
}

/// Calls `each` with every object in `value`. How deep it goes is bounded by the reader of JSON.
fn each_object(value: &mut Value, each: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            each(object);
            object.values_mut().for_each(|inner| each_object(inner, each));
        }
        Value::Array(list) => list.iter_mut().for_each(|inner| each_object(inner, each)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use hongyan_proto::{frame::Frame, wire};
    use serde_json::json;

    use super::*;

    fn send(content: Vec<u8>) -> Frame {
        Frame::Send(wire::Send { send_no: 7, to: "bob".into(), content: content.into(), ..Default::default() })
    }

    #[test]
    fn a_text_is_readable_and_everything_else_is_base64() {
        let text = Content { kind: Some(Kind::Text("hi <b>".into())) }.encode_to_vec();
        let readable = json!({"send": {"sendNo": "7", "to": "bob", "text": "hi <b>"}});
        assert_eq!(to_value(&send(text.clone())), readable);
        assert_eq!(from_value(readable), Ok(send(text)));
        for opaque in [&b"\xff\x00"[..], b"\x0a\x80\x00", b"\x0a\x02hi\x78\x01"] {
            let value = to_value(&send(opaque.to_vec()));
            assert!(value["send"]["content"].is_string(), "{value}");
            assert_eq!(from_value(value), Ok(send(opaque.to_vec())));
        }
    }

    #[test]
    fn numbers_may_be_written_either_way_and_unknown_names_are_refused() {
        for written in [json!(7), json!("7")] {
            let frame: Frame = from_value(json!({"ack": {"useq": written}})).unwrap();
            assert_eq!(frame, Frame::Ack(wire::Ack { useq: 7 }));
        }
        let max: Frame = from_value(json!({"ack": {"useq": u64::MAX.to_string()}})).unwrap();
        assert_eq!(to_value(&max), json!({"ack": {"useq": "18446744073709551615"}}));
        for wrong in
            [json!({"ack": {"seq": 1}}), json!({"hug": {}}), json!({}), json!([]), json!({"ack": {"useq": -1}})]
        {
            assert!(from_value::<Frame>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
