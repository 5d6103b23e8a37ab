//! A connection, as the device sees it: bytes in, watched, and bytes out.

use std::{
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use bytes::BytesMut;
use hongyan_proto::client::Connection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{reload::Reload, tap::Tap};
use crate::sim::network::End;

/// A connection, as the device sees it.
pub struct Line {
    pub end: End,
    pub connection: Connection,
    pub out: BytesMut,
    tap: Tap,
    pub opened: Instant,
    pub is_resuming: bool,
    pub is_answered: bool,
    pub reload: Reload,
    /// The large group whose next page is asked for.
    pub asked: Option<u64>,
    /// It has ended; the last words may still have to be written.
    pub is_over: bool,
}

/// What has come from the network.
#[derive(PartialEq, Eq)]
pub enum Read {
    Nothing,
    /// Bytes of a frame that is not whole yet.
    Part,
    Frames,
    /// Frames, and among them something that the server may not write.
    Wrong(String),
    /// The end of the connection.
    End,
}

impl Line {
    /// `cursor` is where in the log the device is.
    pub fn new(end: End, connection: Connection, cursor: u64, opened: Instant, is_resuming: bool) -> Self {
        Self {
            end,
            connection,
            out: BytesMut::new(),
            tap: Tap::new(cursor),
            opened,
            is_resuming,
            is_answered: false,
            reload: Reload::default(),
            asked: None,
            is_over: false,
        }
    }

    /// Hands the connection what has come. `acked` is what the device may have acked, at the most.
    pub fn read(&mut self, context: &mut Context<'_>, acked: u64, window: u64) -> Read {
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut buffer = ReadBuf::uninit(&mut space);
        match Pin::new(&mut self.end).poll_read(context, &mut buffer) {
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                let more = self.tap.watch(buffer.filled(), acked, window);
                self.connection.handle_bytes(BytesMut::from(buffer.filled()));
                match more {
                    Ok(false) => Read::Part,
                    Ok(true) => Read::Frames,
                    Err(broken) => Read::Wrong(broken),
                }
            }
            Poll::Ready(_) => Read::End,
            Poll::Pending => Read::Nothing,
        }
    }

    /// Writes as much as the network takes. That it fails will be read.
    pub fn write(&mut self, context: &mut Context<'_>) {
        while !self.out.is_empty() {
            let Poll::Ready(Ok(written)) = Pin::new(&mut self.end).poll_write(context, &self.out) else { return };
            let _ = self.out.split_to(written);
        }
    }
}
