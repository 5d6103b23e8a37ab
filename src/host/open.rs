//! From a configuration to a working core: keys, store, committer. The same for a server and for an operator's command
//! on a stopped server's data.

use std::{
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    thread,
    time::Instant,
};

use hongyan_proto::{
    server::{self, PushSettings},
    wire,
};
use prost::Message;
use ring::rand::SystemRandom;
use tokio::sync::oneshot;

use super::boot;
use crate::{
    auth::{
        backoff::{Backoff, BackoffPolicy},
        keys::{KeyError, KeyRing, SigningKey, VerifyKey},
        password::{PasswordCost, PasswordError, PasswordPool},
        token::{TokenPolicy, Tokens},
    },
    base::{
        environment::{self, Environment, System},
        metrics::Metrics,
        parking,
    },
    committer::{self, CommitQueue, Committer, CommitterSettings, Syncing},
    config::{self, Config, KeyMaterial, Sync},
    live::sessions::Sessions,
    log::{
        self, Log,
        keys::{self, meta},
    },
    session::{
        gate::Gate,
        presence::Presence,
        service::{Core, CoreParts},
    },
    store::{
        Batch, Durability, Engine, StoreError, Table,
        fjall::{FjallEngine, FjallOptions},
    },
};

/// The layout of the store that this program writes.
const FORMAT: u64 = 3;
/// Callers that may wait for a place where passwords are hashed.
const PASSWORDS_WAITING: usize = 64;

/// Why there is no working core.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot create the data directory {}: {source}", path.display())]
    Data { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot use {}, which tells of commits that were not synced: {source}", path.display())]
    Mark { path: PathBuf, source: io::Error },
    #[error("the store in {} has layout {found}, this program knows {FORMAT}: use the hongyan that wrote it, and export", path.display())]
    Format { path: PathBuf, found: u64 },
    #[error("the thread that commits cannot start: {0}")]
    Thread(io::Error),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("cannot read the key file {}: {source}", path.display())]
    KeyFile { path: PathBuf, source: io::Error },
    #[error("auth.keys, kid {kid}: {source}")]
    TokenKey { kid: String, source: KeyError },
    #[error(transparent)]
    Password(#[from] PasswordError),
}

/// A core whose committer runs.
pub struct Opened {
    pub core: Arc<Core>,
    committer: oneshot::Receiver<bool>,
    data: PathBuf,
}

impl Opened {
    /// Takes no more changes, and waits until those that were handed over are committed.
    pub async fn close(self) {
        self.core.queue.close();
        match self.committer.await {
            Ok(true) => {
                if let Err(error) = boot::clear(&self.data) {
                    tracing::warn!(%error, file = boot::FILE, "a file in the data directory cannot be removed");
                }
            }
            Ok(false) => tracing::error!("the end of the log could not be synced"),
            Err(_) => tracing::error!("the committer failed"),
        }
    }
}

/// Where the store of a data directory is.
pub fn store_path(data: &Path) -> PathBuf {
    data.join("store")
}

/// Opens the engine alone.
pub fn open_engine(config: &Config) -> Result<FjallEngine, OpenError> {
    hongyan_directory::create(&config.data).map_err(|source| OpenError::Data { path: config.data.clone(), source })?;
    let mark_failed = |source| OpenError::Mark { path: config.data.join(boot::FILE), source };
    let is_tail_lost = boot::is_tail_lost(&config.data, &boot::current()).map_err(mark_failed)?;
    let started = Instant::now();
    let options = FjallOptions {
        cache_bytes: config.store.cache,
        journal_bytes: config.store.journal,
        reserve_bytes: config.store.reserve,
        is_tail_lost,
    };
    let engine = FjallEngine::open(store_path(&config.data), options)?;
    tracing::info!(path = %config.data.display(), took_ms = started.elapsed().as_millis() as u64, "the store is open");
    Ok(engine)
}

/// Opens the data directory and starts the committer, which has a thread of its own.
pub async fn open(config: &Config) -> Result<Opened, OpenError> {
    let engine: Arc<dyn Engine> = Arc::new(open_engine(config)?);
    let tokens = tokens(config)?;
    open_with(config, engine, tokens).await
}

async fn open_with(config: &Config, engine: Arc<dyn Engine>, tokens: Tokens) -> Result<Opened, OpenError> {
    let log = Log::new(engine).with_default_audience(default_audience(config));
    prepare(&log, &config.data, new_log_epoch()).await?;
    follow_last_run(&log, config).await?;
    let gate = gate(config, Arc::new(tokens), Arc::new(passwords(config)?));
    let (core, committer) = assemble(config, log, gate, Box::new(System)).await?;
    let core = Arc::new(core);
    let committing = core.clone();
    let (finished, committer_finished) = oneshot::channel();
    let run = move || {
        let is_synced = parking::block_on(|mut timer| {
            let (queue, environment) = (&committing.queue, &*committing.environment);
            async move { committer::run(committer, queue, environment, Pin::new(&mut timer)).await }
        });
        // The store is closed before anybody hears of it.
        drop(committing);
        // Whoever opened the data directory may have left without closing it.
        let _ = finished.send(is_synced);
    };
    thread::Builder::new().name("committer".into()).spawn(run).map_err(OpenError::Thread)?;
    Ok(Opened { core, committer: committer_finished, data: config.data.clone() })
}

