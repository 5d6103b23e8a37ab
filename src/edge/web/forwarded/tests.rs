use proptest::prelude::*;

use super::*;
use crate::config;

/// Proxies at 10.0.0.0/8 and ::1.
fn proxies(told_by: ToldBy) -> Proxies {
    let trusted = ["10.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap()).to_vec();
    Proxies::new(&config::Proxies { trusted, ..Default::default() }, told_by)
}

/// Who asks with these fields over a connection from `connected`.
fn asked(connected: &str, told_by: ToldBy, fields: &[(&'static str, &str)]) -> (String, Option<bool>) {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
    let Visitor { address, is_tls } = visitor(&headers, connected.parse().unwrap(), &proxies(told_by));
    (address.to_string(), is_tls)
}

#[test]
fn a_list_is_read_from_the_right_over_trusted_proxies() {
    let by_list = |fields: &[&str]| {
        let fields: Vec<_> = fields.iter().map(|field| ("x-forwarded-for", *field)).collect();
        asked("10.0.0.1", ToldBy::XForwardedFor, &fields).0
    };
    assert_eq!(by_list(&[]), "10.0.0.1");
    assert_eq!(by_list(&["192.0.2.7"]), "192.0.2.7");
    assert_eq!(by_list(&["198.51.100.1, 192.0.2.7"]), "192.0.2.7", "what stands left of the person is theirs");
    assert_eq!(by_list(&["198.51.100.1, 192.0.2.7, 10.9.9.9"]), "192.0.2.7", "two proxies");
    assert_eq!(by_list(&["192.0.2.7", "10.9.9.9, ::1"]), "192.0.2.7", "two fields");
    assert_eq!(by_list(&["10.0.0.3, 10.0.0.2"]), "10.0.0.3", "a person among the proxies");
    assert_eq!(by_list(&["192.0.2.7:4711"]), "192.0.2.7");
    assert_eq!(by_list(&["[2001:db8::7]:4711"]), "2001:db8::7");
    assert_eq!(by_list(&["::ffff:192.0.2.7"]), "192.0.2.7");
    for garbage in ["", ",", "unknown", "192.0.2.7, ", "192.0.2.7, nobody", "192.0.2.7,\u{a0}"] {
        assert_eq!(by_list(&[garbage]), "10.0.0.1", "{garbage:?}: what cannot be read ends it");
    }
}

#[test]
fn forwarded_names_a_person_and_how_they_speak() {
    let by_field = |field| asked("::1", ToldBy::Forwarded, &[("forwarded", field)]);
    let person = |address: &str, is_tls| (address.to_owned(), is_tls);
    assert_eq!(by_field("for=192.0.2.7;proto=https;by=10.0.0.1"), person("192.0.2.7", Some(true)));
    assert_eq!(by_field("Proto=HTTP; For=\"[2001:db8::7]:4711\""), person("2001:db8::7", Some(false)));
    assert_eq!(by_field("for=198.51.100.1, for=192.0.2.7, for=10.0.0.2;proto=http"), person("192.0.2.7", None));
    assert_eq!(by_field("for=192.0.2.7;host=\"a, for=198.51.100.1; \\\" b\""), person("192.0.2.7", None));
    assert_eq!(by_field("for=192.0.2.7, for=unknown;proto=https"), person("::1", None));
    assert_eq!(by_field("for=192.0.2.7, for=_hidden"), person("::1", None));
    assert_eq!(by_field("for=\"192.0.2.7"), person("192.0.2.7", None));
}

#[test]
fn only_the_field_that_the_proxies_write_counts_and_only_from_them() {
    let both =
        [("forwarded", "for=192.0.2.1;proto=https"), ("x-forwarded-for", "192.0.2.2"), ("x-forwarded-proto", "http")];
    let person = |address: &str, is_tls| (address.to_owned(), is_tls);
    assert_eq!(asked("10.0.0.1", ToldBy::Forwarded, &both), person("192.0.2.1", Some(true)));
    assert_eq!(asked("10.0.0.1", ToldBy::XForwardedFor, &both), person("192.0.2.2", Some(false)));
    for told_by in [ToldBy::Nothing, ToldBy::ProxyHeader] {
        assert_eq!(asked("10.0.0.1", told_by, &both), person("10.0.0.1", None));
    }
    for told_by in [ToldBy::Forwarded, ToldBy::XForwardedFor] {
        assert_eq!(asked("198.51.100.1", told_by, &both), person("198.51.100.1", None), "a stranger's own words");
    }
}

proptest! {
    #[test]
    fn nothing_panics(field in "[ -~]{0,80}|(for=|;|,|\"|\\\\|\\[|:|1)*") {
        asked("10.0.0.1", ToldBy::Forwarded, &[("forwarded", &field)]);
        asked("10.0.0.1", ToldBy::XForwardedFor, &[("x-forwarded-for", &field)]);
    }
}
