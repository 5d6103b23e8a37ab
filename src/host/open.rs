//! From a configuration to a working service: keys, store, committer. The same for a server and for an operator's command
//! on a stopped server's data.

use std::{
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    thread,
    time::Instant,
};

use tokio::sync::oneshot;

use super::{
    assemble::{Assembled, FORMAT, OpenError, assemble, default_audience, gate, passwords, tokens},
    boot,
};
use crate::{
    auth::token::Tokens,
    base::{
        environment::{self, System},
        parking,
    },
    committer,
    config::{Config, Sync},
    log::{
        self, Log,
        keys::{self, meta},
    },
    session::Service,
    store::{
        Batch, Durability, Engine, Table,
        fjall::{FjallEngine, FjallOptions},
    },
};

/// A service whose committer runs.
pub struct Opened {
    pub service: Arc<Service>,
    committer: oneshot::Receiver<bool>,
    data: PathBuf,
}

impl Opened {
    /// Takes no more changes, and waits until those that were handed over are committed.
    pub async fn close(self) {
        self.service.close();
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

/// The same on an engine that is open.
pub(super) async fn open_with(config: &Config, engine: Arc<dyn Engine>, tokens: Tokens) -> Result<Opened, OpenError> {
    let log = Log::new(engine).with_default_audience(default_audience(config));
    prepare(&log, &config.data, new_log_epoch()).await?;
    follow_last_run(&log, config).await?;
    let gate = gate(config, Arc::new(tokens), Arc::new(passwords(config)?));
    let Assembled { service, desk, committer } = assemble(config, log, gate, Box::new(System)).await?;
    let committing = service.clone();
    let (finished, committer_finished) = oneshot::channel();
    let run = move || {
        let commit = || {
            parking::block_on(|mut timer| {
                let (queue, environment) = (desk.queue(), committing.environment());
                async move { committer::run(committer, queue, environment, Pin::new(&mut timer)).await }
            })
        };
        let is_synced = committing.watch().thread("the committer", || desk.queue().is_closed(), commit);
        desk.end();
        // The store is closed before anybody hears of it.
        drop(committing);
        // Whoever opened the data directory may have left without closing it. A panic sends nothing.
        let _ = is_synced.map(|is_synced| finished.send(is_synced));
    };
    thread::Builder::new().name("committer".into()).spawn(run).map_err(OpenError::Thread)?;
    Ok(Opened { service, committer: committer_finished, data: config.data.clone() })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens the data directory and leaves cleanly; the log epoch, and whether the run was marked as one not synced.
    async fn run(config: &Config) -> (u64, bool) {
        let opened = open(config).await.unwrap();
        let seen = (opened.service.log_epoch(), config.data.join(boot::FILE).exists());
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
