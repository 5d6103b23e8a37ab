//! `--trace`: the frames of this program's own connections, on stderr, as they are read and written.

use std::{
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use hongyan_client::{Direction, FrameTrace};
use hongyan_proto::codec::PREFACE;
use jiff::{Timestamp, tz::TimeZone};

use super::{
    capture::{Capture, Piece, What},
    view::View,
};

#[derive(Default)]
struct Streams {
    incoming: Capture,
    outgoing: Capture,
}

/// Shows each frame in a line of its own; `bodies`: with the contents of messages.
pub fn tracer(bodies: bool) -> FrameTrace {
    let streams = Mutex::new(Streams::default());
    Arc::new(move |direction, bytes| {
        let lines = {
            let mut streams = streams.lock().unwrap_or_else(PoisonError::into_inner);
            streams.lines(direction, bytes, bodies)
        };
        let time = Timestamp::now().to_zoned(TimeZone::system()).strftime("%H:%M:%S%.3f").to_string();
        let lines: String = lines.iter().map(|line| format!("{time} {line}\n")).collect();
        let _ = std::io::stderr().lock().write_all(lines.as_bytes());
    })
}

impl Streams {
    fn lines(&mut self, direction: Direction, bytes: &[u8], bodies: bool) -> Vec<String> {
        // A connection writes its preface first and at once; what its predecessor left unfinished is void.
        if direction == Direction::Out && bytes.starts_with(&PREFACE) {
            *self = Self::default();
        }
        let (arrow, capture) = match direction {
            Direction::In => ("<-", &mut self.incoming),
            Direction::Out => ("->", &mut self.outgoing),
        };
        capture.feed(bytes);
        let mut lines = Vec::new();
        while let Some(Piece { len, what, .. }) = capture.next_piece() {
            if what != What::Preface(PREFACE[3]) {
                lines.push(format!("{arrow} {} ({len} bytes)", View::new(&what, bodies)));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use hongyan_proto::{BytesMut, frame::Frame, wire};

    use super::*;

    #[test]
    fn a_new_connection_begins_with_clean_streams() {
        let mut streams = Streams::default();
        assert!(streams.lines(Direction::In, &[0, 0, 9, 7, 1], false).is_empty(), "cut off");
        let mut out = BytesMut::from(&PREFACE[..]);
        Frame::Ack(wire::Ack { useq: 4 }).encode(&mut out);
        assert_eq!(streams.lines(Direction::Out, &out, false), ["-> ACK useq=4 (6 bytes)"]);
        let mut pong = BytesMut::new();
        Frame::Pong(wire::Pong { head: 4 }).encode(&mut pong);
        assert_eq!(streams.lines(Direction::In, &pong[..3], false).len(), 0);
        assert_eq!(streams.lines(Direction::In, &pong[3..], false), ["<- PONG head=4 (6 bytes)"]);
    }
}
