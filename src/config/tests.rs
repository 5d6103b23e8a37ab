//! The configuration as a whole: precedence, messages, and printing.

use std::{ffi::OsString, io::Write, time::Duration};

use super::{load::load, *};

/// Inputs from the text of a file, variables and flags; the file lives as long as the first of the two.
fn inputs(
    toml: &str,
    env: &[(&str, &str)],
    flags: &[(&'static str, &'static str, &str)],
) -> (tempfile::TempPath, Inputs) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(toml.as_bytes()).unwrap();
    let path = file.into_temp_path();
    let inputs = Inputs {
        file: Some(path.to_path_buf()),
        env: env.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect(),
        flags: flags.iter().map(|(name, key, value)| Flag { name, key, value: (*value).to_owned() }).collect(),
    };
    (path, inputs)
}

fn read(toml: &str, env: &[(&str, &str)]) -> Result<Config, Problems> {
    let (_file, inputs) = inputs(toml, env, &[]);
    load(&inputs, Purpose::Serve)
}

fn problems(toml: &str, env: &[(&str, &str)]) -> Vec<String> {
    match read(toml, env) {
        Ok(config) => panic!("accepted: {toml} {env:?} {config:?}"),
        Err(problems) => problems.0.iter().map(Problem::to_string).collect(),
    }
}

/// One problem, whose message has all the fragments.
#[track_caller]
fn refused(toml: &str, env: &[(&str, &str)], fragments: &[&str]) {
    let problems = problems(toml, env);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    for fragment in fragments {
        assert!(problems[0].contains(fragment), "{fragment:?} is not in {:?}", problems[0]);
    }
}

#[test]
fn without_sources_there_are_the_defaults() {
    assert_eq!(load(&Inputs::default(), Purpose::Serve), Ok(Config::default()));
    assert_eq!(read("", &[]), Ok(Config::default()));
}

#[test]
fn precedence_rises_from_defaults_through_file_and_variables_to_flags() {
    let file = "listen = \"127.0.0.1:1\"";
    let env = [("HONGYAN_LISTEN", "127.0.0.1:2")];
    let flag = [("--listen", "listen", "127.0.0.1:3")];
    // Which of file, variable and flag are there, and whose port wins.
    let table = [
        (false, false, false, 7600),
        (true, false, false, 1),
        (false, true, false, 2),
        (false, false, true, 3),
        (true, true, false, 2),
        (true, false, true, 3),
        (false, true, true, 3),
        (true, true, true, 3),
    ];
    for (has_file, has_env, has_flag, port) in table {
        let file = if has_file { file } else { "" };
        let (_file, inputs) = inputs(file, if has_env { &env } else { &[] }, if has_flag { &flag } else { &[] });
        let config = load(&inputs, Purpose::Serve).unwrap();
        assert_eq!(config.listen[0].port(), port, "{has_file} {has_env} {has_flag}");
    }
}

#[test]
fn sources_add_up_within_a_section() {
    let config = read(
        "[limits]\nmax_frame = \"128KiB\"\nsend_window = 32\n[heartbeat]\ninterval = \"90s\"",
        &[("HONGYAN_LIMITS__MAX_FRAME", "256KiB"), ("HONGYAN_LIMITS__MAX_CONTENT", "100KiB")],
    )
    .unwrap();
    assert_eq!(
        (config.limits.max_frame, config.limits.max_content, config.limits.send_window),
        (256 << 10, 100 << 10, 32)
    );
    assert_eq!(config.heartbeat.interval, Duration::from_secs(90));
    assert_eq!(config.limits.push_window, Limits::default().push_window);
}

#[test]
fn a_variable_names_the_file_unless_a_flag_does() {
    let (first, mut inputs) = inputs("server_name = \"first\"", &[], &[]);
    let mut second = tempfile::NamedTempFile::new().unwrap();
    second.write_all(b"server_name = \"second\"").unwrap();
    inputs.env = vec![("HONGYAN_CONFIG".into(), second.path().into())];
    assert_eq!(load(&inputs, Purpose::Serve).unwrap().server_name, "first");
    inputs.file = None;
    assert_eq!(load(&inputs, Purpose::Serve).unwrap().server_name, "second");
    inputs.env = vec![("HONGYAN_CONFIG".into(), "".into())];
    assert_eq!(load(&inputs, Purpose::Serve).unwrap().server_name, "hongyan");
    drop(first);
}

