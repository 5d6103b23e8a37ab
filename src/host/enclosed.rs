//! A server without ports and files: over any engine, in the time and with the chance that it is given, spoken to through
//! any stream. It is all that is between a socket and the store, for fuzzers to drive.

use std::{
    future::Future,
    io,
    net::IpAddr,
    path::Path,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use axum::{Router, extract::Request, response::Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::{
    assemble::{self, Assembled, OpenError, strangers},
    clockwork, open,
};
use crate::{
    auth::{password::PasswordPool, token::Tokens},
    base::{alarms::Alarms, environment::Environment},
    committer,
    config::Config,
    edge::{
        native::{link::Link, stranger::Stranger},
        port::{headcount::Headcount, proxies::Proxies},
        web::{
            access::Peer,
            gateway::Gateway,
            serve::{self, Pages},
        },
    },
    log::Log,
    session::Service,
    store::Engine,
};

/// What an enclosed server is made of.
pub struct Parts {
    pub config: Config,
    pub engine: Arc<dyn Engine>,
    pub tokens: Arc<Tokens>,
    pub passwords: Arc<PasswordPool>,
    pub environment: Box<dyn Environment>,
}

/// The ways into a server that runs.
pub struct Enclosed {
    service: Arc<Service>,
    alarms: Arc<Alarms>,
    strangers: Arc<Headcount>,
    router: Router,
    stop: CancellationToken,
}

/// Runs a server for as long as `visit` takes, then commits what it has taken. It needs a runtime of tokio with time.
///
/// # Errors
/// The engine cannot be read or written, or holds something else.
pub async fn run<T>(parts: Parts, visit: impl AsyncFnOnce(&Enclosed) -> T) -> Result<T, OpenError> {
    let Parts { config, engine, tokens, passwords, environment } = parts;
    let log = Log::new(engine).with_default_audience(assemble::default_audience(&config));
    let [log_epoch, ..] = environment.random();
    open::prepare(&log, Path::new("the engine"), u64::from(log_epoch).max(1)).await?;
    let gate = assemble::gate(&config, tokens, passwords);
    let Assembled { service, desk, committer } = assemble::assemble(&config, log, gate, environment).await?;
    let alarms = Alarms::new(service.now());
    let (strangers, stop) = (strangers(&config.limits), CancellationToken::new());
    let links = TaskTracker::new();
    let gateway = Gateway::new(service.clone(), config.web.clone(), alarms.clone(), strangers.clone(), links);
    let router = serve::router(&service, &gateway);
    let enclosed = Enclosed { service: service.clone(), alarms: alarms.clone(), strangers, router, stop: stop.clone() };
    let visiting = async {
        let result = visit(&enclosed).await;
        service.close();
        stop.cancel();
        result
    };
    let timer = pin!(tokio::time::sleep(Duration::ZERO));
    let committing = committer::run(committer, desk.queue(), service.environment(), timer);
    let (result, ..) = tokio::join!(
        visiting,
        committing,
        alarms.run(stop.clone()),
        gateway.expire(stop.clone()),
        clockwork::tell_presence(service.clone(), stop.clone()),
    );
    Ok(result)
}

impl Enclosed {
    /// A connection of the native port, to its end. None: there are too many strangers.
    pub fn native<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
        address: IpAddr,
    ) -> Option<impl Future<Output = io::Result<()>> + Send + use<S>> {
        let admission = self.strangers.admit(address)?;
        let stranger = Stranger::new(address, self.service.accept(), admission);
        let mut link = Link::new(stream, self.service.clone(), stranger, self.service.now());
        let mut alarm = self.alarms.alarm();
        Some(async move { link.run(Pin::new(&mut alarm)).await })
    }

    /// A connection of the HTTP port, to its end.
    pub fn http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
        address: IpAddr,
    ) -> impl Future<Output = ()> + Send + use<S> {
        let pages = Pages { router: self.router.clone(), proxies: Proxies::none(), stop: self.stop.clone() };
        pages.serve(stream, Peer::new(address, ()))
    }

    /// The answer to one request of HTTP, as if a connection had brought it.
    pub async fn answer(&self, mut request: Request, address: IpAddr) -> Response {
        request.extensions_mut().insert(Peer::new(address, ()));
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
