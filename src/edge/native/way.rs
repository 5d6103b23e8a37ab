//! What becomes of a connection of the native port: a link, in a task of its own.

use std::{
    io,
    net::{IpAddr, TcpStream as StdTcpStream},
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use hongyan_proto::canary;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{link::Link, stranger::Stranger};
use crate::{
    base::alarms::{Alarm, Alarms},
    edge::port::{
        door::{Door, Place},
        headcount::Headcount,
        proxies::Proxies,
        socket::{QuietSockets, Socket},
        tls,
    },
    session::Service,
};

/// What the connections of the native port live on.
pub struct NativePort {
    pub service: Arc<Service>,
    pub alarms: Arc<Alarms>,
    pub strangers: Arc<Headcount>,
    pub sockets: Arc<QuietSockets>,
    pub tls: Option<Arc<tls::Tls>>,
    pub proxies: Proxies,
}

impl NativePort {
    /// Accepts until `stop`; each connection is a task of `links`.
    pub async fn run(self, mut door: Door, links: TaskTracker, stop: CancellationToken) {
        let port = Arc::new(self);
        loop {
            let (stream, address, place) = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = door.next() => accepted,
            };
            let accepted_at = port.service.now();
            if port.proxies.expects_header(address) {
                let introduced = port.clone().introduced(stream, address, place, accepted_at, links.clone());
                let stop = stop.clone();
                links.spawn(async move { note(stop.run_until_cancelled(introduced).await.unwrap_or(Ok(()))) });
            } else {
                note(port.welcome(stream, address, place, accepted_at, &links));
            }
        }
    }

    /// Welcomes for whom the proxy at `address` says that it speaks. A task of its own, which is gone when the link's begins.
    async fn introduced(
        self: Arc<Self>,
        stream: StdTcpStream,
        address: IpAddr,
        place: Place,
        accepted_at: Instant,
        links: TaskTracker,
    ) -> io::Result<()> {
        let mut stream = TcpStream::from_std(stream)?;
        let person = self.proxies.person(&mut stream, address, self.service.protocol().login_timeout).await?;
        self.welcome(stream.into_std()?, person, place, accepted_at, &links)
    }

    /// Begins the link of a person who comes from `address`, unless there are too many.
    fn welcome(
        &self,
        stream: StdTcpStream,
        address: IpAddr,
        place: Place,
        accepted_at: Instant,
        links: &TaskTracker,
    ) -> io::Result<()> {
        let service = &self.service;
        let stream = Socket::new(stream, self.sockets.clone())?;
        let Some(admission) = self.strangers.admit(address) else {
            service.metrics().connections_turned_away.inc();
            return Ok(());
        };
        let stranger = Stranger::new(address, service.accept(), admission);
        let visitor = Visitor { stranger, accepted_at, service: service.clone() };
        let mut alarm = self.alarms.alarm();
        let Some(tls) = &self.tls else {
            links.spawn(drive(visitor.into_link(stream), alarm, place));
            return Ok(());
        };
        let secured = Box::pin(visitor.secure(stream, tls.config(), service.protocol().login_timeout));
        links.spawn(async move {
            match secured.await {
                Ok(mut link) => note(link.run(Pin::new(&mut alarm)).await),
                Err(error) => note(Err(error)),
            }
            drop(place);
        });
        Ok(())
    }
}

/// What an idle connection without TLS is in memory, more than all else.
#[expect(clippy::manual_async_fn, reason = "it would carry its arguments twice")]
fn drive(mut link: Link<Socket>, mut alarm: Alarm, place: Place) -> impl Future<Output = ()> {
    async move {
        assert!(!canary::is("connection-panics"), "planted");
        note(link.run(Pin::new(&mut alarm)).await);
        drop(place);
    }
}

fn note(ended: io::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a transport failed");
    }
}

/// A connection that has just been accepted.
struct Visitor {
    stranger: Stranger,
    accepted_at: Instant,
    service: Arc<Service>,
}

impl Visitor {
    fn into_link<S: AsyncRead + AsyncWrite + Unpin>(self, stream: S) -> Link<S> {
        Link::new(stream, self.service, self.stranger, self.accepted_at)
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
}
