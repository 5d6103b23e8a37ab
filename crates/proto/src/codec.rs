//! Bytes to frames and back: the preface, the header, the limits. What the bodies mean is in [`crate::frame`].
//!
//! ```text
//!  0               1               2               3               4
//! +---------------+---------------+---------------+-+-+-----------+----------- …
//! |            LEN (u24, big-endian)              |C|R|   KIND    | BODY (LEN - 1 bytes)
//! +---------------+---------------+---------------+-+-+-----------+----------- …
//! ```

use bytes::{BufMut, Bytes, BytesMut};
use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint},
};

use crate::{code::CloseCode, kind::Kind, wire};

/// What a client sends first, once. The last byte is the major version.
pub const PREFACE: [u8; 4] = [0xA9, b'H', b'Y', 1];
/// LEN and TYPE.
pub const HEADER_LEN: usize = 4;
/// Bit 7 of TYPE: a receiver that does not know the kind must close.
pub const CRITICAL: u8 = 0x80;
/// Bit 6 of TYPE: kept for compression, 0 in version 1.
pub const RESERVED: u8 = 0x40;
/// Largest LEN a server can allow.
pub const MAX_FRAME: usize = 1 << 20;
/// Largest LEN before login.
pub const MAX_FRAME_BEFORE_LOGIN: usize = 4096;

/// The peer broke a rule of the wire. The connection is closed with its code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("the connection does not begin with the preface A9 48 59 01")]
    BadPreface,
    #[error("major version {0} is not supported, this end speaks version 1")]
    UnsupportedVersion(u8),
    #[error("a frame of {len} bytes is longer than the {max} allowed")]
    TooLarge { len: usize, max: usize },
    #[error("{0} bytes were sent before the login was answered")]
    Early(usize),
    #[error("a frame of length 0")]
    Empty,
    #[error("the reserved bit of TYPE {0:#04x} is set")]
    ReservedBit(u8),
    #[error("unknown kind {0:#04x} is marked critical")]
    UnknownCritical(u8),
    #[error("the body of {0:?} is not its protobuf message")]
    BadMessage(Kind),
}

impl FrameError {
    pub fn code(&self) -> CloseCode {
        match self {
            FrameError::BadPreface => CloseCode::BAD_PREFACE,
            FrameError::UnsupportedVersion(_) => CloseCode::UNSUPPORTED_VERSION,
            FrameError::TooLarge { .. } => CloseCode::FRAME_TOO_LARGE,
            FrameError::Empty | FrameError::ReservedBit(_) => CloseCode::BAD_FRAME,
            FrameError::Early(_) => CloseCode::WRONG_STATE,
            FrameError::UnknownCritical(_) => CloseCode::UNKNOWN_CRITICAL,
            FrameError::BadMessage(_) => CloseCode::BAD_MESSAGE,
        }
    }
}

/// A frame whose body has not been looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawFrame {
    /// The byte after LEN.
    pub type_byte: u8,
    pub body: Bytes,
}

