//! The service: what ways in, operators and the host may call that is not one device's own (that is `dispatch`).
//! Everything in it is safe to use from any thread.

use std::{
    future::Future,
    net::IpAddr,
    sync::Arc,
    task::Context,
    time::{Duration, Instant},
};

use hongyan_proto::{CloseCode, Uid, server::Settings, wire};

use super::{
    accounts::{self, RegisterError},
    gate::{Attempt, Gate, Rejection},
    login::{self, CameBack, Entrance, LoggedIn},
    operator::{
        execute::{Reach, execute},
        request::{Request, Response},
    },
    presence::{self, Presence},
    upkeep::{self, Silence},
};
use crate::{
    auth::Secret,
    base::{environment::Environment, metrics::Metrics, watch::Watch},
    live::sessions::Sessions,
    log::Log,
    ops::{desk::Desk, id::AcceptNo, op::Op},
    store::StoreError,
};

/// What a service is made of.
pub struct Parts {
    pub log: Log,
    pub log_epoch: u64,
    pub desk: Arc<Desk>,
    pub sessions: Arc<Sessions>,
    pub metrics: Arc<Metrics>,
    /// Over what all of it stands on.
    pub watch: Watch,
    pub gate: Gate,
    /// For the connections.
    pub protocol: Arc<Settings>,
    /// As told in WELCOME.
    pub resume_ttl: Duration,
    pub environment: Box<dyn Environment>,
}

/// One server, to those who may ask something of it.
pub struct Service {
    pub(super) parts: Parts,
    pub(super) presence: Presence,
}

impl Service {
    /// How often [`Self::tell_presence`] is to be called, unless nobody is to be told anything.
    pub const PRESENCE_TICK: Duration = presence::TICK;

    pub fn new(parts: Parts) -> Self {
        Self { parts, presence: Presence::default() }
    }

    // ------------------------------------------------------------ what every way in has to know

    /// How connections speak the protocol.
    pub fn protocol(&self) -> &Arc<Settings> {
        &self.parts.protocol
    }

    /// As told to clients.
    pub fn limits(&self) -> &wire::Limits {
        &self.parts.protocol.limits
    }

    pub fn resume_ttl(&self) -> Duration {
        self.parts.resume_ttl
    }

    pub fn log_epoch(&self) -> u64 {
        self.parts.log_epoch
    }

    pub fn environment(&self) -> &dyn Environment {
        &*self.parts.environment
    }

    pub fn now(&self) -> Instant {
        self.parts.environment.now()
    }

    pub fn metrics(&self) -> &Metrics {
        &self.parts.metrics
    }

    /// Over the tasks that this server cannot do without.
    pub fn watch(&self) -> &Watch {
        &self.parts.watch
    }

    /// Whether more may be read from clients. If not, the caller is woken when there is room again.
    pub fn has_room(&self, context: &Context<'_>) -> bool {
        self.parts.desk.queue().has_room(context)
    }

    // ------------------------------------------------------------ coming in

    /// A connection has been accepted: its place in the order of all.
    pub fn accept(&self) -> AcceptNo {
        self.parts.desk.accept()
    }

    /// The circumstances of a login that is tried now.
    pub fn attempt(&self, address: IpAddr, accepted: AcceptNo) -> Attempt {
        let environment = self.environment();
        let (now, unix_s) = (environment.now(), environment.unix_ms() / 1000);
        Attempt { address, now, accepted, unix_s, next_secret: environment.random() }
    }

    /// What a device is told that has logged in; its connection adds credit and limits.
    pub fn welcome(&self, login: &LoggedIn) -> wire::Welcome {
        wire::Welcome {
            conn_epoch: login.conn_epoch(),
            resume_token: login.resume_token.clone(),
            resume_ttl_s: self.resume_ttl().as_secs() as u32,
            head: login.head,
            last_send_no: login.last_send_no,
            log_epoch: self.log_epoch(),
            cursor: login.cursor,
            time_ms: self.environment().unix_ms(),
            uid: login.uid.as_str().into(),
            ..Default::default()
        }
    }

