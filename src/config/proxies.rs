//! Proxies in front of the server: which are believed, and how each port is told who stands behind them.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    kind::{Count, OneOf, Scalar},
    setting::settings,
};

/// How a proxy says for whom it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldBy {
    /// Not at all: a proxy counts as one person.
    Nothing,
    /// The PROXY protocol, version 1 or 2, before all else on the connection.
    ProxyHeader,
    /// X-Forwarded-For and X-Forwarded-Proto of each request.
    XForwardedFor,
    /// Forwarded of each request (RFC 7239).
    Forwarded,
}

settings! {
    /// Proxies in front. Limits, back-off after failed logins and logs count the people behind them.
    Proxies {
        /// Networks and addresses of the proxies, such as "10.0.0.0/8, ::1", with commas between them. Only these are
        /// believed; what anybody else says about addresses changes nothing. Empty: there are none.
        trusted: Vec<IpNet> = Vec::new(), Networks;
        /// How proxies tell the native port who is behind them. "nothing": not at all. "proxy-header": each connection from
        /// a trusted address begins with a header of the PROXY protocol, version 1 or 2, before TLS; one without is closed.
        native: ToldBy = ToldBy::Nothing,
            OneOf(&[("nothing", ToldBy::Nothing), ("proxy-header", ToldBy::ProxyHeader)]);
        /// The same for HTTP. "x-forwarded-for": by that field of each request, and X-Forwarded-Proto. "forwarded": by
        /// Forwarded (RFC 7239). Name the one that your proxy writes: the other one is the visitor's, and is not read.
        /// "proxy-header": as for the native port. "nothing": not at all.
        http: ToldBy = ToldBy::XForwardedFor, OneOf(&[
            ("x-forwarded-for", ToldBy::XForwardedFor),
            ("forwarded", ToldBy::Forwarded),
            ("proxy-header", ToldBy::ProxyHeader),
            ("nothing", ToldBy::Nothing),
        ]);
        /// Connections of proxies that may be without their header at once, on each port. Beyond it a new one is closed
        /// at once.
        max_pending: u64 = 1024, Count(1..=1_000_000);
    }
}

/// Networks of addresses, with commas between them; an address alone is a network of one.
pub(super) struct Networks;

impl Scalar for Networks {
    type Value = Vec<IpNet>;

    fn allowed(&self) -> String {
        "IP networks or addresses such as 10.0.0.0/8 or ::1, with commas between them".to_owned()
    }

    fn parse(&self, text: &str) -> Option<Vec<IpNet>> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        words.map(|word| word.parse().or_else(|_| word.parse().map(|address: IpAddr| address.into())).ok()).collect()
    }

    fn show(&self, value: &Vec<IpNet>) -> String {
        value.iter().map(IpNet::to_string).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_network_of_one() {
        let shown = |text| Networks.parse(text).map(|networks| Networks.show(&networks));
        assert_eq!(shown(" 10.0.0.0/8, ::1,192.0.2.7 ").as_deref(), Some("10.0.0.0/8, ::1/128, 192.0.2.7/32"));
        assert_eq!(shown("").as_deref(), Some(""));
        for bad in ["10.0.0.0/33", "10.0.0", "proxy.example.com", "::1/129", "10.0.0.0/8 ::1"] {
            assert_eq!(shown(bad), None, "{bad}");
        }
    }
}
