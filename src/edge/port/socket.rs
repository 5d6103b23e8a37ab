//! A connection's socket. While little happens on it, one poll of our own watches it together with all others like it, and
//! knows of it no more than whom to wake. Where much happens the runtime watches it, whose registration takes ten times the
//! memory and saves two system calls each time.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{Shutdown, TcpStream as StdTcpStream},
    os::fd::AsRawFd,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use mio::{Events, Interest, Registry, Token, unix::SourceFd};
use slab::Slab;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest as TokioInterest, ReadBuf, unix::AsyncFd},
    net::TcpStream,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Reads in one second after which the runtime watches a socket.
const BUSY_READS: u32 = 8;
/// Seconds without a read after which it does no more; noticed with the next one.
const PAUSE_S: u32 = 10;
/// Links that are woken before others have their turn, and those of them whose peer has left: nobody waits for what they
/// still have to do. Where thousands are cut off at once, those who talk would else wait until all of them are gone. Few
/// beside the 61 tasks that the runtime polls before it goes on with this one.
const EVENTS_AT_ONCE: usize = 32;
const LEAVING_AT_ONCE: usize = 8;

/// All sockets on which little happens.
pub struct QuietSockets {
    registry: Registry,
    /// By what the poll calls them.
    bells: Mutex<Slab<Bell>>,
    /// Seconds count from here.
    start: Instant,
}

/// What is known of one of them.
#[derive(Default)]
struct Bell {
    waiting: Option<Waker>,
    /// Something has come since it was last read from.
    rung: bool,
    /// The peer has ended the stream: there is always something to read, at least the end.
    ended: bool,
}

impl QuietSockets {
    /// With the poll that [`Self::run`] is to ask.
    pub fn new() -> io::Result<(Arc<Self>, mio::Poll)> {
        let poll = mio::Poll::new()?;
        let registry = poll.registry().try_clone()?;
        Ok((Arc::new(Self { registry, bells: Mutex::default(), start: Instant::now() }), poll))
    }

    /// Wakes whom something has come for, until `stop`.
    pub async fn run(self: Arc<Self>, poll: mio::Poll, stop: CancellationToken) {
        if let Err(error) = self.watch(poll, stop).await {
            tracing::error!(%error, "the sockets of idle connections cannot be watched any more");
        }
    }