    /// A HELLO: verifies its credential and binds the device.
    pub fn hello(
        &self,
        hello: wire::Hello,
        attempt: &Attempt,
    ) -> impl Future<Output = Result<LoggedIn, Rejection>> + Send {
        login::hello(self.entrance(), hello, attempt)
    }

    /// A RESUME: a device comes back with its token, which is exchanged, or with the HELLO that it brings beside.
    pub fn resume(
        &self,
        resume: wire::Resume,
        attempt: &Attempt,
    ) -> impl Future<Output = Result<CameBack, Rejection>> + Send {
        login::resume(self.entrance(), resume, attempt)
    }

    /// A device comes back with a token that stays as it is.
    pub fn reopen(&self, token: &[u8], attempt: &Attempt) -> impl Future<Output = Result<LoggedIn, Rejection>> + Send {
        login::reopen(self.entrance(), token, attempt)
    }

    /// A new account with a password, made by whoever wants one.
    pub async fn register(&self, uid: &Uid, password: String, attempt: &Attempt) -> Result<(), RegisterError> {
        accounts::register(&self.parts.gate, &self.parts.desk, uid, Secret::from(password), attempt).await
    }

    fn entrance(&self) -> Entrance<'_> {
        let Parts { gate, desk, sessions, log, metrics, .. } = &self.parts;
        Entrance { gate, desk, sessions, log, metrics }
    }

    // ------------------------------------------------------------ operators

    /// Does what an operator asks for.
    pub async fn operate(&self, request: Request) -> Response {
        let Parts { gate, desk, log, sessions, environment, .. } = &self.parts;
        execute(Reach { gate, desk, log, sessions, environment: &**environment }, request).await
    }

    // ------------------------------------------------------------ upkeep

    /// The server has run for another hour. False: it takes no changes any more.
    pub fn count_hour(&self) -> bool {
        self.parts.desk.put(Op::Hour)
    }

    /// Has those devices forgotten that have been silent for too long, by the hours that the server ran.
    pub async fn forget_silent_devices(&self, silence: Silence) -> Result<(), StoreError> {
        upkeep::forget_silent_devices(&self.parts.log, &self.parts.desk, silence).await
    }

    /// How long it takes until [`Self::purge`] is due, `after` the first body went that the store's files still hold.
    pub async fn time_to_purge(&self, after: Duration) -> Result<Duration, StoreError> {
        upkeep::time_to_purge(&self.parts.log, self.environment(), after).await
    }

    /// Takes everything that was overwritten out of the store's files.
    pub async fn purge(&self) -> Result<(), StoreError> {
        upkeep::purge(&self.parts.log, &self.parts.desk, self.environment()).await
    }

    /// Ready when somebody may have to be told who has come or gone.
    pub async fn until_presence_turns(&self) {
        if self.presence.is_idle() {
            self.parts.sessions.wait_for_news().await;
        }
    }

    /// Tells followers who has come and gone.
    pub async fn tell_presence(&self) -> Result<(), StoreError> {
        self.presence.tick(&self.parts.log, &self.parts.sessions, self.now()).await
    }

    // ------------------------------------------------------------ stopping

    /// From now on the server only finishes: nobody logs in any more.
    pub fn start_draining(&self) {
        self.parts.gate.close();
    }

    pub fn is_draining(&self) -> bool {
        self.parts.gate.is_closed()
    }

    /// How many devices are live.
    pub fn live_devices(&self) -> usize {
        self.parts.sessions.len()
    }

    /// Asks every device to move until `deadline`, each at a moment of its own within `spread`.
    pub fn ask_to_move(&self, deadline: Duration, spread: Duration) {
        let until = self.now() + deadline;
        self.parts.sessions.for_each(|channel| channel.go_away(until, spread));
    }

    /// Ends the connection of every device.
    pub fn end_all(&self, code: CloseCode, reason: &'static str) {
        self.parts.sessions.for_each(|channel| channel.close(code, reason));
    }

    /// Takes no more changes; what was handed over is still committed.
    pub fn close(&self) {
        self.parts.desk.close();
    }

    /// What is live, for tests of what the map and the channels hold.
    #[cfg(test)]
    pub fn sessions(&self) -> &Sessions {
        &self.parts.sessions
    }
}
