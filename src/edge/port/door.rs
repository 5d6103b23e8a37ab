//! Accepting connections: limits in total and for strangers, a pause where the system has no more descriptors.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr, TcpListener as StdTcpListener, TcpStream as StdTcpStream},
    os::fd::AsRawFd,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::socket::{QuietSockets, Socket};
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use socket2::{Domain, Protocol, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, unix::AsyncFd},
    sync::Semaphore,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::tls;
use crate::{
    base::alarms::{Alarm, Alarms},
    edge::native::link::Link,
    session::service::Core,
};

/// Pauses after an accept that failed: from the first to the last, doubling.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));
/// Bytes that the kernel takes for a peer before it has sent them, so that one that does not read stays cheap.
const UNSENT_IN_KERNEL: u32 = 16 * 1024;
const BACKLOG: i32 = 4096;

/// How many of a kind there are, in total and from each address: those who have not logged in yet, those at the HTTP port.
#[derive(Debug)]
pub struct Headcount {
    limits: (usize, usize),
    by_address: Mutex<(usize, HashMap<IpAddr, usize>)>,
}

/// The place of one of them; given back when it is dropped.
#[derive(Debug)]
pub struct Admission {
    headcount: Arc<Headcount>,
    address: IpAddr,
}

impl Headcount {
    pub fn new(total: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { limits: (total, per_address), by_address: Mutex::default() })
    }

    /// None: there are too many, or too many from this address.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Admission> {
        let mut counts = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let (total, by_address) = &mut *counts;
        let here = by_address.get(&address).copied().unwrap_or(0);
        if *total >= self.limits.0 || here >= self.limits.1 {
            return None;
        }
        *total += 1;
        by_address.insert(address, here + 1);
        drop(counts);
        Some(Admission { headcount: self.clone(), address })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut counts = self.headcount.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let (total, by_address) = &mut *counts;
        *total -= 1;
        if let Some(here) = by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// Binds the native port. Its options are inherited by the connections it accepts.
pub fn bind(address: SocketAddr) -> io::Result<StdTcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT_IN_KERNEL)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What the connections of the native port live on.
pub struct NativePort {
    pub core: Arc<Core>,
    pub alarms: Arc<Alarms>,
    pub strangers: Arc<Headcount>,
    pub sockets: Arc<QuietSockets>,
    pub tls: Option<Arc<tls::Tls>>,
}

impl NativePort {
    /// Accepts until `stop`; each connection is a task of `links`.
    pub async fn run(self, mut door: Door, links: TaskTracker, stop: CancellationToken) {
        let Self { core, alarms, strangers, sockets, tls } = self;
        loop {
            let (stream, address, place) = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = door.next() => accepted,
            };
            let stream = match Socket::new(stream, sockets.clone()) {
                Ok(stream) => stream,
                Err(error) => {
                    note(Err(error));
                    continue;
                }
            };
            let Some(admission) = strangers.admit(address) else {
                core.metrics.connections_turned_away.inc();
                continue;
            };
            let visitor = Visitor { address, admission, accepted_at: core.environment.now(), core: core.clone() };
            let alarm = alarms.alarm();
            match &tls {
                None => drop(links.spawn(drive(visitor.into_link(stream), alarm, place))),
                Some(tls) => {
                    let secured = Box::pin(visitor.secure(stream, tls.config(), core.protocol.login_timeout));
                    let mut alarm = alarm;
                    links.spawn(async move {
                        match secured.await {
                            Ok(mut link) => note(link.run(Pin::new(&mut alarm)).await),
                            Err(error) => note(Err(error)),
                        }
                        drop(place);
                    });
                }
            }
        }
    }
}

/// What an idle connection without TLS is in memory, more than all else.
#[expect(clippy::manual_async_fn, reason = "it would carry its arguments twice")]
fn drive(mut link: Link<Socket>, mut alarm: Alarm, place: Place) -> impl Future<Output = ()> {
    async move {
        note(link.run(Pin::new(&mut alarm)).await);
        drop(place);
    }
}

/// A port that lets so many in at a time.
pub struct Door {
    listener: AsyncFd<StdTcpListener>,
    places: Arc<Places>,
    accepted: Counter,
    pause: Duration,
}