/// Cuts a stream of bytes into frames. Owns no memory between frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// Adds what was read. The bytes are taken over, not copied, unless a frame is incomplete.
    pub fn feed(&mut self, bytes: BytesMut) {
        if self.buffer.is_empty() {
            self.buffer = bytes;
        } else {
            self.buffer.extend_from_slice(&bytes);
        }
    }

    /// Takes the preface; false if it has not wholly arrived.
    pub fn take_preface(&mut self) -> Result<bool, FrameError> {
        let arrived = self.buffer.len().min(PREFACE.len());
        let magic = arrived.min(PREFACE.len() - 1);
        if self.buffer[..magic] != PREFACE[..magic] {
            return Err(FrameError::BadPreface);
        }
        if arrived < PREFACE.len() {
            return Ok(false);
        }
        let preface = self.buffer.split_to(PREFACE.len());
        if preface[3] != PREFACE[3] {
            return Err(FrameError::UnsupportedVersion(preface[3]));
        }
        Ok(true)
    }

    /// The next whole frame, at most `max_frame` long. Everything is checked before anything is allocated for it.
    pub fn next_frame(&mut self, max_frame: usize) -> Result<Option<RawFrame>, FrameError> {
        let Some(&[a, b, c]) = self.buffer.first_chunk::<3>() else {
            self.shrink();
            return Ok(None);
        };
        let len = u32::from_be_bytes([0, a, b, c]) as usize;
        if len == 0 {
            return Err(FrameError::Empty);
        }
        if len > max_frame {
            return Err(FrameError::TooLarge { len, max: max_frame });
        }
        if self.buffer.len() < HEADER_LEN - 1 + len {
            self.shrink();
            return Ok(None);
        }
        let type_byte = self.buffer[3];
        let mut frame = self.buffer.split_to(HEADER_LEN - 1 + len);
        Ok(Some(RawFrame { type_byte, body: frame.split_off(HEADER_LEN).freeze() }))
    }

    /// Bytes that wait for the rest of their frame.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Lets go of a large read buffer that only a few bytes of an incomplete frame still hold.
    fn shrink(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        } else if self.buffer.capacity() > 4 * self.buffer.len() + 64 {
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
    }
}

/// Appends one frame.
pub fn put_frame(out: &mut BytesMut, kind: Kind, body: &impl Message) {
    put_typed(out, kind as u8, body.encoded_len(), |out| body.encode_raw(out));
}

/// Appends a PUSH: `item` is an encoded `Entry` without its numbers, forwarded as it was stored. Fields of a protobuf
/// message may stand in any order, so the numbers are simply written in front of it.
pub fn put_push(out: &mut BytesMut, useq: u64, own_send_no: u64, item: &[u8]) {
    let numbers = wire::Entry { useq, own_send_no, item: None };
    put_typed(out, Kind::Push as u8, numbers.encoded_len() + item.len(), |out| {
        numbers.encode_raw(out);
        out.put_slice(item);
    });
}

/// The item of a message entry, encoded straight from its parts: what is stored, and forwarded by [`put_push`]. The same
/// bytes as `Entry { item: Message }`, without building one.
pub fn message_item(from: &str, to: &str, cseq: u64, time_ms: u64, content: &[u8]) -> Bytes {
    let text_len =
        |text: &[u8]| if text.is_empty() { 0 } else { 1 + encoded_len_varint(text.len() as u64) + text.len() };
    let number_len = |number: u64| if number == 0 { 0 } else { 1 + encoded_len_varint(number) };
    let len = text_len(from.as_bytes())
        + text_len(to.as_bytes())
        + number_len(cseq)
        + number_len(time_ms)
        + text_len(content);
    let mut out = BytesMut::with_capacity(1 + encoded_len_varint(len as u64) + len);
    encode_key(4, WireType::LengthDelimited, &mut out);
    encode_varint(len as u64, &mut out);
    put_text(&mut out, 1, from.as_bytes());
    put_text(&mut out, 2, to.as_bytes());
    put_number(&mut out, 3, cseq);
    put_number(&mut out, 4, time_ms);
    put_text(&mut out, 5, content);
    out.freeze()
}

fn put_text(out: &mut BytesMut, tag: u32, text: &[u8]) {
    if !text.is_empty() {
        encode_key(tag, WireType::LengthDelimited, out);
        encode_varint(text.len() as u64, out);
        out.put_slice(text);
    }
}

fn put_number(out: &mut BytesMut, tag: u32, number: u64) {
    if number != 0 {
        encode_key(tag, WireType::Varint, out);
        encode_varint(number, out);
    }
}