#[test]
fn text_in_a_variable_is_not_taken_for_a_number() {
    assert_eq!(read("", &[("HONGYAN_SERVER_NAME", "007")]).unwrap().server_name, "007");
    assert_eq!(read("", &[("HONGYAN_DATA", "true")]).unwrap().data, std::path::PathBuf::from("true"));
}

#[test]
fn variables_of_others_are_left_alone() {
    let env = [
        ("HONGYAN_SERVICE_HOST", "10.0.0.1"),
        ("HONGYAN_PORT_7600_TCP", "tcp://10.0.0.1:7600"),
        ("HONGYAN_CLI_PROFILE", "work"),
        ("PATH", "/bin"),
    ];
    assert_eq!(read("", &env), Ok(Config::default()));
}

#[test]
fn each_kind_of_value_says_what_it_allows() {
    refused("listen = \"localhost\"", &[], &["listen = \"localhost\"", "file ", "must be an IP address and a port"]);
    refused("listen = \"127.0.0.1:1,\"", &[], &["with commas between them"]);
    refused("http = \"on\"", &[], &["http = \"on\"", "or \"off\""]);
    refused("data = \"\"", &[], &["data = \"\"", "must be a path"]);
    refused("server_name = \"a b\"", &[], &["server_name = \"a b\"", "without spaces"]);
    refused(
        "",
        &[("HONGYAN_LIMITS__MAX_FRAME", "2MiB")],
        &["limits.max_frame = \"2MiB\"", "(variable HONGYAN_LIMITS__MAX_FRAME)", "a size from 16KiB to 1MiB"],
    );
    refused("limits.max_frame = 65536", &[], &["limits.max_frame = 65536", "with its unit"]);
    refused("limits.send_window = 257", &[], &["limits.send_window = 257", "a whole number from 1 to 256"]);
    refused("limits.send_window = -1", &[], &["limits.send_window = -1", "a whole number"]);
    refused("limits.send_window = [1]", &[], &["limits.send_window = an array", "a whole number"]);
    refused("drain.deadline = 10", &[], &["drain.deadline = 10", "a duration from 0ms to 10m", "unit"]);
    refused("auth.accept_unknown_recipients = \"yes\"", &[], &["= \"yes\"", "true or false"]);
    refused("store.sync = \"never\"", &[], &["store.sync = \"never\"", "\"always\" or \"interval\" or \"os\""]);
    refused("store.sync_interval = \"0ms\"", &[], &["store.sync_interval = \"0ms\"", "a duration from 1ms to 10s"]);
    refused("store.sync_interval = \"11s\"", &[], &["store.sync_interval", "to 10s"]);
    refused("log.level = \"inof\"", &[], &["log.level = \"inof\"", "off, error, warn, info, debug, trace"]);
    refused("auth.password_memory = \"8MiB\"", &[], &["auth.password_memory", "from 19MiB"]);
    refused("[retention.timeline_entries]\nx = 1", &[], &["retention.timeline_entries = a table", "from 64"]);
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    refused("lisen = \"x\"", &[], &["lisen (file ", "unknown", "did you mean listen?"]);
    refused("max_frame = \"1KiB\"", &[], &["max_frame", "did you mean limits.max_frame?"]);
    refused("limits.max_frames = 1", &[], &["limits.max_frames", "did you mean limits.max_frame?"]);
    refused("[limit]\nsend_window = 1", &[], &["limit.send_window", "did you mean limits.send_window?"]);
    refused("[drain]\nack_timeout = \"1s\"", &[], &["did you mean delivery.ack_timeout?"]);
    refused("\"limits.max_frame\" = \"1KiB\"", &[], &["unknown", "did you mean limits.max_frame?"]);
    refused("[\"\"]\nlisten = \"127.0.0.1:1\"", &[], &["unknown"]);
    refused("", &[("HONGYAN_LOGLEVEL", "info")], &["variable HONGYAN_LOGLEVEL", "did you mean log.level?"]);
    refused("colour = \"red\"", &[], &["colour", "print-config --defaults"]);
    for name in ["HONGYAN___X", "HONGYAN_LIMITS__", "HONGYAN_LIMITS____MAX_FRAME"] {
        refused("", &[(name, "1")], &[name, "HONGYAN_SECTION__SETTING"]);
    }
}

