//! The socket side of a link: reading, writing, and the farewell. What is to be written lies with the protocol's
//! connection; an idle wire owns no buffer.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use hongyan_proto::{BytesMut, server::Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::base::environment::Timer;

/// The most that is read at once. The buffer is one per thread, not one per connection.
const READ_BYTES: usize = 16 * 1024;
/// After CLOSE, how long to wait for the peer to have read it.
const LINGER: Duration = Duration::from_secs(1);

thread_local! {
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// A stream, and what is known of its state.
pub struct Wire<S> {
    stream: S,
    /// What was written may still be with the stream, as TLS keeps records that the socket does not take.
    must_flush: bool,
    /// The peer has closed, or all has been said: what is left is the farewell.
    is_over: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, must_flush: false, is_over: false }
    }

    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Nothing more is exchanged but the farewell.
    pub fn end(&mut self) {
        self.is_over = true;
    }

    /// Whether something of `connection` has still to leave.
    pub fn has_output(&self, connection: &Connection) -> bool {
        connection.output_len() > 0 || self.must_flush
    }

    /// Reads into the thread's buffer and copies exactly what came. Empty: the peer has closed.
    pub fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<BytesMut>> {
        READ_BUFFER.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            Poll::Ready(Ok(BytesMut::from(buffer.filled())))
        })
    }

    /// Ready when all that `connection` had to say has left.
    pub fn poll_write(&mut self, connection: &mut Connection, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while connection.output_len() > 0 {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, connection.output()))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            connection.on_written(written);
            self.must_flush = true;
        }
        if self.must_flush {
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.must_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Gets the CLOSE across: a socket that is dropped with unread input resets the connection, and the peer might never
    /// see what was written last.
    pub async fn linger(
        &mut self,
        connection: &mut Connection,
        now: Instant,
        mut timer: Pin<&mut impl Timer>,
    ) -> io::Result<()> {
        let deadline = now + LINGER;
        let mut farewell = pin!(async {
            poll_fn(|context| self.poll_write(connection, context)).await?;
            poll_fn(|context| Pin::new(&mut self.stream).poll_shutdown(context)).await?;
            while !poll_fn(|context| self.poll_read(context)).await?.is_empty() {}
            Ok(())
        });
        poll_fn(|context| match farewell.as_mut().poll(context) {
            Poll::Pending => timer.as_mut().poll_at(deadline, context).map(Ok),
            ended => ended,
        })
        .await
    }
}
