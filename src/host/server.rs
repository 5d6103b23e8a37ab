//! A whole server: bound, running, draining.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use hongyan_proto::CloseCode;
use prometheus_client::metrics::counter::Counter;
use tokio::{
    net::UnixListener,
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    assemble::{OpenError, strangers},
    clockwork, descriptors,
    open::{self, Opened},
};
use crate::{
    base::{
        alarms::Alarms,
        watch::{Death, Tasks},
    },
    config::Config,
    edge::{
        admin,
        native::way::NativePort,
        port::{
            door::Door,
            headcount::Headcount,
            listen::{self, ListenError},
            proxies::Proxies,
            socket::QuietSockets,
            tls::{Tls, TlsError, TlsParams},
        },
        web::{gateway::Gateway, serve::HttpPort},
    },
    session::Service,
};

/// Devices are asked to leave at moments spread over this time for each of them, up to what is configured.
const SPREAD_PER_DEVICE: Duration = Duration::from_millis(1);
/// How long a device may take to log in elsewhere.
const TIME_TO_MOVE: Duration = Duration::from_secs(2);
/// All the time there is for devices to move, and then for what is under way, when a part of the server has failed: nobody
/// is served until another has taken its place.
const FAILED_DRAIN: Duration = Duration::from_secs(2);
const FAILED_END: Duration = Duration::from_secs(3);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("the sockets cannot be watched: {0}")]
    Watch(io::Error),
    #[error("cannot open the admin socket in {data}: {source}; a data directory with a shorter path may help")]
    Admin { data: String, source: io::Error },
}

/// A server that listens, and has not accepted anybody yet.
pub struct Server {
    config: Config,
    opened: Opened,
    tls: Option<Arc<Tls>>,
    native: Door,
    sockets: Arc<QuietSockets>,
    poll: mio::Poll,
    http: Option<Door>,
    admin: UnixListener,
}

impl Server {
    /// Opens the data directory and binds the ports.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let tls = load_tls(&config)?;
        let opened = open::open(&config).await?;
        Self::bind_opened(config, tls, opened)
    }

    fn bind_opened(config: Config, tls: Option<Arc<Tls>>, opened: Opened) -> Result<Self, StartError> {
        let (for_native, for_http) = places(&config);
        let metrics = opened.service.metrics();
        let (open, accepted) = (metrics.connections.clone(), metrics.connections_accepted.clone());
        let native = listen::bind_native("listen", &config.listen)?;
        let native = Door::new(native, for_native, open, accepted).map_err(StartError::Watch)?;
        let (sockets, poll) = QuietSockets::new().map_err(StartError::Watch)?;
        let http = match &config.http {
            Some(addresses) => {
                let (open, accepted) = (metrics.http_connections.clone(), metrics.http_connections_accepted.clone());
                let http = listen::bind_http("http", addresses, config.delivery.lagging_timeout)?;
                Some(Door::new(http, for_http, open, accepted).map_err(StartError::Watch)?)
            }
            None => None,
        };
        let admin = admin::bind(&config.data)
            .map_err(|source| StartError::Admin { data: config.data.display().to_string(), source })?;
        Ok(Self { config, opened, tls, native, sockets, poll, http, admin })
    }

    /// The real addresses of the native port.
    pub fn native_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.native.addresses()
    }

    /// The real addresses of the HTTP port; none if there is no such port.
    pub fn http_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.http.as_ref().map_or(Ok(Vec::new()), Door::addresses)
    }

    /// Counts the panics of this process, if they are [noted](super::panics::note).
    pub fn panics(&self) -> Counter {
        self.opened.service.metrics().panics.clone()
    }

    /// Serves until `shutdown`, then drains: accepts nobody, asks everybody to move, closes who is left at the deadline,
    /// commits what has been taken.
    ///
    /// # Errors
    /// A part that must not end has ended. Then it drains briefly, and is to be started anew.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Death> {
        let data = self.config.data.clone();
        let (deadline, spread) = (self.config.drain.deadline, self.config.drain.spread);
        let Running { opened, links, accepting, around } = self.start();
        let service = opened.service.clone();
        let watch = service.watch();
        let deadline = tokio::select! {
            () = shutdown => deadline,
            () = watch.first_death() => deadline.min(FAILED_DRAIN),
        };
        tracing::info!(devices = service.live_devices(), "draining");
        service.start_draining();
        // The port is free for a successor as soon as the listener is gone.
        accepting.end().await;
        drain(&service, &links, deadline, spread).await;
        let ended = async {
            around.end().await;
            opened.close().await;
        };
        let failed = async {
            watch.first_death().await;
            tokio::time::sleep(FAILED_END).await;
        };
        tokio::select! {
            () = ended => {}
            () = failed => {}
        }
        let _ = std::fs::remove_file(admin::socket_path(&data));
        match watch.death() {
            Some(death) => Err(death.clone()),
            None => {
                tracing::info!("stopped");
                Ok(())
            }
        }
    }

    /// Starts everything: the tasks of connections, what accepts those of the native port, and all around these.
    fn start(self) -> Running {
        let Self { config, opened, tls, native, sockets, poll, http, admin } = self;
        let service = opened.service.clone();
        let links = TaskTracker::new();
        let (accepting, around) = (Tasks::new(service.watch().clone()), Tasks::new(service.watch().clone()));
        let strangers = strangers(&config.limits);
        let alarms = Alarms::new(service.now());
        around.spawn("the alarms", |stop| alarms.clone().run(stop));
        around.spawn("the poll of quiet sockets", |stop| sockets.clone().run(poll, stop));
        let port = NativePort {
            service: service.clone(),
            alarms: alarms.clone(),
            strangers: strangers.clone(),
            sockets,
            tls: tls.clone(),
            proxies: Proxies::new(&config.proxies, config.proxies.native),
        };
        accepting.spawn("the native port", |stop| port.run(native, links.clone(), stop));
        if let Some(http) = http {
            let gateway = Gateway::new(service.clone(), config.web.clone(), alarms, strangers, links.clone());
            around.spawn("the expiry of web devices", |stop| gateway.clone().expire(stop));
            let (service, tls) = (service.clone(), tls.clone());
            let handshake_timeout = config.limits.login_timeout;
            let web = &config.web;
            let headcount = Headcount::new(web.max_connections as usize, web.max_connections_per_ip as usize);
            let proxies = Proxies::new(&config.proxies, config.proxies.http);
            let port = HttpPort { service, gateway, tls, headcount, proxies, handshake_timeout };
            around.spawn("the HTTP port", |stop| port.run(http, stop));
        }
        around.spawn("the admin socket", |stop| admin::run(admin, service.clone(), stop));
        around.spawn("the count of hours", |stop| clockwork::run(service.clone(), config.retention.clone(), stop));
        let purge_after = config.store.purge_after;
        around.spawn("the purge", |stop| clockwork::purge_when_due(service.clone(), purge_after, stop));
        around.spawn("the telling of presence", |stop| clockwork::tell_presence(service, stop));
        if let Some(tls) = tls {
            around.spawn("the reload on SIGHUP", |stop| reload_on_hangup(tls, stop));
        }
        Running { opened, links, accepting, around }
    }
}

