//! Judges what one end writes.

use bytes::BytesMut;
use hongyan_proto::{
    codec::{Decoder, MAX_FRAME},
    frame::Frame,
};

/// Reads the output of a connection as its peer would.
#[derive(Default)]
pub struct Output {
    decoder: Decoder,
    is_over: bool,
}

impl Output {
    /// The preface that a client writes first.
    pub fn take_preface(&mut self, bytes: BytesMut) -> Vec<Frame> {
        self.decoder.feed(bytes);
        assert_eq!(self.decoder.take_preface(), Ok(true));
        self.frames()
    }

    /// The known frames in what was written. All of it is whole and legal, and nothing follows a CLOSE.
    pub fn take(&mut self, bytes: BytesMut) -> Vec<Frame> {
        self.decoder.feed(bytes);
        self.frames()
    }

    fn frames(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(raw) = self.decoder.next_frame(MAX_FRAME).expect("a legal frame") {
            assert!(!self.is_over, "something follows CLOSE");
            let frame = Frame::decode(raw).expect("a legal body");
            self.is_over |= matches!(frame, Some(Frame::Close(_)));
            frames.extend(frame);
        }
        assert_eq!(self.decoder.buffered(), 0, "half a frame was written");
        frames
    }
}
