//! What has to happen now and then: counting the hours that the server runs, and forgetting devices by that count, so that
//! a wrong clock on the machine can neither expire nor keep anything; and purging the store's files.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    config::Retention,
    session::{Service, Silence},
};

const HOUR: Duration = Duration::from_secs(3600);
/// After a purge the store is looked at again so soon, and not sooner.
const SHORTLY: Duration = Duration::from_secs(1);

/// Runs until `stop`.
pub async fn run(service: Arc<Service>, retention: Retention, stop: CancellationToken) {
    let silence = Silence { usual: retention.devices_forgotten_after, ephemeral: retention.ephemeral_forgotten_after };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(HOUR) => {}
        }
        service.count_hour();
        if let Err(error) = service.forget_silent_devices(silence).await {
            tracing::warn!(%error, "silent devices could not be looked for");
        }
    }
}

/// Tells followers who has come and gone, until `stop`.
pub async fn tell_presence(service: Arc<Service>, stop: CancellationToken) {
    loop {
        let next = async {
            service.until_presence_turns().await;
            tokio::time::sleep(Service::PRESENCE_TICK).await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = next => {}
        }
        if let Err(error) = service.tell_presence().await {
            tracing::warn!(%error, "who came and went could not be told");
        }
    }
}

/// Takes bodies that are gone out of the store's files, `after` they went, until `stop`.
pub async fn purge_when_due(service: Arc<Service>, after: Duration, stop: CancellationToken) {
    loop {
        let wait = match service.time_to_purge(after).await {
            Ok(wait) if wait.is_zero() => match service.purge().await {
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
