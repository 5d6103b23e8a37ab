//! The two forms that native frames have in WebSocket messages, and what is said to a peer that keeps to neither.

use axum::extract::ws::{CloseFrame, Message, close_code};
use bytes::{Bytes, BytesMut};
use hongyan_proto::{
    codec::{Decoder, HEADER_LEN, MAX_FRAME, PREFACE},
    frame::Frame,
};

use super::json;

/// One subprotocol.
pub trait Form: Unpin {
    /// The bytes that a message stands for.
    fn read(&mut self, message: Message) -> Result<Bytes, CloseFrame>;
    /// The message for the first of the frames in `out`, if it has one, and how many bytes it stands for.
    fn write(&mut self, out: &[u8]) -> (Option<Message>, usize);
}

/// `hongyan.v1`
pub struct Binary;

impl Form for Binary {
    fn read(&mut self, message: Message) -> Result<Bytes, CloseFrame> {
        match message {
            Message::Binary(bytes) => Ok(bytes),
            _ => Err(close_frame(close_code::UNSUPPORTED, "hongyan.v1 takes binary messages")),
        }
    }

    fn write(&mut self, out: &[u8]) -> (Option<Message>, usize) {
        (Some(Message::Binary(Bytes::copy_from_slice(out))), out.len())
    }
}

/// `hongyan.v1.json`
#[derive(Default)]
pub struct Json {
    /// The preface went before the first frame. The handshake has settled the version.
    is_open: bool,
}

impl Form for Json {
    fn read(&mut self, message: Message) -> Result<Bytes, CloseFrame> {
        let Message::Text(text) = message else {
            return Err(close_frame(close_code::UNSUPPORTED, "hongyan.v1.json takes text messages"));
        };
        let read = serde_json::from_str(&text).map_err(|error| error.to_string()).and_then(json::from_value::<Frame>);
        let frame = read.map_err(|error| close_frame(close_code::INVALID, &error))?;
        let mut bytes = BytesMut::new();
        if !std::mem::replace(&mut self.is_open, true) {
            bytes.extend_from_slice(&PREFACE);
        }
        frame.encode(&mut bytes);
        Ok(bytes.freeze())
    }

    fn write(&mut self, out: &[u8]) -> (Option<Message>, usize) {
        let len = out.first_chunk().map_or(0, |&[a, b, c]: &[u8; 3]| u32::from_be_bytes([0, a, b, c]) as usize);
        let whole = (HEADER_LEN - 1 + len).min(out.len());
        let mut decoder = Decoder::default();
        decoder.feed(BytesMut::from(&out[..whole]));
        // A kind that has no meaning has no JSON either.
        let frame = decoder.next_frame(MAX_FRAME).ok().flatten().and_then(|raw| Frame::decode(raw).ok().flatten());
        (frame.map(|frame| Message::Text(json::to_text(&frame).into())), whole)
    }
}

/// A control frame has room for 123 bytes of reason.
pub fn close_frame(code: u16, reason: &str) -> CloseFrame {
    CloseFrame { code, reason: reason[..reason.floor_char_boundary(123)].into() }
}

#[cfg(test)]
mod tests {
    use hongyan_proto::wire;

    use super::*;

    #[test]
    fn json_stands_for_frames_one_by_one() {
        let mut form = Json::default();
        let read = form.read(Message::Text(r#"{"ping": {"ack": "7"}}"#.into())).unwrap();
        assert_eq!(read[..], [&PREFACE[..], &[0, 0, 3, 6, 0x10, 7]].concat());
        assert_eq!(form.read(Message::Text(r#"{"ping": {}}"#.into())).unwrap()[..], [0, 0, 1, 6]);
        for bad in ["", "{", "[]", r#"{"ping": 3}"#, r#"{"ping": {}, "pong": {}}"#, r#"{"hug": {}}"#] {
            assert_eq!(form.read(Message::Text(bad.into())).unwrap_err().code, close_code::INVALID, "{bad}");
        }
        assert_eq!(form.read(Message::Binary(Bytes::new())).unwrap_err().code, close_code::UNSUPPORTED);

        let mut out = BytesMut::new();
        Frame::Pong(wire::Pong { head: 9 }).encode(&mut out);
        out.extend_from_slice(&[0, 0, 2, 0x2A, 1]);
        let (message, taken) = form.write(&out);
        assert_eq!(message, Some(Message::Text(r#"{"pong":{"head":"9"}}"#.into())));
        assert_eq!(form.write(&out[taken..]), (None, 5), "grease is left out");
    }
}
