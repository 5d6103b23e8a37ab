//! The HTTP port. It accepts connections, with TLS as the native port has it, and serves HTTP/1.1 and HTTP/2 on them.
//! What it answers stands in `routes` and `health`.

use std::{io, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::{access::Peer, gateway::Gateway, health, routes};
use crate::{
    edge::port::{
        door::{Door, Place},
        headcount::{Admission, Headcount},
        proxies::Proxies,
        tls::{self, Tls},
    },
    session::Service,
};

/// How long a connection may take to bring the next request's head, and may idle between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// What is buffered for one connection, each way.
const BUFFER: usize = 16 * 1024;
/// Fields in the head of a request, and all of their bytes.
const MAX_FIELDS: usize = 64;
const MAX_HEAD: u32 = 16 * 1024;
/// Requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 128;
/// How soon a dead HTTP/2 peer is noticed: asked after so long, given up after as long again.
const H2_KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How long requests may go on when the server stops.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// The first byte of a TLS handshake; no HTTP request begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// What is served at the port, and to whom.
pub struct HttpPort {
    pub service: Arc<Service>,
    pub gateway: Arc<Gateway>,
    pub tls: Option<Arc<Tls>>,
    /// Those at the port.
    pub headcount: Arc<Headcount>,
    pub proxies: Proxies,
    pub handshake_timeout: Duration,
}

impl HttpPort {
    /// Serves until `stop`.
    pub async fn run(self, mut door: Door, stop: CancellationToken) {
        let is_loopback =
            door.addresses().is_ok_and(|all| all.iter().all(|address| address.ip().to_canonical().is_loopback()));
        let acceptor = self.tls.as_ref().map(|tls| (acceptor(tls), is_loopback));
        let pages = Pages { router: router(&self.service, &self.gateway), proxies: self.proxies.clone(), stop };
        let (port, connections) = (Arc::new(self), TaskTracker::new());
        loop {
            let (stream, address, place) = tokio::select! {
                () = pages.stop.cancelled() => break,
                accepted = door.next() => accepted,
            };
            let Ok(stream) = TcpStream::from_std(stream) else { continue };
            let visitor = Visitor { port: port.clone(), acceptor: acceptor.clone(), place };
            if port.proxies.expects_header(address) {
                let pages = pages.clone();
                connections.spawn(async move { visitor.introduced(stream, address, pages).await });
            } else if let Some(admission) = port.admit(address) {
                connections.spawn(visitor.serve(stream, address, admission, pages.clone()));
            }
        }
        connections.close();
        let _ = tokio::time::timeout(LAST_WORDS, connections.wait()).await;
    }

    /// None: there are too many; for a proxy, which is no person, in total.
    fn admit(&self, address: IpAddr) -> Option<Admission> {
        let admission = match self.proxies.trusts(address) {
            true => self.headcount.admit_proxy(),
            false => self.headcount.admit(address),
        };
        if admission.is_none() {
            self.service.metrics().connections_turned_away.inc();
        }
        admission
    }
}

/// A connection that has just been accepted.
struct Visitor {
    port: Arc<HttpPort>,
    /// And whether plain HTTP is served too.
    acceptor: Option<(TlsAcceptor, bool)>,
    place: Place,
}

impl Visitor {
    /// Serves for whom the proxy at `address` says that it speaks.
    async fn introduced(self, mut stream: TcpStream, address: IpAddr, pages: Pages) {
        let person = tokio::select! {
            () = pages.stop.cancelled() => return,
            person = self.port.proxies.person(&mut stream, address, self.port.handshake_timeout) => person,
        };
        let Ok(person) = person else { return };
        if let Some(admission) = self.port.admit(person) {
            self.serve(stream, person, admission, pages).await;
        }
    }

    async fn serve(self, stream: TcpStream, address: IpAddr, admission: Admission, pages: Pages) {
        let Self { port, acceptor, place } = self;
        let peer = Peer::new(address, (place, admission));
        let Some((acceptor, takes_plain)) = acceptor else { return pages.serve(stream, peer).await };
        match tokio::time::timeout(port.handshake_timeout, is_handshake(&stream)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) if takes_plain => return pages.serve(stream, peer).await,
            _ => return,
        }
        let handshake = Box::pin(acceptor.accept_with(stream, tls::limit_buffers));
        if let Ok(Ok(stream)) = tokio::time::timeout(port.handshake_timeout, handshake).await {
            pages.serve(stream, peer.over_tls()).await;
        }
    }
}

/// The native port's certificate and rules, for HTTP.
fn acceptor(tls: &Tls) -> TlsAcceptor {
    let mut config = tls.config().as_ref().clone();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn is_handshake(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    let peeked = stream.peek(&mut first).await?;
    Ok(peeked == 1 && first[0] == TLS_HANDSHAKE)
}

/// Everything that is served at the port.
pub fn router(service: &Arc<Service>, gateway: &Arc<Gateway>) -> Router {
    routes::router(gateway).merge(health::router(service.clone()))
}

/// What a connection is served.
#[derive(Clone)]
pub struct Pages {
    pub router: Router,
    pub proxies: Proxies,
    pub stop: CancellationToken,
}

impl Pages {
    /// Serves one connection.
    pub async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Peer) {
        let Self { router, proxies, stop } = self;
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            let peer = peer.of_request(request.headers(), &proxies);
            request.extensions_mut().insert(peer);
            router.clone().oneshot(request)
        });
        let builder = builder();
        let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, "an HTTP connection failed");
        }
    }
}

/// The bounds of a connection.
fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER)
        .max_headers(MAX_FIELDS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_send_buf_size(BUFFER)
        .max_header_list_size(MAX_HEAD)
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(H2_KEEP_ALIVE)
        .keep_alive_timeout(H2_KEEP_ALIVE);
    builder
}
