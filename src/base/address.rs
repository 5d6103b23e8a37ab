//! Which addresses are one person's: what limits and back-off count by.

use std::net::{IpAddr, Ipv4Addr};

/// What counts as one address: an IPv4 address (also when mapped into IPv6), or the /64 that one IPv6 host owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressGroup {
    V4(Ipv4Addr),
    V6([u16; 4]),
}

impl AddressGroup {
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}
