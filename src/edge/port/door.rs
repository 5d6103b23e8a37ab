//! Accepting connections: limits in total and for strangers, a pause where the system has no more descriptors.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr, TcpListener as StdTcpListener, TcpStream as StdTcpStream},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use tokio::{io::unix::AsyncFd, sync::Semaphore};

use super::socket::until_readable;

/// Pauses after an accept that failed: from the first to the last, doubling.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// A port that lets so many in at a time.
pub struct Door {
    /// Each has the first turn once it comes first here.
    listeners: VecDeque<AsyncFd<StdTcpListener>>,
    places: Arc<Places>,
    accepted: Counter,
    pause: Duration,
}

impl Door {
    /// `open` and `accepted` count its connections.
    pub fn new(
        listeners: Vec<StdTcpListener>,
        max_connections: usize,
        open: Gauge,
        accepted: Counter,
    ) -> io::Result<Self> {
        let listeners = listeners.into_iter().map(until_readable).collect::<io::Result<_>>()?;
        let places = Arc::new(Places { free: Semaphore::new(max_connections), open });
        Ok(Self { listeners, places, accepted, pause: BACK_OFF.0 })
    }

    /// Where it listens, in the order in which the listeners were given, until the first is accepted.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(|listener| listener.get_ref().local_addr()).collect()
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
    async fn accept(&mut self) -> io::Result<(StdTcpStream, SocketAddr, Place)> {
        let permit = self.places.free.acquire().await.map_err(io::Error::other)?;
        let listeners = &mut self.listeners;
        let (stream, address) = poll_fn(|context| poll_accept(listeners, context)).await?;
        stream.set_nonblocking(true)?;
        permit.forget();
        Ok((stream, address, Place::new(self.places.clone())))
    }
}

/// Accepts from any of them. Whose turn it was is the last next time, so that a flood on one keeps no other waiting.
fn poll_accept(
    listeners: &mut VecDeque<AsyncFd<StdTcpListener>>,
    context: &mut Context<'_>,
) -> Poll<io::Result<(StdTcpStream, SocketAddr)>> {
    for _ in 0..listeners.len() {
        listeners.rotate_left(1);
        let Some(listener) = listeners.back() else { break };
        while let Poll::Ready(ready) = listener.poll_read_ready(context) {
            if let Ok(accepted) = ready?.try_io(|listener| listener.get_ref().accept()) {
                return Poll::Ready(accepted);
            }
        }
    }
    Poll::Pending
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_crowd_at_one_address_keeps_nobody_waiting_at_another() {
        let listeners = ["127.0.0.1:0", "127.0.0.1:0"].map(|address| {
            let listener = StdTcpListener::bind(address).unwrap();
            listener.set_nonblocking(true).unwrap();
            listener
        });
        let [crowded, other] = [&listeners[0], &listeners[1]].map(|listener| listener.local_addr().unwrap());
        let mut door = Door::new(listeners.into(), 10, Gauge::default(), Counter::default()).unwrap();
        assert_eq!(door.addresses().unwrap(), [crowded, other]);
        let clients =
            [crowded, crowded, crowded, other, crowded].map(|address| StdTcpStream::connect(address).unwrap());
        let first_two = [door.next().await, door.next().await].map(|(stream, ..)| stream.local_addr().unwrap());
        assert!(first_two.contains(&other), "{first_two:?}");
        let rest =
            [door.next().await, door.next().await, door.next().await].map(|(stream, ..)| stream.local_addr().unwrap());
        assert_eq!(rest, [crowded; 3]);
        drop(clients);
    }
}
