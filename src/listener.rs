//! Accepting connections: limits in total and for strangers, a pause where the system has no more descriptors.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{alarms::Alarms, core::Core, link::Link, metrics::Metrics, tls};

/// Pauses after an accept that failed: from the first to the last, doubling.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));
/// Bytes that the kernel takes for a peer before it has sent them, so that one that does not read stays cheap.
const UNSENT_IN_KERNEL: u32 = 16 * 1024;
const BACKLOG: i32 = 4096;

/// What one listener allows.
#[derive(Clone, Debug)]
pub struct ListenerLimits {
    pub max_connections: usize,
    pub max_unauthenticated: usize,
    pub max_unauthenticated_per_ip: usize,
    pub login_timeout: Duration,
}

/// Counts connections that have not logged in yet.
#[derive(Debug)]
pub struct Strangers {
    limits: (usize, usize),
    by_address: Mutex<(usize, HashMap<IpAddr, usize>)>,
}

/// A stranger's place; given back when it is dropped.
#[derive(Debug)]
pub struct Admission {
    strangers: Arc<Strangers>,
    address: IpAddr,
}

impl Strangers {
    pub fn new(total: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { limits: (total, per_address), by_address: Mutex::default() })
    }

    /// None: there are too many strangers, or too many from this address.
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
        Some(Admission { strangers: self.clone(), address })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut counts = self.strangers.by_address.lock().unwrap_or_else(PoisonError::into_inner);
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
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT_IN_KERNEL)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts until `stop`; each connection is a task of `links`.
pub async fn run(
    listener: TcpListener,
    core: Arc<Core>,
    alarms: Arc<Alarms>,
    limits: ListenerLimits,
    tls: Option<Arc<tls::Tls>>,
    links: TaskTracker,
    stop: CancellationToken,
) {
    let places = Arc::new(Places { free: Semaphore::new(limits.max_connections), metrics: core.metrics.clone() });
    let strangers = Strangers::new(limits.max_unauthenticated, limits.max_unauthenticated_per_ip);
    let mut pause = BACK_OFF.0;
    loop {
        // The place comes first: without one, connections wait in the kernel's queue.
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = accept(&listener, &places) => accepted,
        };
        let (stream, address, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, pause_ms = pause.as_millis() as u64, "a connection could not be accepted");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(BACK_OFF.1);
                continue;
            }
        };
        pause = BACK_OFF.0;
        core.metrics.connections_accepted.inc();
        let Some(admission) = strangers.admit(address.ip()) else {
            core.metrics.connections_turned_away.inc();
            continue;
        };
        let visitor =
            Visitor { address: address.ip(), admission, accepted_at: core.environment.now(), core: core.clone() };
        let mut alarm = alarms.alarm();
        match &tls {
            None => {
                let mut link = visitor.into_link(stream);
                links.spawn(async move {
                    note(link.run(Pin::new(&mut alarm)).await);
                    drop(place);
                });
            }
            Some(tls) => {
                let secured = Box::pin(visitor.secure(stream, tls.config(), limits.login_timeout));
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

async fn accept(listener: &TcpListener, places: &Arc<Places>) -> io::Result<(TcpStream, SocketAddr, Place)> {
    let permit = places.free.acquire().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    permit.forget();
    Ok((stream, address, Place::new(places.clone())))
}

fn note(ended: io::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a transport failed");
    }
}

/// The places for connections.
struct Places {
    free: Semaphore,
    metrics: Arc<Metrics>,
}

/// One of the places; given back when it is dropped.
struct Place(Arc<Places>);

impl Place {
    fn new(places: Arc<Places>) -> Self {
        places.metrics.connections.inc();
        Self(places)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.metrics.connections.dec();
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
        stream: TcpStream,
        config: Arc<ServerConfig>,
        timeout: Duration,
    ) -> io::Result<Box<Link<TlsStream<TcpStream>>>> {
        let handshake = TlsAcceptor::from(config).accept_with(stream, tls::limit_buffers);
        let stream = tokio::time::timeout(timeout, handshake).await??;
        Ok(Box::new(self.into_link(stream)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_counted_in_total_and_by_address() {
        let strangers = Strangers::new(3, 2);
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
