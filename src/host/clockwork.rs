//! What has to happen now and then: counting the hours that the server runs, and forgetting devices by that count, so that
//! a wrong clock on the machine can neither expire nor keep anything; and purging the store's files.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    committer::op::Op,
    config::Retention,
    log::keys::meta,
    session::{presence::TICK, service::Core},
    store::StoreError,
};

const HOUR: Duration = Duration::from_secs(3600);
/// Devices looked at before the others get their turn again.
const STEP: usize = 256;
/// After a purge the store is looked at again so soon, and not sooner.
const SHORTLY: Duration = Duration::from_secs(1);
/// A commit is over after this time.
const LONGEST_COMMIT: Duration = Duration::from_secs(60);

/// Runs until `stop`.
pub async fn run(core: Arc<Core>, retention: Retention, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(HOUR) => {}
        }
        core.queue.put(Op::Hour);
        if let Err(error) = forget_silent_devices(&core, &retention).await {
            tracing::warn!(%error, "silent devices could not be looked for");
        }
    }
}

/// Tells followers who has come and gone, until `stop`.
pub async fn tell_presence(core: Arc<Core>, stop: CancellationToken) {
    loop {
        let next = async {
            if core.presence.is_idle() {
                core.sessions.wait_for_news().await;
            }
            tokio::time::sleep(TICK).await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = next => {}
        }
        if let Err(error) = core.presence.tick(&core.log, &core.sessions, core.environment.now()).await {
            tracing::warn!(%error, "who came and went could not be told");
        }
    }
}

/// Takes bodies that are gone out of the store's files, `after` they went, until `stop`.
pub async fn purge_when_due(core: Arc<Core>, after: Duration, stop: CancellationToken) {
    loop {
        let wait = match time_to_purge(&core, after).await {
            Ok(wait) if wait.is_zero() => match purge(&core).await {
                Ok(()) => Duration::ZERO,
                Err(error) => {
                    tracing::warn!(%error, "the store's files still hold bodies that were taken back; trying again");
                    after.min(HOUR)
                }
            },
            Ok(wait) => wait,
            Err(error) => {
                tracing::warn!(%error, "whether the store has to be purged cannot be read");
                after.min(HOUR)
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait.clamp(SHORTLY, HOUR)) => {}
        }
    }
}

async fn time_to_purge(core: &Core, after: Duration) -> Result<Duration, StoreError> {
    let since_ms = core.log.meta(meta::OLD_BODIES).await?;
    if since_ms == 0 {
        return Ok(after);
    }
    let due_ms = since_ms.saturating_add(after.as_millis() as u64);
    Ok(Duration::from_millis(due_ms.saturating_sub(core.environment.unix_ms())))
}

/// Takes everything that was overwritten out of the store's files.
///
/// # Errors
/// As [`crate::store::Engine::purge`].
pub async fn purge(core: &Arc<Core>) -> Result<(), StoreError> {
    // A commit may be under way that is older than its end.
    let began_ms = core.environment.unix_ms().saturating_sub(LONGEST_COMMIT.as_millis() as u64);
    let purging = core.clone();
    let purged = tokio::task::spawn_blocking(move || purging.log.engine().purge()).await;
    purged.unwrap_or_else(|_| Err(StoreError::Failed("the purge ended in a panic".into())))?;
    tracing::info!("the store's files hold nothing any more that was taken back before");
    core.queue.put(Op::Purged { began_ms });
    Ok(())
}

async fn forget_silent_devices(core: &Core, retention: &Retention) -> Result<(), StoreError> {
    let hours = core.log.meta(meta::HOURS).await?;
    let mut after = None;
    loop {
        let devices = core.log.all_devices(after, STEP).await?;
        let Some((user, device, _)) = devices.last() else { return Ok(()) };
        after = Some((*user, *device));
        for (user, device, record) in devices {
            let kept = match record.ephemeral {
                true => retention.ephemeral_forgotten_after,
                false => retention.devices_forgotten_after,
            };
            if record.last_seen_hour + kept.as_secs().div_ceil(3600) <= hours {
                core.queue.put(Op::Forget { user, device, last_seen_hour: record.last_seen_hour });
            }
        }
        tokio::task::yield_now().await;
    }
}
