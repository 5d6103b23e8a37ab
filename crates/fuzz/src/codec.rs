//! Two implementations, one meaning: what the codec writes by hand, and what the protobuf library makes of the same.

use arbitrary::{Arbitrary, Unstructured};
use bytes::{Bytes, BytesMut};
use hongyan_proto::{
    codec::{Decoder, MAX_FRAME, message_item, put_push},
    frame::Frame,
    server::encode_item,
    wire::{Entry, Message, entry::Item},
};
use prost::Message as _;

use crate::grammar::number;

#[derive(Arbitrary, Debug)]
struct Parts<'a> {
    from: &'a str,
    to: &'a str,
    content: &'a [u8],
}

pub fn run(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let (Ok(useq), Ok(own_send_no), Ok(cseq), Ok(time_ms)) =
        (number(&mut u), number(&mut u), number(&mut u), number(&mut u))
    else {
        return;
    };
    let Ok(Parts { from, to, content }) = u.arbitrary() else { return };
    let by_hand = message_item(from, to, cseq, time_ms, content);
    let (from, to, content) = (from.to_owned(), to.to_owned(), Bytes::copy_from_slice(content));
    let item = Item::Message(Message { from, to, cseq, time_ms, content, ..Default::default() });
    assert_eq!(by_hand, encode_item(item.clone()));
    assert_eq!(by_hand, Entry { useq: 0, own_send_no: 0, item: Some(item.clone()) }.encode_to_vec());

    let mut pushed = BytesMut::new();
    put_push(&mut pushed, useq, own_send_no, &by_hand);
    let mut decoder = Decoder::default();
    decoder.feed(pushed);
    let frame = decoder.next_frame(MAX_FRAME).unwrap().unwrap();
    assert_eq!(decoder.buffered(), 0);
    assert_eq!(Frame::decode(frame), Ok(Some(Frame::Push(Entry { useq, own_send_no, item: Some(item) }))));
}
