//! The socket side of a link: waiting, reading, writing, and the farewell.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use hongyan_proto::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::link::{Link, OUT_HIGH_WATER};
use crate::base::environment::Timer;

/// The most that is read at once. The buffer is one per thread, not one per connection.
const READ_BYTES: usize = 16 * 1024;
/// After CLOSE, how long to wait for the peer to have read it.
const LINGER: Duration = Duration::from_secs(1);

thread_local! {
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// Why a link goes on.
pub(super) enum Wake {
    /// Bytes have come, or what waited has been written.
    Io(Option<BytesMut>),
    /// Something waits in the channel.
    Rung,
    Timer,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// Ready when there is something to do.
    pub(super) fn poll_wake(
        &mut self,
        context: &mut Context<'_>,
        timer: Pin<&mut impl Timer>,
    ) -> Poll<io::Result<Wake>> {
        let waited = self.connection.output_len() > 0 || self.must_flush;
        let written = self.poll_write(context)?;
        // What was put in before the peer wrote leaves before the answers to that.
        if self.session.as_ref().is_some_and(|session| session.channel().poll_rung(context).is_ready()) {
            return Poll::Ready(Ok(Wake::Rung));
        }
        // A peer that does not read is not read from; and while everybody's messages wait for the disk, reading more
        // would only pile them up here.
        if self.connection.output_len() < OUT_HIGH_WATER
            && !self.connection.is_saturated()
            && self.core.queue.has_room(context)
            && let Poll::Ready(read) = poll_read(&mut self.stream, context)?
        {
            return Poll::Ready(Ok(Wake::Io(Some(read))));
        }
        if waited && written.is_ready() {
            return Poll::Ready(Ok(Wake::Io(None)));
        }
        match self.connection.poll_timeout() {
            Some(deadline) => timer.poll_at(deadline, context).map(|()| Ok(Wake::Timer)),
            None => Poll::Pending,
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.connection.output_len() > 0 {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, self.connection.output()))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.connection.on_written(written);
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
    pub(super) async fn linger(&mut self, mut timer: Pin<&mut impl Timer>) -> io::Result<()> {
        drop(self.session.take());
        let deadline = self.core.environment.now() + LINGER;
        let mut farewell = pin!(async {
            poll_fn(|context| self.poll_write(context)).await?;
            poll_fn(|context| Pin::new(&mut self.stream).poll_shutdown(context)).await?;
            while !poll_fn(|context| poll_read(&mut self.stream, context)).await?.is_empty() {}
            Ok(())
        });
        poll_fn(|context| match farewell.as_mut().poll(context) {
            Poll::Pending => timer.as_mut().poll_at(deadline, context).map(Ok),
            ended => ended,
        })
        .await
    }
}

/// Reads into the thread's buffer and copies exactly what came. Empty: the peer has closed.
fn poll_read(stream: &mut (impl AsyncRead + Unpin), context: &mut Context<'_>) -> Poll<io::Result<BytesMut>> {
    READ_BUFFER.with_borrow_mut(|buffer| {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(BytesMut::from(buffer.filled())))
    })
}
