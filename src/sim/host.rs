//! The machine the server runs on: starting it on what the disk holds, killing it, taking connections in.

use std::{
    cell::{Cell, RefCell},
    net::IpAddr,
    path::Path,
    pin::pin,
    rc::Rc,
    sync::{Arc, OnceLock},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{hmac, rand::SystemRandom};

use super::{
    chance::Chance,
    clock::{Clock, SimTimer, Simulated},
    disk::Disk,
    executor::{Owner, Spawner},
    gateway::Gateway,
    network::End,
};
use crate::{
    auth::{
        backoff::{Backoff, BackoffPolicy},
        keys::{KeyRing, SigningKey, VerifyKey},
        password::{PasswordCost, PasswordPool},
        token::{TokenPolicy, Tokens},
    },
    committer,
    config::Config,
    edge::{
        native::{link::Link, stranger::Stranger},
        port::headcount::Headcount,
    },
    host::{
        assemble::{Assembled, assemble},
        open,
    },
    log::Log,
    session::{DeviceLimits, Devices, Gate, Service},
};

/// How long a device that comes by requests is present after its last one.
const GRACE: Duration = Duration::from_secs(2);

const SECRET: &[u8] = b"a secret of at least 32 bytes, known to all simulations";

/// What checks credentials; the same in all runs, for making it takes longer than a run.
struct Credentials {
    tokens: Arc<Tokens>,
    passwords: Arc<PasswordPool>,
}

fn credentials() -> &'static Credentials {
    static CREDENTIALS: OnceLock<Credentials> = OnceLock::new();
    CREDENTIALS.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let own = SigningKey::load_or_create(&folder.path().join("key"), &SystemRandom::new());
        let backend = VerifyKey::hs256(Some("sim".into()), SECRET).expect("the secret is long enough");
        let keys = KeyRing::new(own.expect("a key can be made"), vec![backend]).expect("two different keys");
        let (issuer, audience) = ("hongyan".into(), "hongyan".into());
        let policy = TokenPolicy { issuer, audience, leeway: Duration::from_secs(30) };
        let passwords = PasswordPool::new(PasswordCost::default(), 4).expect("the default cost is legal");
        Credentials { tokens: Arc::new(Tokens::new(keys, policy)), passwords: Arc::new(passwords) }
    })
}

/// What decides who may come in.
pub fn gate() -> Gate {
    let Credentials { tokens, passwords } = credentials();
    Gate::new(tokens.clone(), passwords.clone(), Backoff::new(BackoffPolicy::default()))
}

