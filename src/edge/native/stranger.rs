//! What matters of a connection only until it has logged in.

use std::net::IpAddr;

use crate::{
    edge::port::headcount::Admission,
    ops::id::AcceptNo,
    session::{Attempt, Service},
};

/// Who has connected and not yet shown who it is.
pub struct Stranger {
    pub address: IpAddr,
    accepted: AcceptNo,
    /// Counts against the limits for strangers.
    _admission: Admission,
}

impl Stranger {
    pub fn new(address: IpAddr, accepted: AcceptNo, admission: Admission) -> Self {
        Self { address, accepted, _admission: admission }
    }

    /// The circumstances of a login that it tries now.
    pub fn attempt(&self, service: &Service) -> Attempt {
        service.attempt(self.address, self.accepted)
    }
}
