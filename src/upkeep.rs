//! What has to happen now and then: counting the hours that the server runs, and forgetting devices by that count. A
//! wrong clock on the machine can neither expire nor keep anything.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{committer::op::Op, config::Retention, core::Core, log::keys::meta, presence::TICK, store::StoreError};

const HOUR: Duration = Duration::from_secs(3600);
/// Devices looked at before the others get their turn again.
const STEP: usize = 256;

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
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
        if let Err(error) = core.presence.tick(&core.log, &core.sessions, core.environment.now()).await {
            tracing::warn!(%error, "who came and went could not be told");
        }
    }
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
