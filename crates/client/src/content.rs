//! The standard content of a message, for programs that want to understand each other. The server never looks inside.

use bytes::Bytes;
use hongyan_proto::wire::{self, content::Kind};
use prost::Message as _;

/// Makes and reads the standard `Content` message of `content.proto`.
pub struct Content;

impl Content {
    /// A text as content for [`crate::Client::send`].
    pub fn text(text: &str) -> Bytes {
        wire::Content { kind: Some(Kind::Text(text.to_owned())) }.encode_to_vec().into()
    }

    /// The text of a content; None if it is of another kind or no `Content` at all.
    pub fn as_text(content: &[u8]) -> Option<String> {
        match wire::Content::decode(content).ok()?.kind? {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_and_other_bytes_are_no_text() {
        for text in ["hi", "", "鸿雁\u{0}\n"] {
            assert_eq!(Content::as_text(&Content::text(text)).as_deref(), Some(text));
        }
        for other in [&b"\xff\xff"[..], b"", b"\x0a\x02\xff\xfe", b"\x12\x00"] {
            assert_eq!(Content::as_text(other), None);
        }
    }
}
