//! A whole server to visit: its store is in memory, its clock passes only while nobody has anything to do, and its chance
//! is the same in every run.

use std::{
    cell::Cell,
    net::{IpAddr, Ipv4Addr},
    panic,
    sync::{
        Arc, Once, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hongyan::{
    auth::password::{PasswordCost, PasswordPool},
    base::environment::Environment,
    config::Config,
    host::enclosed::{self, Enclosed, Parts},
    log::verify::verify,
    store::memory::MemoryEngine,
};

use crate::{
    net::Rng,
    token::{NOW, tokens},
};

/// Where everybody comes from.
pub const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A token that is good during every visit.
pub fn access_token(uid: &str) -> String {
    tokens().mint(uid, Duration::from_secs(1 << 30), None, 0, NOW).unwrap()
}

/// Runs a server for one visit. Nothing in it may panic, and what it leaves behind must agree with itself.
pub fn visit(engine: &Arc<MemoryEngine>, visit: impl AsyncFnOnce(&Enclosed)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let panics = count_panics();
    runtime.block_on(async {
        let environment =
            Box::new(Repeated { start: tokio::time::Instant::now().into_std(), drawn: AtomicU64::new(0) });
        let parts = Parts {
            config: config(),
            engine: engine.clone(),
            tokens: tokens().clone(),
            passwords: passwords().clone(),
            environment,
        };
        enclosed::run(parts, visit).await.unwrap();
    });
    // A task that was spawned does not take the others with it.
    drop(runtime);
    assert_eq!(count_panics(), panics, "something in the server panicked");
    let report = verify(&**engine).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

/// Small limits, which a short input can reach.
fn config() -> Config {
    let mut config = Config::default();
    config.store.gather = Duration::ZERO;
    config.groups.fan_out_threshold = 2;
    config.groups.receipts_up_to = 3;
    config.retention.timeline_entries = 64;
    config.limits.devices_per_user = 4;
    config.limits.logins_per_minute_per_ip = 1_000_000;
    config.limits.max_content = 1024;
    config.limits.max_frame = 16 << 10;
    config
}

/// The same in all visits, for it has threads of its own.
fn passwords() -> &'static Arc<PasswordPool> {
    static PASSWORDS: OnceLock<Arc<PasswordPool>> = OnceLock::new();
    PASSWORDS.get_or_init(|| Arc::new(PasswordPool::new(PasswordCost::default(), 64).unwrap()))
}

/// How many panics there were on this thread so far.
fn count_panics() -> u64 {
    thread_local! {
        static PANICS: Cell<u64> = const { Cell::new(0) };
    }
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            report(info);
        }));
    });
    PANICS.get()
}

struct Repeated {
    start: Instant,
    drawn: AtomicU64,
}

impl Environment for Repeated {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn unix_ms(&self) -> u64 {
        NOW * 1000 + (self.now() - self.start).as_millis() as u64
    }

    fn random(&self) -> [u8; 32] {
        let mut rng = Rng(self.drawn.fetch_add(1, Ordering::Relaxed));
        std::array::from_fn(|_| rng.next() as u8)
    }
}
