//! What has to be done now and then: forgetting devices that have been silent for too long, by the hours that the server ran, so
//! that a wrong clock on the machine can neither expire nor keep anything; and purging the store's files.

use std::{sync::Arc, time::Duration};

use crate::{committer::op::Op, config::Retention, log::keys::meta, session::service::Core, store::StoreError};

/// Devices looked at before the others get their turn again.
const STEP: usize = 256;

/// A commit is over after this time.
const LONGEST_COMMIT: Duration = Duration::from_secs(60);

pub async fn time_to_purge(core: &Core, after: Duration) -> Result<Duration, StoreError> {
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

pub async fn forget_silent_devices(core: &Core, retention: &Retention) -> Result<(), StoreError> {
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
