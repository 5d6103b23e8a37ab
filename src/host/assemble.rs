//! The parts of a service, each made by what is configured. Nothing here opens a store or starts a thread.

use std::{io, path::PathBuf, sync::Arc};

use hongyan_proto::{
    server::{self, PushSettings},
    wire,
};
use prost::Message;
use ring::rand::SystemRandom;

use crate::{
    auth::{
        backoff::{Backoff, BackoffPolicy},
        keys::{KeyError, KeyRing, SigningKey, VerifyKey},
        password::{PasswordCost, PasswordError, PasswordPool},
        token::{TokenPolicy, Tokens},
    },
    base::{
        environment::{self, Environment},
        metrics::Metrics,
        watch::Watch,
    },
    committer::{Committer, CommitterSettings, Syncing},
    config::{self, Config, KeyMaterial, Limits, Sync},
    edge::port::headcount::Headcount,
    live::{apply::apply, sessions::Sessions},
    log::{Log, keys::meta},
    ops::{desk::Desk, effect::Outlet},
    session::{Gate, Parts, Service},
    store::StoreError,
};

/// The layout of the store that this program writes.
pub const FORMAT: u64 = 3;
/// Callers that may wait for a place where passwords are hashed.
const PASSWORDS_WAITING: usize = 64;

/// Why there is no working service.
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

/// A service, and what commits all that it is told.
pub struct Assembled {
    pub service: Arc<Service>,
    /// From the one to the other.
    pub desk: Arc<Desk>,
    /// It does not run yet.
    pub committer: Committer,
}

/// Everything over a log that is prepared.
pub async fn assemble(
    config: &Config,
    log: Log,
    gate: Gate,
    environment: Box<dyn Environment>,
) -> Result<Assembled, StoreError> {
    let sessions = Arc::new(Sessions::default());
    let metrics = Arc::new(Metrics::default());
    let protocol = protocol_settings(config);
    let settings = committer_settings(config, protocol.limits);
    let desk = Arc::new(Desk::new(config.limits.committer_queue as usize));
    let (live, answered) = (sessions.clone(), desk.clone());
    let outlet: Outlet = Box::new(move |effect| apply(effect, &live, &answered));
    // In tests all that follows crosses in the form for other nodes, as what is asked does in the queue.
    #[cfg(test)]
    let outlet = crate::ops::wire::crossing(outlet);
    let committer = Committer::open(log.clone(), metrics.clone(), settings, outlet).await?;
    let service = Service::new(Parts {
        log_epoch: log.meta(meta::LOG_EPOCH).await?,
        log,
        desk: desk.clone(),
        sessions,
        metrics,
        watch: Watch::default(),
        gate,
        protocol: Arc::new(protocol),
        resume_ttl: config.auth.resume_ttl,
        environment,
    });
    Ok(Assembled { service: Arc::new(service), desk, committer })
}

pub(super) fn tokens(config: &Config) -> Result<Tokens, OpenError> {
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

pub(super) fn passwords(config: &Config) -> Result<PasswordPool, PasswordError> {
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

/// Those who have not logged in yet, at both ports.
pub(super) fn strangers(limits: &Limits) -> Arc<Headcount> {
    Headcount::new(limits.max_unauthenticated as usize, limits.max_unauthenticated_per_ip as usize)
}
