//! What the web's ways in share: the handlers find it as their state. What stands under which path is in `routes`.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    base::alarms::Alarms,
    config::Web,
    edge::port::headcount::Headcount,
    session::{Attempt, DeviceLimits, Devices, Service},
};

/// The state of every handler.
pub struct Gateway {
    pub(super) service: Arc<Service>,
    pub(super) config: Web,
    pub(super) devices: Devices,
    pub(super) alarms: Arc<Alarms>,
    pub(super) strangers: Arc<Headcount>,
    /// WebSockets are links like any other.
    pub(super) links: TaskTracker,
}

impl Gateway {
    pub fn new(
        service: Arc<Service>,
        config: Web,
        alarms: Arc<Alarms>,
        strangers: Arc<Headcount>,
        links: TaskTracker,
    ) -> Arc<Self> {
        let limits = DeviceLimits {
            present: config.max_devices as usize,
            requests_per_second: config.requests_per_second as u32,
            requests_burst: config.requests_burst as u32,
        };
        let devices = Devices::new(service.clone(), limits);
        Arc::new(Self { service, config, devices, alarms, strangers, links })
    }

    /// The circumstances of a login that is made now.
    pub fn attempt(&self, address: IpAddr) -> Attempt {
        self.service.attempt(address, self.service.accept())
    }

    /// Forgets devices that have gone, until `stop`.
    pub async fn expire(self: Arc<Self>, stop: CancellationToken) {
        let grace = self.config.poll_grace;
        let mut ticks = tokio::time::interval((grace / 4).min(Duration::from_secs(5)));
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => self.devices.expire(grace),
            }
        }
    }
}