    async fn watch(&self, poll: mio::Poll, stop: CancellationToken) -> io::Result<()> {
        let mut poll = until_readable(poll)?;
        let (mut events, mut leaving) = (Events::with_capacity(EVENTS_AT_ONCE), VecDeque::new());
        loop {
            let mut is_full = false;
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                ready = poll.readable_mut() => {
                    let mut ready = ready?;
                    ready.get_inner_mut().poll(&mut events, Some(Duration::ZERO))?;
                    is_full = events.iter().count() == EVENTS_AT_ONCE;
                    // What comes from now on rings again.
                    if !is_full {
                        ready.clear_ready();
                    }
                    self.ring(&events, &mut leaving);
                }
                () = std::future::ready(()), if !leaving.is_empty() => {}
            }
            self.wake_some(&mut leaving);
            if is_full || !leaving.is_empty() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Wakes whom bytes have come for. Those whose peer has left are put behind the others who are `leaving`.
    fn ring(&self, events: &Events, leaving: &mut VecDeque<usize>) {
        let mut bells = self.lock();
        for event in events {
            let place = event.token().0;
            // Rung in vain, who has come to this place meanwhile only looks once more.
            let Some(bell) = bells.get_mut(place) else { continue };
            bell.rung = true;
            bell.ended |= event.is_read_closed();
            if bell.ended {
                leaving.push_back(place);
            } else {
                bell.wake();
            }
        }
    }

    /// Wakes the first of those who are leaving.
    fn wake_some(&self, leaving: &mut VecDeque<usize>) {
        if leaving.is_empty() {
            return;
        }
        let bells = self.lock();
        for place in leaving.drain(..leaving.len().min(LEAVING_AT_ONCE)) {
            // One that was closed by its own end is gone already, or has given its place to another.
            if let Some(bell) = bells.get(place).filter(|bell| bell.ended) {
                bell.wake();
            }
        }
    }

    /// From now on `waker` is woken when `place` can be read from or written to again. `reads`: it is about to be read
    /// from. Says whether something may be there.
    fn wait(&self, place: usize, waker: &Waker, reads: bool) -> bool {
        let bell = &mut self.lock()[place];
        if !bell.waiting.as_ref().is_some_and(|waiting| waiting.will_wake(waker)) {
            bell.waiting = Some(waker.clone());
        }
        let may_read = bell.rung || bell.ended;
        bell.rung &= !reads;
        may_read
    }

    fn second(&self) -> u32 {
        self.start.elapsed().as_secs() as u32
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Bell>> {
        // Nothing between lock and unlock can panic half-way through a change.
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bell {
    fn wake(&self) {
        if let Some(waiting) = &self.waiting {
            waiting.wake_by_ref();
        }
    }
}

/// A TCP connection.
pub struct Socket {
    state: State,
    sockets: Arc<QuietSockets>,
    /// When it was last read from, and how often in that second.
    second: u32,
    reads: u32,
}

enum State {
    Quiet(Watched),
    /// Boxed, for most are quiet.
    Busy(Box<TcpStream>),
    /// The system did not let it change from one to the other.
    Lost,
}

/// A socket in the poll of the quiet ones.
struct Watched {
    stream: StdTcpStream,
    place: u32,
    /// Everything that had come was read.
    is_drained: bool,
}

impl Socket {
    /// `stream` must not block.
    pub fn new(stream: StdTcpStream, sockets: Arc<QuietSockets>) -> io::Result<Self> {
        let second = sockets.second();
        let state = State::Quiet(Watched::new(stream, &sockets)?);
        Ok(Self { state, sockets, second, reads: 0 })
    }

    /// It has been read from: who watches it from now on?
    fn on_read(&mut self) -> io::Result<()> {
        let second = self.sockets.second();
        let pause = second.wrapping_sub(self.second);
        self.reads = if pause == 0 { self.reads.saturating_add(1) } else { 1 };
        self.second = second;
        let moves = match &self.state {
            State::Quiet(_) => self.reads > BUSY_READS,
            State::Busy(_) => pause > PAUSE_S,
            State::Lost => false,
        };
        if moves {
            self.state = match std::mem::replace(&mut self.state, State::Lost) {
                State::Quiet(watched) => State::Busy(Box::new(TcpStream::from_std(watched.take(&self.sockets)?)?)),
                State::Busy(stream) => State::Quiet(Watched::new(stream.into_std()?, &self.sockets)?),
                State::Lost => State::Lost,
            };
        }
        Ok(())
    }
}

impl Watched {
    fn new(stream: StdTcpStream, sockets: &QuietSockets) -> io::Result<Self> {
        let place = sockets.lock().insert(Bell::default());
        // Whoever waits is known before they look, so that each change is either seen or rung.
        let interest = Interest::READABLE | Interest::WRITABLE;
        match sockets.registry.register(&mut SourceFd(&stream.as_raw_fd()), Token(place), interest) {
            Ok(()) => Ok(Self { stream, place: place as u32, is_drained: false }),
            Err(error) => {
                sockets.lock().remove(place);
                Err(error)
            }
        }
    }

    /// No longer watched.
    fn take(self, sockets: &QuietSockets) -> io::Result<StdTcpStream> {
        sockets.lock().remove(self.place as usize);
        sockets.registry.deregister(&mut SourceFd(&self.stream.as_raw_fd()))?;
        Ok(self.stream)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let State::Quiet(watched) = std::mem::replace(&mut self.state, State::Lost) {
            // The poll forgets what is closed.
            drop(watched.take(&self.sockets));
        }
    }
}

/// What came of an attempt that does not block.
fn attempted<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &mut this.state {
            State::Quiet(watched) => {
                let may_read = this.sockets.wait(watched.place as usize, context.waker(), true);
                if watched.is_drained && !may_read {
                    return Poll::Pending;
                }
                let read = attempted(watched.stream.read(buffer.initialize_unfilled()));
                // A read that leaves room has taken everything; the next one is spared until the bell rings.
                watched.is_drained = !matches!(read, Poll::Ready(Ok(len)) if len == buffer.remaining());
                buffer.advance(ready!(read)?);
            }
            State::Busy(stream) => ready!(Pin::new(stream).poll_read(context, buffer))?,
            State::Lost => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
        Poll::Ready(this.on_read())
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match &mut this.state {
            State::Quiet(watched) => {
                this.sockets.wait(watched.place as usize, context.waker(), false);
                attempted(watched.stream.write(bytes))
            }
            State::Busy(stream) => Pin::new(stream).poll_write(context, bytes),
            State::Lost => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing is held back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().state {
            State::Quiet(watched) => Poll::Ready(watched.stream.shutdown(Shutdown::Write)),
            State::Busy(stream) => Pin::new(stream).poll_shutdown(context),
            State::Lost => Poll::Ready(Ok(())),
        }
    }
}

/// For waiting until `inner` can be read from.
#[expect(
    deprecated,
    reason = "the function that replaces it is unsafe, for what does not own its descriptor; all here do"
)]
pub(super) fn until_readable<T: AsRawFd>(inner: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(inner, TokioInterest::READABLE)
}

#[cfg(test)]
mod tests;