/// A core and its committer, which does not run yet, over a log that is prepared.
pub async fn assemble(
    config: &Config,
    log: Log,
    gate: Gate,
    environment: Box<dyn Environment>,
) -> Result<(Core, Committer), StoreError> {
    let sessions = Arc::new(Sessions::default());
    let metrics = Arc::new(Metrics::default());
    let protocol = protocol_settings(config);
    let settings = committer_settings(config, protocol.limits);
    let committer = Committer::open(log.clone(), sessions.clone(), metrics.clone(), settings).await?;
    let core = Core::new(CoreParts {
        log_epoch: log.meta(meta::LOG_EPOCH).await?,
        log,
        queue: CommitQueue::new(config.limits.committer_queue as usize),
        sessions,
        presence: Presence::default(),
        metrics,
        gate,
        protocol: Arc::new(protocol),
        resume_ttl: config.auth.resume_ttl,
        environment,
    });
    Ok((core, committer))
}

/// Gives a new store its format and `log_epoch`; refuses one of another format. What the last run has left in the hands of
/// the operating system is synced: a killed server may have left a message there that nobody was answered for, and that is
/// found to be taken when it comes again.
pub async fn prepare(log: &Log, data: &Path, log_epoch: u64) -> Result<(), OpenError> {
    match log.meta(meta::FORMAT).await? {
        FORMAT => Ok(log.engine().commit(Batch::default(), Durability::Synced).await?),
        0 => {
            let mut batch = Batch::default();
            batch.put(Table::Meta, meta::FORMAT.as_bytes(), keys::number(FORMAT));
            batch.put(Table::Meta, meta::LOG_EPOCH.as_bytes(), keys::number(log_epoch));
            Ok(log.engine().commit(batch, Durability::Synced).await?)
        }
        found => Err(OpenError::Format { path: data.to_owned(), found }),
    }
}

/// Begins a new log epoch if a power cut may have taken the end of the log, and marks a run that may lose its own.
async fn follow_last_run(log: &Log, config: &Config) -> Result<(), OpenError> {
    let (data, boot) = (&config.data, boot::current());
    let mark_failed = |source| OpenError::Mark { path: data.join(boot::FILE), source };
    let is_tail_lost = boot::is_tail_lost(data, &boot).map_err(mark_failed)?;
    if is_tail_lost {
        tracing::warn!("the machine stopped before the store was synced: what was acknowledged last may be lost");
        log::epoch::begin(log.engine(), new_log_epoch()).await?;
    }
    match config.store.sync {
        // What a killed run of this boot has left is synced by the end of this one.
        Sync::Always if is_tail_lost => boot::clear(data),
        Sync::Always => Ok(()),
        Sync::Interval | Sync::Os => boot::mark(data, &boot),
    }
    .map_err(mark_failed)
}

/// A log epoch that has never been; 0 means "none known" on the wire.
pub fn new_log_epoch() -> u64 {
    u64::from_be_bytes(environment::random()).max(1)
}

fn tokens(config: &Config) -> Result<Tokens, OpenError> {
    let own = SigningKey::load_or_create(&config.data.join("signing-key"), &SystemRandom::new())?;
    let mut configured = Vec::new();
    for key in &config.auth.keys {
        let path = match &key.material {
            KeyMaterial::Hs256 { secret_file: path } | KeyMaterial::EdDsa { public_key_file: path } => path,
        };
        let bytes = std::fs::read(path).map_err(|source| OpenError::KeyFile { path: path.clone(), source })?;
        let kid = Some(key.kid.clone());
        let parsed = match &key.material {
            // A line end behind a secret is the editor's, not the secret's.
            KeyMaterial::Hs256 { .. } => VerifyKey::hs256(kid, bytes.trim_ascii_end()),
            KeyMaterial::EdDsa { .. } => VerifyKey::ed25519(kid, &bytes),
        };
        configured.push(parsed.map_err(|source| OpenError::TokenKey { kid: key.kid.clone(), source })?);
    }
    let policy = TokenPolicy {
        issuer: config.issuer().to_owned(),
        audience: config.audience().to_owned(),
        leeway: config.auth.clock_leeway,
    };
    Ok(Tokens::new(KeyRing::new(own, configured)?, policy))
}