/// A token that no jump of the calendar expires.
pub fn token(uid: &str) -> String {
    let claims = serde_json::json!({
        "iss": "hongyan", "aud": "hongyan", "sub": uid, "exp": 9_000_000_000_u64, "iat": 8_000_000_000_u64,
    });
    let header = serde_json::json!({ "alg": "HS256", "typ": "JWT", "kid": "sim" });
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let signed = format!("{header}.{claims}");
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub struct Host {
    clock: Arc<Clock>,
    spawner: Spawner,
    pub disk: Arc<Disk>,
    config: Rc<Config>,
    chance: RefCell<Chance>,
    is_running: Cell<bool>,
    /// None: the server does not run, or is not ready yet.
    service: Rc<RefCell<Option<Arc<Service>>>>,
    /// Who comes by requests.
    devices: Rc<RefCell<Option<Arc<Devices>>>>,
    strangers: RefCell<Arc<Headcount>>,
    /// Connections whose link has not ended.
    links: Rc<Cell<usize>>,
}

impl Host {
    pub fn new(clock: &Arc<Clock>, spawner: &Spawner, disk: Arc<Disk>, config: Config, chance: Chance) -> Self {
        Self {
            clock: clock.clone(),
            spawner: spawner.clone(),
            disk,
            strangers: RefCell::new(strangers(&config)),
            config: Rc::new(config),
            chance: RefCell::new(chance),
            is_running: Cell::default(),
            service: Rc::default(),
            devices: Rc::default(),
            links: Rc::default(),
        }
    }

    /// Starts the server's process. It takes connections as soon as it has read its store.
    pub fn start(&self) {
        self.is_running.set(true);
        *self.strangers.borrow_mut() = strangers(&self.config);
        let (clock, slot, config) = (self.clock.clone(), self.service.clone(), self.config.clone());
        let (devices, spawner) = (self.devices.clone(), self.spawner.clone());
        let log = Log::new(self.disk.clone());
        let log_epoch = self.chance.borrow_mut().number().max(1);
        self.spawner.spawn(Owner::Server, async move {
            let environment = Box::new(Simulated(clock.clone()));
            let prepared = open::prepare(&log, Path::new("simulated"), log_epoch).await;
            let assembled = match prepared {
                Ok(()) => assemble(&config, log, gate(), environment).await,
                // The operator starts it again when the disk answers.
                Err(_) => return,
            };
            let Ok(Assembled { service, desk, committer }) = assembled else { return };
            *slot.borrow_mut() = Some(service.clone());
            let limits = DeviceLimits { present: 1000, requests_per_second: 1_000_000, requests_burst: 1_000_000 };
            let table = Arc::new(Devices::new(service.clone(), limits));
            *devices.borrow_mut() = Some(table.clone());
            let ticks = clock.clone();
            spawner.spawn(Owner::Server, async move {
                loop {
                    ticks.sleep(GRACE / 4).await;
                    table.expire(GRACE);
                }
            });
            committer::run(committer, desk.queue(), service.environment(), pin!(SimTimer::new(&clock))).await;
        });
    }

    /// The process is gone; its tasks are the executor's to drop.
    pub fn on_killed(&self) {
        *self.service.borrow_mut() = None;
        *self.devices.borrow_mut() = None;
        self.is_running.set(false);
    }

    /// There is a process, which may still be reading its store.
    pub fn is_running(&self) -> bool {
        self.is_running.get()
    }

    pub fn service(&self) -> Option<Arc<Service>> {
        self.service.borrow().clone()
    }

    /// How often a device is to show life.
    pub fn heartbeat(&self) -> Duration {
        self.config.heartbeat.interval
    }

    pub fn links(&self) -> usize {
        self.links.get()
    }

    /// Takes a connection in, as the listener does; `by_requests`: for one whose device comes by requests. False: nobody
    /// listens.
    pub fn accept(&self, end: End, address: IpAddr, by_requests: bool) -> bool {
        let Some(service) = self.service().filter(|service| !service.is_draining()) else { return false };
        let Some(admission) = self.strangers.borrow().admit(address) else { return false };
        let (clock, links) = (self.clock.clone(), self.links.clone());
        let stranger = Stranger::new(address, service.accept(), admission);
        let accepted_at = clock.now();
        links.set(links.get() + 1);
        let counted = Counted(links);
        if let Some(devices) = self.devices.borrow().clone().filter(|_| by_requests) {
            let chance = self.chance.borrow_mut().fork();
            let gateway = Gateway::new(end, service, devices, stranger, chance);
            self.spawner.spawn(Owner::Server, async move {
                let _ = gateway.run(pin!(SimTimer::new(&clock))).await;
                drop(counted);
            });
            return true;
        }
        self.spawner.spawn(Owner::Server, async move {
            let mut link = Link::new(end, service, stranger, accepted_at);
            // How a link ends is for the log only.
            let _ = link.run(pin!(SimTimer::new(&clock))).await;
            drop(counted);
        });
        true
    }
}

fn strangers(config: &Config) -> Arc<Headcount> {
    Headcount::new(config.limits.max_unauthenticated as usize, config.limits.max_unauthenticated_per_ip as usize)
}

/// A link that has not ended.
struct Counted(Rc<Cell<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
