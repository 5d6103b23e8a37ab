//! Accepting connections: limits in total and for strangers, a pause where the system has no more descriptors.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener as StdTcpListener, TcpStream as StdTcpStream},
    sync::Arc,
    time::Duration,
};

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::Semaphore,
};

use super::socket::until_readable;

/// Pauses after an accept that failed: from the first to the last, doubling.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

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
