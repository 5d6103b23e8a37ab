//! The proxies in front: whom to believe what is said about addresses, and how long to wait for it.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use ipnet::IpNet;
use tokio::net::TcpStream;

use super::{headcount::Headcount, proxy_header};
use crate::config::{self, ToldBy};

/// What one port knows about proxies.
#[derive(Clone)]
pub struct Proxies {
    trusted: Arc<[IpNet]>,
    pub told_by: ToldBy,
    /// Those whose header has not come yet.
    pending: Arc<Headcount>,
}

impl Proxies {
    /// Of a port that is told so.
    pub fn new(config: &config::Proxies, told_by: ToldBy) -> Self {
        let max_pending = config.max_pending as usize;
        Self { trusted: config.trusted.as_slice().into(), told_by, pending: Headcount::new(max_pending, max_pending) }
    }

    /// Nobody is in front.
    pub fn none() -> Self {
        Self { trusted: [].into(), told_by: ToldBy::Nothing, pending: Headcount::new(0, 0) }
    }

    /// Whether what comes from there is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// Whether a connection from there has to begin with a header.
    pub fn expects_header(&self, address: IpAddr) -> bool {
        self.told_by == ToldBy::ProxyHeader && self.trusts(address)
    }

    /// Whom the header of a proxy at `address` names; the proxy itself, if it speaks for itself.
    ///
    /// # Errors
    /// There are too many without their header, none came in time, or what came is none.
    pub async fn person(&self, stream: &mut TcpStream, address: IpAddr, timeout: Duration) -> io::Result<IpAddr> {
        let too_many = || io::Error::other("too many others are without their PROXY header (proxies.max_pending)");
        let read = async {
            let _pending = self.pending.admit_proxy().ok_or_else(too_many)?;
            tokio::time::timeout(timeout, proxy_header::read(stream)).await?
        };
        match read.await {
            Ok(person) => Ok(person.unwrap_or(address)),
            Err(error) => {
                tracing::warn!(proxy = %address, %error, "a connection of a trusted proxy is closed");
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trusted_are_the_networks_also_when_ipv4_comes_as_ipv6() {
        let trusted = ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().unwrap()).to_vec();
        let config = config::Proxies { trusted, ..Default::default() };
        let proxies = Proxies::new(&config, ToldBy::ProxyHeader);
        for (address, trusted) in
            [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("11.0.0.1", false), ("2001:db8::1", true), ("::1", false)]
        {
            assert_eq!(proxies.expects_header(address.parse().unwrap()), trusted, "{address}");
        }
    }
}
