//! What matters of a connection only until it has logged in.

use std::{net::IpAddr, time::Instant};

use crate::{base::environment::Environment, edge::port::headcount::Admission, session::Attempt};

/// Who has connected and not yet shown who it is.
pub struct Stranger {
    pub address: IpAddr,
    accepted_at: Instant,
    /// Counts against the limits for strangers.
    _admission: Admission,
}

impl Stranger {
    pub fn new(address: IpAddr, accepted_at: Instant, admission: Admission) -> Self {
        Self { address, accepted_at, _admission: admission }
    }

    /// The circumstances of a login that it tries now.
    pub fn attempt(&self, environment: &dyn Environment) -> Attempt {
        Attempt {
            address: self.address,
            now: environment.now(),
            accepted_at: self.accepted_at,
            unix_s: environment.unix_ms() / 1000,
            next_secret: environment.random(),
        }
    }
}