#[test]
fn a_section_is_no_setting() {
    refused("log = \"debug\"", &[], &["log = \"debug\"", "is a section", "log.level"]);
    refused("", &[("HONGYAN_LIMITS", "5")], &["variable HONGYAN_LIMITS", "limits.max_connections"]);
}

#[test]
fn the_value_of_an_unknown_key_is_not_shown() {
    let all = problems(
        "[auth]\nsecret = \"hush\"\nkeys = [{ kid = \"a\", alg = \"HS256\", secret = \"hush\" }]",
        &[("HONGYAN_TOKEN", "hush"), ("HONGYAN_AUTH__PASSWORD", "hush")],
    );
    assert!(all.len() >= 4, "{all:#?}");
    assert!(all.iter().all(|problem| !problem.contains("hush")), "{all:#?}");
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_the_line() {
    refused("listen = \"127.0.0.1:1\"\nsecret = hush\n", &[], &["line 2 is not valid TOML"]);
    assert!(!problems("secret = hush", &[])[0].contains("hush"));
    let inputs = Inputs { file: Some("/nowhere/hongyan.toml".into()), ..Inputs::default() };
    let Err(Problems(problems)) = load(&inputs, Purpose::Serve) else { panic!("accepted") };
    assert_eq!(problems.len(), 1);
    assert!(problems[0].to_string().starts_with("/nowhere/hongyan.toml: this configuration file cannot be read"));
}

#[test]
fn a_lost_file_does_not_hide_the_rest_nor_blame_it() {
    // The file may have held the certificate, so the open address is not blamed; the bad number is.
    let all = problems("listen = ", &[("HONGYAN_LISTEN", "0.0.0.0:1"), ("HONGYAN_LIMITS__SEND_WINDOW", "0")]);
    assert_eq!(all.len(), 2, "{all:#?}");
    assert!(all[0].contains("not valid TOML") && all[1].contains("limits.send_window"), "{all:#?}");
}

#[cfg(unix)]
#[test]
fn a_variable_must_be_text() {
    use std::os::unix::ffi::OsStringExt;
    let env = vec![("HONGYAN_DATA".into(), OsString::from_vec(vec![0xff]))];
    let Err(Problems(problems)) = load(&Inputs { env, ..Inputs::default() }, Purpose::Serve) else {
        panic!("accepted")
    };
    assert_eq!(problems[0].to_string(), "data (variable HONGYAN_DATA): must be UTF-8");
}

#[test]
fn rules_between_settings_blame_the_one_to_change() {
    refused(
        "limits.max_content = \"64KiB\"",
        &[],
        &["limits.max_content = 64KiB (file ", "at least 1KiB below", "64KiB"],
    );
    refused("limits.max_frame = \"32KiB\"", &[], &["limits.max_content = 32KiB (default)", "which is 32KiB"]);
    refused("limits.max_unauthenticated = 10001", &[], &["limits.max_unauthenticated", "which is 10000"]);
    refused("limits.max_unauthenticated_per_ip = 1025", &[], &["max_unauthenticated_per_ip", "which is 1024"]);
    refused("limits.channels_per_user = 65", &[], &["limits.channels_per_user", "which is 64"]);
    refused("heartbeat.interval = \"5s\"", &[], &["heartbeat.interval = 5s", "10s and 10m"]);
    refused("heartbeat.min = \"20m\"", &[], &["heartbeat.interval = 1m (default)", "20m and 10m"]);
    refused("delivery.lagging_timeout = \"3s\"", &[], &["delivery.lagging_timeout = 3s", "longer than"]);
    refused("drain.spread = \"11s\"", &[], &["drain.spread = 11s", "which is 10s"]);
    refused("tls.cert = \"c.pem\"", &[], &["tls.cert = \"c.pem\"", "needs tls.key too"]);
    refused("tls.key = \"k.pem\"", &[], &["tls.key = \"k.pem\"", "needs tls.cert too"]);
    refused("http = \"127.0.0.1:7600\"", &[], &["http = \"127.0.0.1:7600\"", "must differ from listen"]);
    let several = "listen = \"127.0.0.1:1, [::1]:2\"\nhttp = \"127.0.0.1:3,[::1]:2\"";
    refused(several, &[], &["http = \"[::1]:2\"", "must differ from listen"]);
    refused("listen = \"127.0.0.1:1, 0.0.0.0:2\"", &[], &["listen = \"0.0.0.0:2\"", "not a loopback"]);
    assert!(read("listen = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"", &[]).is_ok());
}

#[test]
fn plaintext_off_loopback_must_be_asked_for() {
    for open in ["0.0.0.0:7600", "[::]:7600", "192.0.2.1:7600", "[::ffff:192.0.2.1]:7600"] {
        let listen = format!("listen = \"{open}\"");
        refused(&listen, &[], &["listen = ", open, "tls.cert and tls.key", "--insecure-plaintext"]);
        assert!(read(&format!("{listen}\ntls.allow_plaintext_off_loopback = true"), &[]).is_ok());
        assert!(read(&format!("{listen}\ntls.cert = \"c\"\ntls.key = \"k\""), &[]).is_ok());
        let (_file, inputs) = inputs(&listen, &[], &[]);
        assert!(load(&inputs, Purpose::Inspect).is_ok());
    }
    for closed in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert!(read(&format!("listen = \"{closed}\""), &[]).is_ok(), "{closed}");
    }
}

#[test]
fn all_problems_come_together_and_none_twice() {
    let all = problems(
        "listen = 5\ncolour = 1\n[limits]\nmax_frame = \"1B\"\nmax_content = \"100KiB\"\nsend_window = 0\n[drain]\nspread = \"1m\"",
        &[("HONGYAN_STORE__SYNC", "never"), ("HONGYAN_HTTP", "x")],
    );
    let subjects: Vec<_> = all.iter().map(|p| p.split([' ', ':']).next().unwrap()).collect();
    // limits.max_content is not measured against a max_frame that could not be read.
    assert_eq!(
        subjects,
        ["listen", "http", "limits.max_frame", "limits.send_window", "store.sync", "colour", "drain.spread"]
    );
    let whole = read("listen = 5\ncolour = 1", &[]).unwrap_err().to_string();
    assert!(whole.starts_with("the configuration has 2 problems:\n  listen = 5 (file "), "{whole}");
}

#[test]
fn token_keys_are_read_from_every_source_and_shape() {
    let expected = vec![
        TokenKey { kid: "a".to_owned(), material: KeyMaterial::Hs256 { secret_file: "a.key".into() } },
        TokenKey { kid: "b".to_owned(), material: KeyMaterial::EdDsa { public_key_file: "b.pem".into() } },
    ];
    let inline = r#"[{ kid = "a", alg = "HS256", secret_file = "a.key" }, { kid = "b", alg = "EdDSA", public_key_file = "b.pem" }]"#;
    let tables = "[[auth.keys]]\nkid = \"a\"\nalg = \"HS256\"\nsecret_file = \"a.key\"\n\
                  [[auth.keys]]\nkid = \"b\"\nalg = \"EdDSA\"\npublic_key_file = \"b.pem\"";
    assert_eq!(read(&format!("auth.keys = {inline}"), &[]).unwrap().auth.keys, expected);
    assert_eq!(read(tables, &[]).unwrap().auth.keys, expected);
    assert_eq!(read("", &[("HONGYAN_AUTH__KEYS", inline)]).unwrap().auth.keys, expected);
}

#[test]
fn wrong_token_keys_are_named_by_their_place() {
    let keys = |toml: &str| problems(&format!("auth.keys = {toml}"), &[]);
    assert_eq!(keys("[{}]").len(), 2);
    let all = keys(
        r#"[{ kid = "a", alg = "none", secret_file = "s" }, { kid = "b", alg = "HS256", public_key_file = "p" },
            { kid = "", alg = "EdDSA", public_key_file = "p" }, "x"]"#,
    );
    let subjects: Vec<_> = all.iter().map(|p| p.split([' ', ':']).next().unwrap()).collect();
    assert_eq!(
        subjects,
        [
            "auth.keys[0].alg",
            "auth.keys[1].public_key_file",
            "auth.keys[1].secret_file",
            "auth.keys[2].kid",
            "auth.keys[3]",
        ]
    );
    assert!(all[0].contains("= \"none\"") && all[0].contains("\"HS256\" or \"EdDSA\""), "{}", all[0]);
    let twice =
        keys(r#"[{ kid = "a", alg = "HS256", secret_file = "s" }, { kid = "a", alg = "HS256", secret_file = "t" }]"#);
    assert!(twice[0].starts_with("auth.keys[1].kid = \"a\"") && twice[0].contains("unique"), "{twice:?}");
    refused("auth.keys = 5", &[], &["auth.keys = 5", "an array of tables"]);
}

#[test]
fn what_is_printed_reads_back_the_same() {
    assert_eq!(read(&to_toml(&Config::default()), &[]), Ok(Config::default()));
    let config = read(
        r#"
        listen = "[::1]:7601"
        http = "off"
        data = "/a \"quoted\" \\ path"
        server_name = "gänse"
        [tls]
        cert = "c"
        key = "k"
        allow_plaintext_off_loopback = true
        [limits]
        max_frame = "65537B"
        [delivery]
        receipt_delay = "0ms"
        [auth]
        iss = "issuer"
        keys = [{ kid = "a", alg = "HS256", secret_file = "a" }, { kid = "b", alg = "EdDSA", public_key_file = "b" }]
        [store]
        sync = "interval"
        sync_interval = "250ms"
        [log]
        level = "info,hongyan::log=debug"
        format = "json"
        "#,
        &[],
    )
    .unwrap();
    assert_ne!(config, Config::default());
    assert_eq!(read(&to_toml(&config), &[]), Ok(config));
}

/// Every key, with the line before it.
fn printed_keys(toml: &str) -> Vec<(String, String)> {
    let mut section = String::new();
    let mut keys = Vec::new();
    for (before, line) in toml.lines().zip(toml.lines().skip(1)) {
        if let Some(name) = line.strip_prefix('[') {
            section = format!("{}.", name.trim_end_matches(']'));
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            keys.push((format!("{section}{name}"), before.to_owned()));
        }
    }
    keys
}

#[test]
fn every_field_is_printed_under_a_comment_and_can_be_set() {
    let defaults = to_toml(&Config::default());
    let keys = printed_keys(&defaults);
    // The fields as the derived Debug knows them: it cannot forget one, as a visit might.
    let debug = format!("{:#?}", Config::default());
    let is_field = |line: &&str| line.trim_start().split_once(": ").is_some_and(|(name, _)| !name.contains(['"', '.']));
    let sections = debug.lines().filter(|line| line.ends_with(" {") && line.contains(": ")).count();
    assert_eq!(keys.len(), debug.lines().filter(is_field).count() - sections, "{keys:#?}");
    for (key, before) in &keys {
        assert!(before.starts_with("# Default: "), "{key} is printed under {before:?}");
        // An array is allowed nowhere but for the keys, so that every key is seen to be read.
        let variable = format!("HONGYAN_{}", key.to_uppercase().replace('.', "__"));
        refused("", &[(&variable, "\0 never allowed")], &[key, &variable, "must be"]);
    }
}

#[test]
fn issuer_and_audience_follow_the_name_of_the_server() {
    let config = read("server_name = \"geese\"", &[]).unwrap();
    assert_eq!((config.issuer(), config.audience()), ("geese", "geese"));
    let config = read("server_name = \"geese\"\nauth.iss = \"app\"", &[]).unwrap();
    assert_eq!((config.issuer(), config.audience()), ("app", "geese"));
}