/// Appends a frame of any TYPE with `len` bytes of body written by `body`.
pub fn put_typed(out: &mut BytesMut, type_byte: u8, len: usize, body: impl FnOnce(&mut BytesMut)) {
    debug_assert!(len < MAX_FRAME, "a frame of {len} bytes is larger than any peer accepts");
    out.reserve(HEADER_LEN + len);
    out.put_uint(len as u64 + 1, 3);
    out.put_u8(type_byte);
    body(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Entry, Message as Text, Ping, entry::Item};

    fn decoder(bytes: &[u8]) -> Decoder {
        let mut decoder = Decoder::default();
        decoder.feed(BytesMut::from(bytes));
        decoder
    }

    #[test]
    fn a_frame_survives_every_split() {
        let mut out = BytesMut::new();
        put_frame(&mut out, Kind::Ping, &Ping { next_ms: 60_000, ack: 7 });
        put_frame(&mut out, Kind::Ping, &Ping::default());
        for cut in 0..=out.len() {
            let mut decoder = decoder(&out[..cut]);
            let mut frames = Vec::new();
            while let Some(frame) = decoder.next_frame(64).unwrap() {
                frames.push(frame);
            }
            decoder.feed(BytesMut::from(&out[cut..]));
            while let Some(frame) = decoder.next_frame(64).unwrap() {
                frames.push(frame);
            }
            assert_eq!(frames.len(), 2, "cut at {cut}");
            assert_eq!(Ping::decode(frames[0].body.clone()).unwrap().ack, 7);
            assert!(frames[1].body.is_empty());
            assert_eq!(decoder.buffered(), 0);
        }
    }

    #[test]
    fn lengths_are_checked_before_the_body_arrives() {
        assert_eq!(decoder(&[0, 0, 0]).next_frame(64), Err(FrameError::Empty));
        assert_eq!(decoder(&[0, 0, 65]).next_frame(64), Err(FrameError::TooLarge { len: 65, max: 64 }));
        assert_eq!(
            decoder(&[255, 255, 255]).next_frame(MAX_FRAME),
            Err(FrameError::TooLarge { len: 0xFF_FFFF, max: MAX_FRAME })
        );
        assert_eq!(decoder(&[0, 0, 64]).next_frame(64), Ok(None));
    }

    #[test]
    fn the_preface_is_refused_at_its_first_wrong_byte() {
        assert_eq!(decoder(b"").take_preface(), Ok(false));
        assert_eq!(decoder(&PREFACE[..3]).take_preface(), Ok(false));
        assert_eq!(decoder(&PREFACE).take_preface(), Ok(true));
        assert_eq!(decoder(b"G").take_preface(), Err(FrameError::BadPreface));
        assert_eq!(decoder(&[0xA9, 0x48, 0x59, 2]).take_preface(), Err(FrameError::UnsupportedVersion(2)));
    }

    #[test]
    fn a_push_is_its_numbers_and_the_stored_item() {
        let message = Text { from: "alice".into(), to: "bob".into(), cseq: 3, ..Default::default() };
        let entry = Entry { useq: 9, own_send_no: 4, item: Some(Item::Message(message)) };
        let item = Entry { useq: 0, own_send_no: 0, item: entry.item.clone() }.encode_to_vec();
        let mut out = BytesMut::new();
        put_push(&mut out, 9, 4, &item);
        let frame = decoder(&out).next_frame(1000).unwrap().unwrap();
        assert_eq!(Entry::decode(frame.body).unwrap(), entry);
    }

    #[test]
    fn an_item_is_the_encoded_entry() {
        for (cseq, content) in [(0, vec![]), (1, vec![7]), (300, vec![0; 200]), (u64::MAX, vec![9; 20_000])] {
            let (from, to) = ("alice", "x".repeat(64));
            let item = message_item(from, &to, cseq, 1_800_000_000_000, &content);
            let (from, time_ms, content) = (from.to_owned(), 1_800_000_000_000, content.into());
            let message = Text { from, to, cseq, time_ms, content, ..Default::default() };
            let entry = Entry { useq: 0, own_send_no: 0, item: Some(Item::Message(message)) };
            assert_eq!(item, entry.encode_to_vec());
        }
    }

    #[test]
    fn an_incomplete_frame_does_not_hold_the_read_buffer() {
        let mut decoder = Decoder::default();
        let mut read = BytesMut::with_capacity(16 * 1024);
        read.extend_from_slice(&[0, 0, 9, 6]);
        decoder.feed(read);
        assert_eq!(decoder.next_frame(64), Ok(None));
        assert!(decoder.buffer.capacity() < 128);
    }
}
