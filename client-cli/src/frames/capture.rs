//! Bytes of one direction, cut into prefaces and frames with their offsets.
//!
//! At the boundary of a frame the preface cannot be mistaken for one: read as a length it is above every limit.

use hongyan_proto::{
    BytesMut,
    codec::{Decoder, FrameError, HEADER_LEN, MAX_FRAME, PREFACE},
    frame::Frame,
};

/// What stands at an offset.
#[derive(Debug, PartialEq)]
pub struct Piece {
    /// Bytes before it.
    pub offset: u64,
    /// Its bytes, header included.
    pub len: usize,
    pub what: What,
}

#[derive(Debug, PartialEq)]
pub enum What {
    /// The major version of the preface.
    Preface(u8),
    Frame(Frame),
    /// A kind that version 1 does not know and that may be skipped.
    Unknown {
        type_byte: u8,
        body: usize,
    },
    /// A frame that breaks a rule. The next one can still be found.
    Broken {
        type_byte: u8,
        error: FrameError,
    },
    /// No further boundary can be found; nothing comes after this.
    Lost(FrameError),
    /// The bytes end inside a frame of this length. Told by [`Capture::rest`] only.
    CutOff {
        of: Option<usize>,
    },
}

/// Takes bytes in pieces of any length.
#[derive(Default)]
pub struct Capture {
    buffer: BytesMut,
    offset: u64,
    lost: bool,
}