impl Door {
    /// `open` and `accepted` count its connections.
    pub fn new(listener: StdTcpListener, max_connections: usize, open: Gauge, accepted: Counter) -> io::Result<Self> {
        let listener = until_readable(listener)?;
        let places = Arc::new(Places { free: Semaphore::new(max_connections), open });
        Ok(Self { listener, places, accepted, pause: BACK_OFF.0 })
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.get_ref().local_addr()
    }

    /// The next connection, which does not block, and its place.
    pub async fn next(&mut self) -> (StdTcpStream, IpAddr, Place) {
        loop {
            match self.accept().await {
                Ok((stream, address, place)) => {
                    self.pause = BACK_OFF.0;
                    self.accepted.inc();
                    return (stream, address.ip(), place);
                }
                Err(error) => {
                    let pause_ms = self.pause.as_millis() as u64;
                    tracing::warn!(%error, pause_ms, "a connection could not be accepted");
                    tokio::time::sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(BACK_OFF.1);
                }
            }
        }
    }

    /// The place comes first: without one, connections wait in the kernel's queue.
    async fn accept(&self) -> io::Result<(StdTcpStream, SocketAddr, Place)> {
        let permit = self.places.free.acquire().await.map_err(io::Error::other)?;
        let (stream, address) = self.listener.async_io(Interest::READABLE, StdTcpListener::accept).await?;
        stream.set_nonblocking(true)?;
        permit.forget();
        Ok((stream, address, Place::new(self.places.clone())))
    }
}

/// For waiting until `inner` can be read from.
#[expect(
    deprecated,
    reason = "the function that replaces it is unsafe, for what does not own its descriptor; all here do"
)]
pub(super) fn until_readable<T: AsRawFd>(inner: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(inner, Interest::READABLE)
}

fn note(ended: io::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a transport failed");
    }
}

/// The places for connections.
struct Places {
    free: Semaphore,
    open: Gauge,
}

/// One of the places; given back when it is dropped.
pub struct Place(Arc<Places>);

impl Place {
    fn new(places: Arc<Places>) -> Self {
        places.open.inc();
        Self(places)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.dec();
        self.0.free.add_permits(1);
    }
}

/// A connection that has just been accepted.
struct Visitor {
    address: IpAddr,
    admission: Admission,
    accepted_at: Instant,
    core: Arc<Core>,
}

impl Visitor {
    fn into_link<S: AsyncRead + AsyncWrite + Unpin>(self, stream: S) -> Link<S> {
        Link::new(stream, self.address, self.core, self.admission, self.accepted_at)
    }

    /// Boxed: a link with TLS is four times as large, and the handshake larger still.
    async fn secure(
        self,
        stream: Socket,
        config: Arc<ServerConfig>,
        timeout: Duration,
    ) -> io::Result<Box<Link<TlsStream<Socket>>>> {
        let handshake = TlsAcceptor::from(config).accept_with(stream, tls::limit_buffers);
        let stream = tokio::time::timeout(timeout, handshake).await??;
        Ok(Box::new(self.into_link(stream)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The runtime and the tracker add 104 bytes to it, and give it whole blocks of 128.
    #[test]
    fn the_task_of_a_connection_takes_three_blocks() {
        fn size_of_future<A, B, C, F>(_: fn(A, B, C) -> F) -> usize {
            size_of::<F>()
        }
        let (task, link) = (size_of_future(drive), size_of::<Link<Socket>>());
        assert!(task + 104 <= 3 * 128, "the task takes {task} bytes, {link} of them the link");
    }

    #[test]
    fn strangers_are_counted_in_total_and_by_address() {
        let strangers = Headcount::new(3, 2);
        let (here, there) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let first = strangers.admit(here);
        let second = strangers.admit(here);
        assert!(first.is_some() && second.is_some());
        assert!(strangers.admit(here).is_none(), "two from one address");
        let third = strangers.admit(there);
        assert!(third.is_some());
        drop(second);
        let fourth = strangers.admit(here);
        assert!(fourth.is_some());
        assert!(strangers.admit(there).is_none(), "three in total");
        drop((first, third, fourth));
        assert!(strangers.by_address.lock().unwrap().1.is_empty(), "nothing is kept of those who left");
    }
}
