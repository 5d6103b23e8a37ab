//! Watches what the server writes to a device, frame by frame, for rules that a good client would silently make up for.

use bytes::{Buf, BytesMut};
use hongyan_proto::{
    codec::{HEADER_LEN, RawFrame},
    frame::Frame,
    kind::Kind,
};
use prost::Message;

/// All that is looked at of an entry; the rest is the connection's to decode.
#[derive(Message)]
struct Numbered {
    #[prost(uint64, tag = "1")]
    useq: u64,
}

pub struct Tap {
    /// The beginning of a frame that is not whole yet.
    part: BytesMut,
    /// The device has been told of every entry up to here.
    told: u64,
    /// What the server takes for acked without an ack.
    granted: u64,
}

impl Tap {
    pub fn new(cursor: u64) -> Self {
        Self { part: BytesMut::new(), told: cursor, granted: cursor }
    }

    /// Whether more has come than a part of a frame. Err: the server has broken a rule. `acked` is what the device may have
    /// acked, at the most.
    pub fn watch(&mut self, bytes: &[u8], acked: u64, window: u64) -> Result<bool, String> {
        self.part.extend_from_slice(bytes);
        let mut more = false;
        while let Some(raw) = self.next_frame() {
            more = true;
            if raw.type_byte == Kind::Push as u8 {
                let Numbered { useq } = Numbered::decode(raw.body).unwrap_or_default();
                self.on_push(useq, acked.max(self.granted), window)?;
                continue;
            }
            match Frame::decode(raw) {
                Ok(Some(Frame::Welcome(welcome))) => (self.told, self.granted) = (welcome.cursor, welcome.cursor),
                Ok(Some(Frame::SyncReset(reset))) => (self.told, self.granted) = (reset.head, reset.head),
                Ok(Some(Frame::SendAck(ack))) if ack.useq == self.told + 1 => self.told = ack.useq,
                _ => {}
            }
        }
        Ok(more)
    }

    fn on_push(&mut self, useq: u64, acked: u64, window: u64) -> Result<(), String> {
        if useq > self.told + 1 {
            return Err(format!("R8: entry {useq} was pushed after {}", self.told));
        }
        if useq > acked + window {
            return Err(format!("R6: entry {useq} was pushed, the window is {acked} + {window}"));
        }
        self.told = self.told.max(useq);
        Ok(())
    }

    /// Cut by itself, so that it costs little where bytes come one by one.
    fn next_frame(&mut self) -> Option<RawFrame> {
        let [a, b, c, type_byte] = *self.part.first_chunk()?;
        let len = HEADER_LEN - 1 + u32::from_be_bytes([0, a, b, c]) as usize;
        if self.part.len() < len.max(HEADER_LEN) {
            return None;
        }
        let mut frame = self.part.split_to(len.max(HEADER_LEN)).freeze();
        frame.advance(HEADER_LEN);
        Some(RawFrame { type_byte, body: frame })
    }
}