impl Capture {
    pub fn feed(&mut self, bytes: &[u8]) {
        if !self.lost {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next whole piece.
    pub fn next_piece(&mut self) -> Option<Piece> {
        if self.lost {
            return None;
        }
        let magic = PREFACE.len() - 1;
        if self.buffer.len() >= magic && self.buffer[..magic] == PREFACE[..magic] {
            let version = *self.buffer.get(magic)?;
            if version == PREFACE[magic] {
                return Some(self.take(PREFACE.len(), What::Preface(version)));
            }
            return Some(self.lose(FrameError::UnsupportedVersion(version)));
        }
        match self.frame_len()? {
            Ok(len) if self.buffer.len() < len => None,
            Ok(len) => {
                let what = decode(BytesMut::from(&self.buffer[..len]));
                Some(self.take(len, what))
            }
            Err(error) => Some(self.lose(error)),
        }
    }

    /// What is left once there is no whole piece, as the last one.
    pub fn rest(&mut self) -> Option<Piece> {
        let len = self.buffer.len();
        let of = self.frame_len().and_then(Result::ok);
        (len > 0).then(|| self.take(len, What::CutOff { of }))
    }

    /// Length of the frame in front, header included. None: the length has not wholly arrived.
    fn frame_len(&self) -> Option<Result<usize, FrameError>> {
        let &[a, b, c] = self.buffer.first_chunk::<3>()?;
        // The codec is the judge of lengths.
        let mut decoder = Decoder::default();
        decoder.feed(BytesMut::from(&[a, b, c][..]));
        let len = u32::from_be_bytes([0, a, b, c]) as usize;
        Some(decoder.next_frame(MAX_FRAME).map(|_| HEADER_LEN - 1 + len))
    }

    fn lose(&mut self, error: FrameError) -> Piece {
        self.lost = true;
        let len = self.buffer.len();
        self.take(len, What::Lost(error))
    }

    fn take(&mut self, len: usize, what: What) -> Piece {
        let offset = self.offset;
        let _ = self.buffer.split_to(len);
        self.offset += len as u64;
        Piece { offset, len, what }
    }
}

/// One whole frame.
fn decode(bytes: BytesMut) -> What {
    let mut decoder = Decoder::default();
    decoder.feed(bytes);
    let raw = match decoder.next_frame(MAX_FRAME) {
        Ok(Some(raw)) => raw,
        Ok(None) => return What::CutOff { of: None },
        Err(error) => return What::Lost(error),
    };
    let (type_byte, body) = (raw.type_byte, raw.body.len());
    match Frame::decode(raw) {
        Ok(Some(frame)) => What::Frame(frame),
        Ok(None) => What::Unknown { type_byte, body },
        Err(error) => What::Broken { type_byte, error },
    }
}

/// The bytes of a capture that is either binary or hex digits, with white space, `:` and `0x` between them as one
/// likes. A binary capture is never taken for hex: its first byte is 0 or A9.
pub fn read(input: &[u8]) -> Result<Vec<u8>, String> {
    let hexish = |byte: &u8| byte.is_ascii_hexdigit() || byte.is_ascii_whitespace() || b":xX".contains(byte);
    if !input.iter().all(hexish) {
        return Ok(input.to_vec());
    }
    let mut digits = Vec::with_capacity(input.len());
    for word in input.split(|byte| byte.is_ascii_whitespace() || *byte == b':') {
        let word = word.strip_prefix(b"0x").or(word.strip_prefix(b"0X")).unwrap_or(word);
        if word.iter().any(|byte| byte.eq_ignore_ascii_case(&b'x')) {
            return Err("an x in the middle of hex digits".into());
        }
        digits.extend(word.iter().filter_map(|byte| char::from(*byte).to_digit(16)));
    }
    if !digits.len().is_multiple_of(2) {
        return Err(format!("{} hex digits: an odd number makes no whole bytes", digits.len()));
    }
    Ok(digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

#[cfg(test)]
mod tests {
    use hongyan_proto::{
        codec::put_typed,
        kind::{GREASE, Kind},
        wire,
    };

    use super::*;

    fn ping() -> Frame {
        Frame::Ping(wire::Ping { next_ms: 60_000, ack: 0 })
    }

    fn pieces(bytes: &[u8], step: usize) -> Vec<Piece> {
        let mut capture = Capture::default();
        let mut pieces = Vec::new();
        for part in bytes.chunks(step) {
            capture.feed(part);
            while let Some(piece) = capture.next_piece() {
                pieces.push(piece);
            }
        }
        pieces.extend(capture.rest());
        pieces
    }

    #[test]
    fn pieces_are_the_same_however_the_bytes_arrive() {
        let mut bytes = BytesMut::from(&PREFACE[..]);
        ping().encode(&mut bytes);
        put_typed(&mut bytes, GREASE[0], 2, |out| out.extend_from_slice(b"xy"));
        bytes.extend_from_slice(&PREFACE);
        ping().encode(&mut bytes);
        let whole = pieces(&bytes, bytes.len());
        assert_eq!(
            whole,
            [
                Piece { offset: 0, len: 4, what: What::Preface(1) },
                Piece { offset: 4, len: 8, what: What::Frame(ping()) },
                Piece { offset: 12, len: 6, what: What::Unknown { type_byte: 0x2A, body: 2 } },
                Piece { offset: 18, len: 4, what: What::Preface(1) },
                Piece { offset: 22, len: 8, what: What::Frame(ping()) },
            ]
        );
        for step in 1..bytes.len() {
            assert_eq!(pieces(&bytes, step), whole, "in steps of {step}");
        }
    }

    #[test]
    fn errors_stand_at_their_offset() {
        let mut bytes = BytesMut::new();
        put_typed(&mut bytes, 0xB0, 0, |_| {});
        put_typed(&mut bytes, 0x06, 1, |out| out.extend_from_slice(b"\xff"));
        ping().encode(&mut bytes);
        bytes.extend_from_slice(&[0, 0, 0, 1, 2]);
        let found: Vec<_> = pieces(&bytes, 3).into_iter().map(|piece| (piece.offset, piece.what)).collect();
        assert_eq!(
            found[..3],
            [
                (0, What::Broken { type_byte: 0xB0, error: FrameError::UnknownCritical(0xB0) }),
                (4, What::Broken { type_byte: 6, error: FrameError::BadMessage(Kind::Ping) }),
                (9, What::Frame(ping())),
            ]
        );
        assert_eq!(found[3], (17, What::Lost(FrameError::Empty)));
        assert_eq!(found.len(), 4);
    }

    #[test]
    fn an_end_inside_a_frame_is_told() {
        let cut = pieces(&[0, 0, 9, 6, 1], 1);
        assert_eq!(cut, [Piece { offset: 0, len: 5, what: What::CutOff { of: Some(12) } }]);
        assert_eq!(pieces(&PREFACE[..3], 1), [Piece { offset: 0, len: 3, what: What::CutOff { of: None } }]);
    }

    #[test]
    fn captures_are_hex_or_binary() {
        for hex in ["a9485901", "A9 48\n59 01\n", "a9:48:59:01", "0xa9 0x48 0x59 0x01", "0xA9485901"] {
            assert_eq!(read(hex.as_bytes()).unwrap(), PREFACE, "{hex}");
        }
        assert_eq!(read(&PREFACE).unwrap(), PREFACE);
        assert_eq!(read(b"").unwrap(), b"");
        assert!(read(b"a94").is_err());
        assert!(read(b"a9x4").is_err());
    }
}
