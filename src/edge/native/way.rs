//! What becomes of a connection of the native port: a link, in a task of its own.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use hongyan_proto::canary;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{link::Link, stranger::Stranger};
use crate::{
    base::alarms::{Alarm, Alarms},
    edge::port::{
        door::{Door, Place},
        headcount::Headcount,
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
}

impl NativePort {
    /// Accepts until `stop`; each connection is a task of `links`.
    pub async fn run(self, mut door: Door, links: TaskTracker, stop: CancellationToken) {
        let Self { service, alarms, strangers, sockets, tls } = self;
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
                service.metrics().connections_turned_away.inc();
                continue;
            };
            let stranger = Stranger::new(address, service.accept(), admission);
            let visitor = Visitor { stranger, accepted_at: service.now(), service: service.clone() };
            let alarm = alarms.alarm();
            match &tls {
                None => drop(links.spawn(drive(visitor.into_link(stream), alarm, place))),
                Some(tls) => {
                    let secured = Box::pin(visitor.secure(stream, tls.config(), service.protocol().login_timeout));
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
