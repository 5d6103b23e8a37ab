//! Watches what the server writes to a device, frame by frame, for rules that a good client would silently make up for.

use bytes::BytesMut;
use hongyan_proto::{
    codec::{Decoder, MAX_FRAME},
    frame::Frame,
};

pub struct Tap {
    decoder: Decoder,
    /// The device has been told of every entry up to here.
    told: u64,
    /// What the server takes for acked without an ack.
    granted: u64,
}

impl Tap {
    pub fn new(cursor: u64) -> Self {
        Self { decoder: Decoder::default(), told: cursor, granted: cursor }
    }

    /// Err: the server has broken a rule. `acked` is what the device may have acked, at the most.
    pub fn watch(&mut self, bytes: &[u8], acked: u64, window: u64) -> Result<(), String> {
        self.decoder.feed(BytesMut::from(bytes));
        while let Ok(Some(raw)) = self.decoder.next_frame(MAX_FRAME) {
            let Ok(Some(frame)) = Frame::decode(raw) else { continue };
            match frame {
                Frame::Welcome(welcome) => (self.told, self.granted) = (welcome.cursor, welcome.cursor),
                Frame::SyncReset(reset) => (self.told, self.granted) = (reset.head, reset.head),
                Frame::SendAck(ack) if ack.useq == self.told + 1 => self.told = ack.useq,
                Frame::Push(entry) => {
                    if entry.useq > self.told + 1 {
                        return Err(format!("R8: entry {} was pushed after {}", entry.useq, self.told));
                    }
                    let acked = acked.max(self.granted);
                    if entry.useq > acked + window {
                        return Err(format!("R6: entry {} was pushed, the window is {acked} + {window}", entry.useq));
                    }
                    self.told = self.told.max(entry.useq);
                }
                _ => {}
            }
        }
        Ok(())
    }
}
