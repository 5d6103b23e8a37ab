//! What has to be done now and then: forgetting devices that have been silent for too long, by the hours that the server ran, so
//! that a wrong clock on the machine can neither expire nor keep anything; and purging the store's files.

use std::time::Duration;

use crate::{
    base::environment::Environment,
    committer::{CommitQueue, op::Op},
    log::{Log, keys::meta},
    store::StoreError,
};

/// Devices looked at before the others get their turn again.
const STEP: usize = 256;

/// A commit is over after this time.
const LONGEST_COMMIT: Duration = Duration::from_secs(60);

/// How long a device may be silent before it is forgotten.
#[derive(Clone, Copy)]
pub struct Silence {
    pub usual: Duration,
    /// Of one that has said that it will not come back.
    pub ephemeral: Duration,
}

/// How long it takes until the store is to be purged, `after` the first body went that it still holds.
pub async fn time_to_purge(log: &Log, environment: &dyn Environment, after: Duration) -> Result<Duration, StoreError> {
    let since_ms = log.meta(meta::OLD_BODIES).await?;
    if since_ms == 0 {
        return Ok(after);
    }
    let due_ms = since_ms.saturating_add(after.as_millis() as u64);
    Ok(Duration::from_millis(due_ms.saturating_sub(environment.unix_ms())))
}

/// Takes everything that was overwritten out of the store's files.
///
/// # Errors
/// As [`crate::store::Engine::purge`].
pub async fn purge(log: &Log, queue: &CommitQueue, environment: &dyn Environment) -> Result<(), StoreError> {
    // A commit may be under way that is older than its end.
    let began_ms = environment.unix_ms().saturating_sub(LONGEST_COMMIT.as_millis() as u64);
    let purging = log.clone();
    let purged = tokio::task::spawn_blocking(move || purging.engine().purge()).await;
    purged.unwrap_or_else(|_| Err(StoreError::Failed("the purge ended in a panic".into())))?;
    tracing::info!("the store's files hold nothing any more that was taken back before");
    queue.put(Op::Purged { began_ms });
    Ok(())
}

/// Has those devices forgotten that have been silent for too long.
pub async fn forget_silent_devices(log: &Log, queue: &CommitQueue, silence: Silence) -> Result<(), StoreError> {
    let hours = log.meta(meta::HOURS).await?;
    let mut after = None;
    loop {
        let devices = log.all_devices(after, STEP).await?;
        let Some((user, device, _)) = devices.last() else { return Ok(()) };
        after = Some((*user, *device));
        for (user, device, record) in devices {
            let kept = match record.ephemeral {
                true => silence.ephemeral,
                false => silence.usual,
            };
            if record.last_seen_hour + kept.as_secs().div_ceil(3600) <= hours {
                queue.put(Op::Forget { user, device, last_seen_hour: record.last_seen_hour });
            }
        }
        tokio::task::yield_now().await;
    }
}
