//! The typed frame that a body decodes to, made of the table in [`crate::kind`].

use bytes::BytesMut;
use prost::Message;

use crate::{
    codec::{self, CRITICAL, FrameError, RESERVED, RawFrame},
    kind::{Kind, frames},
    wire,
};

macro_rules! typed {
    ($($(#[$doc:meta])* $number:literal $name:ident($body:ty),)*) => {
        /// A frame with its body decoded. As JSON it is an object whose one member is named after the kind.
        #[derive(Clone, Debug, PartialEq)]
        #[cfg_attr(feature = "json", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "json", serde(rename_all = "camelCase"))]
        pub enum Frame { $($(#[$doc])* $name($body),)* }

        impl Frame {
            pub fn kind(&self) -> Kind {
                match self { $(Frame::$name(_) => Kind::$name,)* }
            }

            /// Appends the frame to `out`.
            pub fn encode(&self, out: &mut BytesMut) {
                match self { $(Frame::$name(body) => codec::put_frame(out, Kind::$name, body),)* }
            }

            /// Decodes a body. None: a kind that is unknown here and may be skipped.
            pub fn decode(raw: RawFrame) -> Result<Option<Frame>, FrameError> {
                if raw.type_byte & RESERVED != 0 {
                    return Err(FrameError::ReservedBit(raw.type_byte));
                }
                match raw.type_byte & !CRITICAL {
                    $($number => match <$body>::decode(raw.body) {
                        Ok(body) => Ok(Some(Frame::$name(body))),
                        Err(_) => Err(FrameError::BadMessage(Kind::$name)),
                    },)*
                    _ if raw.type_byte & CRITICAL != 0 => Err(FrameError::UnknownCritical(raw.type_byte)),
                    _ => Ok(None),
                }
            }
        }
    };
}

frames!(typed);

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::kind::GREASE;

    fn raw(type_byte: u8, body: &'static [u8]) -> RawFrame {
        RawFrame { type_byte, body: Bytes::from_static(body) }
    }

    #[test]
    fn the_type_byte_says_what_may_be_skipped() {
        for grease in GREASE {
            assert_eq!(Frame::decode(raw(grease, b"anything")), Ok(None));
        }
        assert_eq!(Frame::decode(raw(0x30 | CRITICAL, b"")), Err(FrameError::UnknownCritical(0xB0)));
        assert_eq!(Frame::decode(raw(0x06 | RESERVED, b"")), Err(FrameError::ReservedBit(0x46)));
        let ping = Frame::Ping(wire::Ping::default());
        assert_eq!(Frame::decode(raw(0x06, b"")), Ok(Some(ping.clone())));
        assert_eq!(
            Frame::decode(raw(0x06 | CRITICAL, b"")),
            Ok(Some(ping)),
            "critical says nothing about a known kind"
        );
        assert_eq!(Frame::decode(raw(0x06, b"\xff")), Err(FrameError::BadMessage(Kind::Ping)));
    }

    #[test]
    fn unknown_fields_are_ignored() {
        // Field 15, varint 1, behind next_ms = 5.
        let ping = Frame::Ping(wire::Ping { next_ms: 5, ack: 0 });
        assert_eq!(Frame::decode(raw(0x06, &[0x08, 5, 0x78, 1])), Ok(Some(ping)));
    }
}
