//! Who is behind a proxy, by the fields of a request: X-Forwarded-For and X-Forwarded-Proto, or Forwarded (RFC 7239).
//!
//! Each proxy adds the address that it was connected from at the right. So the list is read from there, for as long as the
//! address that was told before belongs to a proxy that is trusted; what stands further left anybody may have written.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, header};

use crate::{config::ToldBy, edge::port::proxies::Proxies};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Whose request it is.
#[derive(Debug, PartialEq, Eq)]
pub struct Visitor {
    pub address: IpAddr,
    /// Whether they speak TLS, if a proxy has said so.
    pub is_tls: Option<bool>,
}

/// Whose request came over a connection from `connected`.
pub fn visitor(headers: &HeaderMap, connected: IpAddr, proxies: &Proxies) -> Visitor {
    let mut visitor = Visitor { address: connected, is_tls: None };
    if !proxies.trusts(connected) {
        return visitor;
    }
    match proxies.told_by {
        ToldBy::Nothing | ToldBy::ProxyHeader => {}
        ToldBy::XForwardedFor => {
            let fields = texts(headers, &X_FORWARDED_FOR);
            visitor.follow(fields.iter().flat_map(|field| split(field, ',')).map(Hop::of_address), proxies);
            let fields = texts(headers, &X_FORWARDED_PROTO);
            visitor.is_tls = fields.last().and_then(|field| split(field, ',').pop()).and_then(is_tls);
        }
        ToldBy::Forwarded => {
            let fields = texts(headers, &header::FORWARDED);
            visitor.follow(fields.iter().flat_map(|field| split(field, ',')).map(Hop::of_element), proxies);
        }
    }
    visitor
}

impl Visitor {
    /// From the last hop on, as far as those who told are trusted and what they told is an address.
    fn follow(&mut self, hops: impl DoubleEndedIterator<Item = Hop>, proxies: &Proxies) {
        for hop in hops.rev() {
            let Some(address) = hop.address else { return };
            *self = Self { address, is_tls: hop.is_tls };
            if !proxies.trusts(address) {
                return;
            }
        }
    }
}

/// What one proxy has added.
struct Hop {
    /// None: it did not know, or would not say.
    address: Option<IpAddr>,
    is_tls: Option<bool>,
}

impl Hop {
    fn of_address(text: &str) -> Self {
        Self { address: address(text), is_tls: None }
    }

    fn of_element(text: &str) -> Self {
        let mut hop = Self { address: None, is_tls: None };
        for (name, value) in split(text, ';').into_iter().filter_map(|pair| pair.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim() {
                name if name.eq_ignore_ascii_case("for") => hop.address = address(value),
                name if name.eq_ignore_ascii_case("proto") => hop.is_tls = is_tls(value),
                _ => {}
            }
        }
        hop
    }
}

/// The values of a field, in order; one that is no text says nothing.
fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default()).collect()
}

/// The parts between `separator`s that stand in no quotes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let parts = text.split(|c: char| {
        let separates = c == separator && !is_quoted;
        is_quoted ^= c == '"' && !is_escaped;
        is_escaped = c == '\\' && is_quoted && !is_escaped;
        separates
    });
    parts.map(str::trim).collect()
}

/// An address with or without a port; one of IPv6 with a port stands in brackets, and may without.
fn address(text: &str) -> Option<IpAddr> {
    let alone = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = alone.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address| address.to_canonical())
}

fn is_tls(proto: &str) -> Option<bool> {
    match proto {
        _ if proto.eq_ignore_ascii_case("https") => Some(true),
        _ if proto.eq_ignore_ascii_case("http") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