/// A server whose tasks run.
struct Running {
    opened: Opened,
    /// Of the connections. Each may end as it likes, for it ends nobody else's.
    links: TaskTracker,
    accepting: Tasks,
    around: Tasks,
}

/// How many connections each port may have at once, as far as the descriptors go round.
fn places(config: &Config) -> (usize, usize) {
    let http = if config.http.is_some() { config.web.max_connections } else { 0 };
    let wanted = config.limits.max_connections + http;
    let room = descriptors::make_room_for(wanted);
    let native = room * config.limits.max_connections / wanted;
    (native as usize, (room - native) as usize)
}

/// Asks every device to move, waits, and closes those that stay.
async fn drain(service: &Service, links: &TaskTracker, deadline: Duration, spread: Duration) {
    links.close();
    // A few devices need no spreading, and who has not moved soon after has nowhere to go before this server is gone.
    let spread = spread.min(SPREAD_PER_DEVICE * service.live_devices() as u32).min(deadline);
    let deadline = deadline.min(spread + TIME_TO_MOVE);
    service.ask_to_move(deadline, spread);
    if tokio::time::timeout(deadline, links.wait()).await.is_ok() {
        return;
    }
    service.end_all(CloseCode::GOING_AWAY, "the server stops");
    // Headcount and peers that do not read are dropped with the runtime.
    let _ = tokio::time::timeout(Duration::from_secs(2), links.wait()).await;
}

fn load_tls(config: &Config) -> Result<Option<Arc<Tls>>, StartError> {
    let (Some(certificate), Some(key)) = (config.tls.cert.clone(), config.tls.key.clone()) else { return Ok(None) };
    let (tls, warning) = Tls::load(TlsParams { certificate, key })?;
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    Ok(Some(Arc::new(tls)))
}

async fn reload_on_hangup(tls: Arc<Tls>, stop: CancellationToken) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => {
            tracing::error!(%error, "SIGHUP cannot be received: a new certificate is read at the next start only");
            return stop.cancelled().await;
        }
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = hangup.recv() => {}
        }
        match tls.reload() {
            Ok(None) => tracing::info!("the certificate was read again"),
            Ok(Some(warning)) => tracing::warn!("the certificate was read again: {warning}"),
            Err(error) => tracing::error!(%error, "the certificate stays as it was"),
        }
    }
}

/// Ready at the first SIGTERM or SIGINT; a second one ends the process at once.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub fn install() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for the first, and leaves a task behind that waits for the second.
    pub async fn shutdown(mut self) {
        self.next().await;
        tokio::spawn(async move {
            self.next().await;
            tracing::warn!("a second signal: leaving without draining; what was acknowledged is safe");
            std::process::exit(1);
        });
    }
}

#[cfg(test)]
mod tests;
