//! The three frames of the hot path, written to and read from borrowed bytes without an allocation. Everything else goes
//! through the messages of `hongyan_proto::wire`.

use bytes::{BufMut, BytesMut};
use hongyan_proto::{codec, kind::Kind};

/// A frame's body is not the protobuf message of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The value of one protobuf field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Of fixed width: none of the fields read here is.
    Other,
}

fn varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first().ok_or(Malformed)?;
        *rest = tail;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

fn split<'a>(rest: &mut &'a [u8], len: u64) -> Result<&'a [u8], Malformed> {
    let len = usize::try_from(len).map_err(|_| Malformed)?;
    let (head, tail) = rest.split_at_checked(len).ok_or(Malformed)?;
    *rest = tail;
    Ok(head)
}

/// Hands every field of `body` to `take`, by tag and value.
fn fields<'a>(body: &'a [u8], mut take: impl FnMut(u64, Value<'a>) -> Result<(), Malformed>) -> Result<(), Malformed> {
    let mut rest = body;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut rest)?),
            1 => split(&mut rest, 8).map(|_| Value::Other)?,
            2 => {
                let len = varint(&mut rest)?;
                Value::Bytes(split(&mut rest, len)?)
            }
            5 => split(&mut rest, 4).map(|_| Value::Other)?,
            _ => return Err(Malformed),
        };
        take(key >> 3, value)?;
    }
    Ok(())
}

/// What a SEND_ACK says that a driver needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SendAck {
    pub send_no: u64,
    pub useq: u64,
    /// The group that was made; 0: none.
    pub group: u64,
}

impl SendAck {
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        let mut ack = Self::default();
        fields(body, |tag, value| {
            match (tag, value) {
                (1, Value::Varint(send_no)) => ack.send_no = send_no,
                (3, Value::Varint(useq)) => ack.useq = useq,
                (5, Value::Varint(group)) => ack.group = group,
                _ => {}
            }
            Ok(())
        })?;
        Ok(ack)
    }
}

/// A message inside a PUSH.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Text<'a> {
    pub from: &'a [u8],
    pub content: &'a [u8],
    /// It tells of something that was done, and has no content.
    pub is_act: bool,
}

/// A PUSH: an entry of the user's log. Other items than messages are none here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Push<'a> {
    pub useq: u64,
    pub own_send_no: u64,
    pub text: Option<Text<'a>>,
}

impl<'a> Push<'a> {
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut push = Self::default();
        fields(body, |tag, value| {
            match (tag, value) {
                (1, Value::Varint(useq)) => push.useq = useq,
                (2, Value::Varint(send_no)) => push.own_send_no = send_no,
                (4, Value::Bytes(message)) => push.text = Some(Text::read(message)?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(push)
    }
}

impl<'a> Text<'a> {
    fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut text = Self::default();
        fields(body, |tag, value| {
            match (tag, value) {
                (1, Value::Bytes(from)) => text.from = from,
                (5, Value::Bytes(content)) => text.content = content,
                (7, Value::Bytes(_)) => text.is_act = true,
                _ => {}
            }
            Ok(())
        })?;
        Ok(text)
    }
}

fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Appends a SEND whose content is the two parts, one after the other.
pub fn put_send(out: &mut BytesMut, send_no: u64, to: &str, content: (&[u8], &[u8])) {
    let content_len = (content.0.len() + content.1.len()) as u64;
    let len = 3 + varint_len(send_no) + varint_len(to.len() as u64) + to.len() + varint_len(content_len);
    codec::put_typed(out, Kind::Send as u8, len + content_len as usize, |out| {
        out.put_u8(1 << 3);
        put_varint(out, send_no);
        out.put_u8(2 << 3 | 2);
        put_varint(out, to.len() as u64);
        out.put_slice(to.as_bytes());
        out.put_u8(3 << 3 | 2);
        put_varint(out, content_len);
        out.put_slice(content.0);
        out.put_slice(content.1);
    });
}

#[cfg(test)]
mod tests {
    use hongyan_proto::{
        codec::Decoder,
        frame::Frame,
        server::encode_item,
        wire::{self, entry::Item},
    };
    use prost::Message;

    use super::*;

    #[test]
    fn a_send_is_what_the_protocol_crate_writes() {
        for send_no in [1, 127, 128, 16_384, u64::MAX] {
            let mut out = BytesMut::new();
            put_send(&mut out, send_no, "bob", (b"head", &[9; 200]));
            let mut decoder = Decoder::default();
            decoder.feed(out.clone());
            let frame = Frame::decode(decoder.next_frame(1000).unwrap().unwrap()).unwrap().unwrap();
            let content = [b"head".as_slice(), &[9; 200]].concat();
            assert_eq!(
                frame,
                Frame::Send(wire::Send { send_no, to: "bob".into(), content: content.into(), ..Default::default() })
            );
            let mut again = BytesMut::new();
            frame.encode(&mut again);
            assert_eq!(out, again);
        }
    }

    #[test]
    fn a_push_and_an_answer_are_read_as_the_protocol_crate_wrote_them() {
        let content = bytes::Bytes::from(vec![3; 300]);
        let (from, to) = ("alice".to_owned(), "bob".to_owned());
        let item = encode_item(Item::Message(wire::Message {
            from,
            to,
            cseq: 5,
            time_ms: 6,
            content: content.clone(),
            ..Default::default()
        }));
        let mut out = BytesMut::new();
        codec::put_push(&mut out, 300, 4, &item);
        let push = Push::read(&out[codec::HEADER_LEN..]).unwrap();
        assert_eq!(
            push,
            Push { useq: 300, own_send_no: 4, text: Some(Text { from: b"alice", content: &content, is_act: false }) }
        );
        let ack = wire::SendAck { send_no: 7, cseq: 8, useq: 900, time_ms: u64::MAX, group: 6 }.encode_to_vec();
        assert_eq!(SendAck::read(&ack), Ok(SendAck { send_no: 7, useq: 900, group: 6 }));
        let limits = wire::Limits { id: 5, ..Default::default() }.encode_to_vec();
        assert_eq!(SendAck::read(&limits), Ok(SendAck::default()), "fields of fixed width are skipped");
    }

    #[test]
    fn a_body_cut_short_is_malformed() {
        let ack = wire::SendAck { send_no: 700, cseq: 8, useq: 900, time_ms: 1 << 50, group: 0 }.encode_to_vec();
        assert_eq!(SendAck::read(&ack[..ack.len() - 1]), Err(Malformed));
        assert_eq!(SendAck::read(&[0xFF; 11]), Err(Malformed));
        assert_eq!(Push::read(&[0x22, 5, 1]), Err(Malformed), "longer than what is there");
    }
}
