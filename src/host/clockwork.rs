//! What has to happen now and then: counting the hours that the server runs, and forgetting devices by that count, so that
//! a wrong clock on the machine can neither expire nor keep anything; and purging the store's files.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    committer::op::Op,
    config::Retention,
    session::{
        presence::TICK,
        service::Core,
        upkeep::{forget_silent_devices, purge, time_to_purge},
    },
};

const HOUR: Duration = Duration::from_secs(3600);
/// After a purge the store is looked at again so soon, and not sooner.
const SHORTLY: Duration = Duration::from_secs(1);

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
