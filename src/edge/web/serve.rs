//! The HTTP port. It accepts connections, with TLS as the native port has it, and serves HTTP/1.1 and HTTP/2 on them.
//! What it answers stands in `routes` and `health`.

use std::{io, pin::pin, sync::Arc, time::Duration};

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
        door::Door,
        headcount::Headcount,
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
    pub handshake_timeout: Duration,
}

impl HttpPort {
    /// Serves until `stop`.
    pub async fn run(self, mut door: Door, stop: CancellationToken) {
        let is_loopback = door.address().is_ok_and(|address| address.ip().to_canonical().is_loopback());
        let acceptor = self.tls.as_ref().map(|tls| (acceptor(tls), is_loopback));
        let router = router(&self.service, &self.gateway);
        let connections = TaskTracker::new();
        loop {
            let (stream, address, place) = tokio::select! {
                () = stop.cancelled() => break,
                accepted = door.next() => accepted,
            };
            let Ok(stream) = TcpStream::from_std(stream) else { continue };
            let Some(admission) = self.headcount.admit(address) else {
                self.service.metrics().connections_turned_away.inc();
                continue;
            };
            let peer = Peer::new(address, (place, admission));
            let (router, acceptor, stop) = (router.clone(), acceptor.clone(), stop.clone());
            let handshake_timeout = self.handshake_timeout;
            connections.spawn(async move {
                let Some((acceptor, takes_plain)) = acceptor else { return serve(stream, peer, router, stop).await };
                match tokio::time::timeout(handshake_timeout, is_handshake(&stream)).await {
                    Ok(Ok(true)) => {}
                    Ok(Ok(false)) if takes_plain => return serve(stream, peer, router, stop).await,
                    _ => return,
                }
                let handshake = Box::pin(acceptor.accept_with(stream, tls::limit_buffers));
                if let Ok(Ok(stream)) = tokio::time::timeout(handshake_timeout, handshake).await {
                    serve(stream, peer.over_tls(), router, stop).await;
                }
            });
        }
        connections.close();
        let _ = tokio::time::timeout(LAST_WORDS, connections.wait()).await;
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

/// Serves one connection.
pub async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
    stop: CancellationToken,
) {
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
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        router.clone().oneshot(request)
    });
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
