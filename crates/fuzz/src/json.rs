//! Two forms, one meaning: a frame as bytes and a frame as JSON.

use bytes::{Bytes, BytesMut};
use hongyan_proto::{
    codec::{Decoder, MAX_FRAME, RawFrame},
    frame::Frame,
    wire::{self, content::Kind},
};
use prost::Message as _;

#[path = "../../../src/edge/web/json.rs"]
mod form;

pub use form::{from_value, to_text};

use crate::{grammar, net::Rng};

/// A byte that says what follows: the TYPE of a frame and its body, or, if bit 7 is set, a text of JSON.
pub fn run(data: &[u8]) {
    let Some((&how, input)) = data.split_first() else { return };
    if how & 0x80 == 0 {
        let raw = RawFrame { type_byte: how, body: Bytes::copy_from_slice(input) };
        if let Ok(Some(frame)) = Frame::decode(raw) {
            keeps_its_meaning(frame);
        }
        return;
    }
    let Ok(value) = serde_json::from_slice(input) else { return };
    match from_value::<Frame>(value) {
        Ok(frame) => keeps_its_meaning(frame),
        Err(reason) => assert!(!reason.is_empty(), "refused without a word"),
    }
}

/// The frame as JSON. None: it has no such form, as the number in one of its fields is no name of this version.
pub fn text_of(frame: &Frame) -> Option<String> {
    serde_json::to_value(frame).is_ok().then(|| to_text(frame))
}

/// From bytes to JSON to bytes, and from JSON to bytes to JSON.
fn keeps_its_meaning(frame: Frame) {
    let Some(text) = text_of(&frame) else { return };
    let again: Frame = from_value(serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(again, frame, "{text}");
    assert_eq!(to_text(&again), text);
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes);
    let mut decoder = Decoder::default();
    decoder.feed(bytes);
    let raw = decoder.next_frame(MAX_FRAME).unwrap().unwrap();
    assert_eq!(Frame::decode(raw), Ok(Some(frame)));
}

/// A SEND whose content is what JSON tells as a text, or nearly so.
fn text(rng: &mut Rng) -> Frame {
    const TEXTS: [&str; 5] = ["", " ", " hi\n", "\u{feff}鸿雁", "\"\\"];
    let kind = Some(Kind::Text(TEXTS[rng.below(5) as usize].into()));
    let mut content = wire::Content { kind }.encode_to_vec();
    match rng.below(4) {
        0 => grammar::mutate(&mut content, rng),
        // A field of a later version.
        1 => content.extend([0x78, 1]),
        _ => {}
    }
    Frame::Send(wire::Send { send_no: 1, to: "bob".into(), content: content.into(), ..Default::default() })
}

pub fn generate(rng: &mut Rng) -> Vec<u8> {
    let noise = grammar::noise(rng);
    let mut u = arbitrary::Unstructured::new(&noise);
    let frame = match rng.below(4) {
        0 => grammar::asked::frame(&mut u),
        1 => grammar::from_client(&mut u),
        2 => Ok(text(rng)),
        _ => grammar::from_server(&mut u),
    };
    let Ok(frame) = frame else { return noise };
    if let Some(text) = text_of(&frame).filter(|_| rng.below(2) == 0) {
        let mut text = text.into_bytes();
        (0..rng.below(3)).for_each(|_| grammar::mutate(&mut text, rng));
        return [&[0x80], &text[..]].concat();
    }
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes);
    bytes.split_off(3).to_vec()
}
