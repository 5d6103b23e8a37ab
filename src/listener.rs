//! Accepting connections: limits in total and for strangers, a pause where the system has no more descriptors.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Sleep,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{core::Core, link::Link, metrics::Metrics, tls};

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
    limits: ListenerLimits,
    tls: Option<Arc<tls::Tls>>,
    links: TaskTracker,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits.max_connections));
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
        let place = Place::new(place, core.metrics.clone());
        let visitor =
            Visitor { address: address.ip(), admission: Box::new(admission), accepted_at: core.environment.now() };
        match &tls {
            None => {
                let mut link = visitor.into_link(stream, core.clone());
                links.spawn(async move {
                    note(link.run(pin!(idle_timer())).await);
                    drop(place);
                });
            }
            Some(tls) => {
                let (acceptor, core, login_timeout) =
                    (TlsAcceptor::from(tls.config()), core.clone(), limits.login_timeout);
                links.spawn(async move {
                    let handshake = acceptor.accept_with(stream, tls::limit_buffers);
                    match tokio::time::timeout(login_timeout, Box::pin(handshake)).await {
                        Ok(Ok(stream)) => note(visitor.into_link(stream, core).run(pin!(idle_timer())).await),
                        Ok(Err(error)) => note(Err(error)),
                        Err(_) => note(Err(io::ErrorKind::TimedOut.into())),
                    }
                    drop(place);
                });
            }
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    Ok((stream, address, place))
}

fn note(ended: io::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a transport failed");
    }
}

/// For a link, which sets it.
fn idle_timer() -> Sleep {
    tokio::time::sleep(Duration::ZERO)
}

/// A connection that has just been accepted.
struct Visitor {
    address: IpAddr,
    admission: Box<Admission>,
    accepted_at: Instant,
}

impl Visitor {
    fn into_link<S: AsyncRead + AsyncWrite + Unpin>(self, stream: S, core: Arc<Core>) -> Link<S> {
        Link::new(stream, self.address, core, self.admission, self.accepted_at)
    }
}

/// One of the places for connections; given back when it is dropped.
struct Place {
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn new(permit: OwnedSemaphorePermit, metrics: Arc<Metrics>) -> Self {
        metrics.connections.inc();
        Self { metrics, _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.connections.dec();
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