fn passwords(config: &Config) -> Result<PasswordPool, PasswordError> {
    let memory_kib = (config.auth.password_memory / 1024) as u32;
    let cost = PasswordCost { memory_kib, passes: config.auth.password_passes as u32 };
    PasswordPool::new(cost, PASSWORDS_WAITING)
}

/// What decides who may come in.
pub fn gate(config: &Config, tokens: Arc<Tokens>, passwords: Arc<PasswordPool>) -> Gate {
    let free_per_address = config.limits.logins_per_minute_per_ip as u32;
    let backoff = Backoff::new(BackoffPolicy { free_per_address, ..BackoffPolicy::default() });
    Gate::new(tokens, passwords, backoff)
}

fn protocol_settings(config: &Config) -> server::Settings {
    let limits = &config.limits;
    let mut announced = wire::Limits {
        max_frame: limits.max_frame as u32,
        max_content: limits.max_content as u32,
        push_window: limits.push_window as u32,
        heartbeat_ms: config.heartbeat.interval.as_millis() as u32,
        heartbeat_min_ms: config.heartbeat.min.as_millis() as u32,
        heartbeat_max_ms: config.heartbeat.max.as_millis() as u32,
        sends_per_s: limits.messages_per_second as u32,
        send_burst: limits.messages_burst as u32,
        id: 0,
    };
    announced.id = name_of(&announced);
    server::Settings {
        login_timeout: limits.login_timeout,
        limits: announced,
        send_window: limits.send_window,
        push: PushSettings {
            window_entries: limits.push_window,
            ack_timeout: config.delivery.ack_timeout,
            retransmits: config.delivery.retransmits as u8,
            lagging_timeout: config.delivery.lagging_timeout,
            ..PushSettings::default()
        },
    }
}

/// A number that differs where the limits differ (FNV-1a), so that a client can tell whether it knows them.
fn name_of(limits: &wire::Limits) -> u32 {
    let hash = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    limits.encode_to_vec().iter().fold(0x811C_9DC5, hash).max(1)
}

fn committer_settings(config: &Config, limits: wire::Limits) -> CommitterSettings {
    CommitterSettings {
        syncing: syncing(&config.store),
        gather: config.store.gather,
        limits,
        send_window: config.limits.send_window as usize,
        accept_unknown_recipients: config.auth.accept_unknown_recipients,
        accounts: config.limits.accounts,
        devices_per_user: config.limits.devices_per_user as usize,
        channels_per_user: config.limits.channels_per_user as usize,
        resume_ttl: config.auth.resume_ttl,
        receipt_delay: config.delivery.receipt_delay,
        timeline_entries: config.retention.timeline_entries,
        edit_within: config.messages.edit_within,
        recall_within: config.messages.recall_within,
        fan_out_threshold: config.groups.fan_out_threshold as usize,
        group_members: config.groups.max_members as usize,
        receipts_up_to: config.groups.receipts_up_to as usize,
        default_audience: default_audience(config),
        link_key: environment::random(),
    }
}

/// Who may write to users who have not decided that themselves.
pub fn default_audience(config: &Config) -> wire::Audience {
    if config.contacts.required { wire::Audience::Contacts } else { wire::Audience::Everybody }
}

fn syncing(store: &config::Store) -> Syncing {
    match store.sync {
        Sync::Always => Syncing::EachCommit,
        Sync::Interval => Syncing::Within(store.sync_interval),
        Sync::Os => Syncing::BySystem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens the data directory and leaves cleanly; the log epoch, and whether the run was marked as one not synced.
    async fn run(config: &Config) -> (u64, bool) {
        let opened = open(config).await.unwrap();
        let seen = (opened.core.log_epoch, config.data.join(boot::FILE).exists());
        opened.close().await;
        assert!(!config.data.join(boot::FILE).exists(), "a clean stop leaves nothing unsynced");
        seen
    }

    #[tokio::test]
    async fn a_power_cut_in_a_run_without_syncs_begins_a_new_log_epoch() {
        let data = tempfile::tempdir().unwrap();
        let mut config = Config { data: data.path().to_owned(), ..Config::default() };
        let (epoch, is_marked) = run(&config).await;
        assert!(!is_marked);
        for sync in [Sync::Interval, Sync::Os] {
            config.store.sync = sync;
            assert_eq!(run(&config).await, (epoch, true));
        }
        // A run of this boot was killed, then one of another boot.
        boot::mark(&config.data, &boot::current()).unwrap();
        assert_eq!(run(&config).await, (epoch, true));
        boot::mark(&config.data, "another boot").unwrap();
        config.store.sync = Sync::Always;
        let (new_epoch, is_marked) = run(&config).await;
        assert!(new_epoch != epoch && !is_marked);
        assert_eq!(run(&config).await, (new_epoch, false));
    }
}
