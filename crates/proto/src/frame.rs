//! The kinds of frames, and the typed frame that a body decodes to.

use bytes::BytesMut;
use prost::Message;

use crate::{
    codec::{self, CRITICAL, FrameError, RESERVED, RawFrame},
    wire,
};

/// Kinds that peers send at random and must ignore, so that nobody comes to depend on the known ones being all.
pub const GREASE: [u8; 2] = [0x2A, 0x3A];

macro_rules! frames {
    ($($(#[$doc:meta])* $number:literal $name:ident($body:ty),)*) => {
        /// What a frame is: bits 0-5 of its TYPE.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Kind { $($(#[$doc])* $name = $number,)* }

        /// A frame with its body decoded. As JSON it is an object whose one member is named after the kind.
        #[derive(Clone, Debug, PartialEq)]
        #[cfg_attr(feature = "json", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "json", serde(rename_all = "camelCase"))]
        pub enum Frame { $($(#[$doc])* $name($body),)* }

        impl Kind {
            pub const ALL: &[Kind] = &[$(Kind::$name,)*];
        }

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

frames! {
    /// Client: log in.
    0x01 Hello(wire::Hello),
    /// Server: the login is accepted.
    0x02 Welcome(wire::Welcome),
    /// Client: come back.
    0x03 Resume(wire::Resume),
    /// Server: the resume is accepted.
    0x04 Resumed(wire::Resumed),
    /// Server: login or resume is refused.
    0x05 Reject(wire::Reject),
    /// Both: are you there?
    0x06 Ping(wire::Ping),
    /// Both: here, and everything before the PING has been read.
    0x07 Pong(wire::Pong),
    /// Client: stored up to here.
    0x08 Ack(wire::Ack),
    /// Server: SEND may go on up to here.
    0x09 Credit(wire::Credit),
    /// Server: move to a new connection.
    0x0A GoAway(wire::GoAway),
    /// Both: the last frame.
    0x0B Close(wire::Close),
    /// Client: a message.
    0x10 Send(wire::Send),
    /// Server: it is durable.
    0x11 SendAck(wire::SendAck),
    /// Server: it was not taken.
    0x12 SendNack(wire::SendNack),
    /// Server: an entry of the user's log.
    0x13 Push(wire::Entry),
    /// Both: passing information without a number.
    0x15 Signal(wire::Signal),
    /// Client: a question.
    0x16 Request(wire::Request),
    /// Server: its answer.
    0x17 Response(wire::Response),
    /// Client: push again from here.
    0x19 SyncReq(wire::SyncReq),
    /// Server: this cursor cannot be continued.
    0x1B SyncReset(wire::SyncReset),
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

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
