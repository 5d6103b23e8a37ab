//! Rules between settings. What a single value may be is its kind's business ([`super::kind`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use super::{
    problem::Problem,
    proxies::ToldBy,
    sections::Config,
    units::{write_duration, write_size},
};

/// What a configuration is loaded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To listen: everything must hold.
    Serve,
    /// To work on the data directory or to be shown. Rules on where to listen are left out, since the flag that
    /// satisfies them belongs to another command line.
    Inspect,
}

/// What the sources gave.
pub(super) struct Given {
    /// Key to where its value came from; the others have their defaults.
    pub sources: BTreeMap<String, String>,
    /// Keys whose value could not be read. Rules that involve them are left out: they would blame the default.
    pub broken: BTreeSet<String>,
}

const KIB: u64 = 1 << 10;

/// One rule: the settings it is about, the first of which is blamed; whether it is broken; and what to do.
struct Rule<'a> {
    about: &'a [&'a str],
    is_broken: bool,
    value: String,
    message: String,
}

pub(super) fn check(config: &Config, given: &Given, purpose: Purpose) -> Vec<Problem> {
    let mut rules = limits(config);
    rules.extend(times(config));
    rules.extend(tls(config));
    rules.push(proxies(config));
    if purpose == Purpose::Serve {
        rules.extend(listening(config));
    }
    rules
        .into_iter()
        .filter(|rule| rule.is_broken && !rule.about.iter().any(|key| given.broken.contains(*key)))
        .map(|rule| {
            let source = |key: &str| given.sources.get(key).cloned();
            Problem {
                subject: rule.about[0].to_owned(),
                source: source(rule.about[0]).or(Some("default".to_owned())),
                value: Some(rule.value),
                message: rule.message,
            }
        })
        .collect()
}

fn limits(config: &Config) -> Vec<Rule<'static>> {
    let l = &config.limits;
    vec![
        Rule {
            about: &["limits.max_content", "limits.max_frame"],
            is_broken: l.max_content + KIB > l.max_frame,
            value: write_size(l.max_content),
            message: format!("must be at least 1KiB below limits.max_frame, which is {}", write_size(l.max_frame)),
        },
        Rule {
            about: &["limits.max_unauthenticated", "limits.max_connections"],
            is_broken: l.max_unauthenticated > l.max_connections,
            value: l.max_unauthenticated.to_string(),
            message: format!("must be at most limits.max_connections, which is {}", l.max_connections),
        },
        Rule {
            about: &["limits.max_unauthenticated_per_ip", "limits.max_unauthenticated"],
            is_broken: l.max_unauthenticated_per_ip > l.max_unauthenticated,
            value: l.max_unauthenticated_per_ip.to_string(),
            message: format!("must be at most limits.max_unauthenticated, which is {}", l.max_unauthenticated),
        },
        Rule {
            about: &["limits.channels_per_user", "limits.devices_per_user"],
            is_broken: l.channels_per_user > l.devices_per_user,
            value: l.channels_per_user.to_string(),
            message: format!("must be at most limits.devices_per_user, which is {}", l.devices_per_user),
        },
    ]
}

fn times(config: &Config) -> Vec<Rule<'static>> {
    let (heartbeat, delivery, drain) = (&config.heartbeat, &config.delivery, &config.drain);
    vec![
        Rule {
            about: &["heartbeat.interval", "heartbeat.min", "heartbeat.max"],
            is_broken: !(heartbeat.min..=heartbeat.max).contains(&heartbeat.interval),
            value: write_duration(heartbeat.interval),
            message: format!(
                "must be from heartbeat.min to heartbeat.max, which are {} and {}",
                write_duration(heartbeat.min),
                write_duration(heartbeat.max)
            ),
        },
        Rule {
            about: &["delivery.lagging_timeout", "delivery.ack_timeout"],
            is_broken: delivery.lagging_timeout <= delivery.ack_timeout,
            value: write_duration(delivery.lagging_timeout),
            message: format!(
                "must be longer than delivery.ack_timeout, which is {}",
                write_duration(delivery.ack_timeout)
            ),
        },
        Rule {
            about: &["drain.spread", "drain.deadline"],
            is_broken: drain.spread > drain.deadline,
            value: write_duration(drain.spread),
            message: format!("must be at most drain.deadline, which is {}", write_duration(drain.deadline)),
        },
    ]
}

fn tls(config: &Config) -> Option<Rule<'static>> {
    let (about, present, missing): (&[&str], _, _) = match (&config.tls.cert, &config.tls.key) {
        (Some(cert), None) => (&["tls.cert", "tls.key"], cert, "tls.key"),
        (None, Some(key)) => (&["tls.key", "tls.cert"], key, "tls.cert"),
        _ => return None,
    };
    Some(Rule {
        about,
        is_broken: true,
        value: super::kind::quoted(&present.display().to_string()),
        message: format!("needs {missing} too; give both for TLS, or neither"),
    })
}

fn proxies(config: &Config) -> Rule<'static> {
    Rule {
        about: &["proxies.native", "proxies.trusted"],
        is_broken: config.proxies.native == ToldBy::ProxyHeader && config.proxies.trusted.is_empty(),
        value: "\"proxy-header\"".to_owned(),
        message: "needs proxies.trusted, the addresses of the proxies: headers of others are not read".to_owned(),
    }
}

fn listening(config: &Config) -> Vec<Rule<'static>> {
    let is_plain = config.tls.cert.is_none() && config.tls.key.is_none() && !config.tls.allow_plaintext_off_loopback;
    let exposed = |about, addresses: &[SocketAddr]| {
        let address = addresses.iter().find(|address| !address.ip().to_canonical().is_loopback());
        Rule {
            about,
            is_broken: address.is_some() && is_plain,
            value: address.map_or(String::new(), |address| format!("\"{address}\"")),
            message: "is not a loopback address, and without TLS everyone on the path could read and alter passwords, \
                      tokens and messages. Set tls.cert and tls.key; or listen on 127.0.0.1; or, if that is what you \
                      want, pass --insecure-plaintext (tls.allow_plaintext_off_loopback = true)"
                .to_owned(),
        }
    };
    let http = config.http.as_deref().unwrap_or_default();
    let twice = http.iter().find(|address| address.port() != 0 && config.listen.contains(address));
    vec![
        exposed(&["listen", "tls.cert", "tls.key", "tls.allow_plaintext_off_loopback"], &config.listen),
        exposed(&["http", "tls.cert", "tls.key", "tls.allow_plaintext_off_loopback"], http),
        Rule {
            about: &["http", "listen"],
            is_broken: twice.is_some(),
            value: twice.map_or(String::new(), |address| format!("\"{address}\"")),
            message: "must differ from listen; choose another port, or \"off\"".to_owned(),
        },
    ]
}
