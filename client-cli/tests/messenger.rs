//! The commands of the messenger against the real server, as people type them: `messenger.txt` is the script, and what
//! each line prints. Times are printed as `--:--`, links as `LINK`.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use hongyan::{
    admin::{self, Request, Response},
    config::{Config, Flag, Inputs, Purpose, load},
    server::Server,
};
use tempfile::TempDir;

const SCRIPT: &str = include_str!("messenger.txt");

/// A server in a thread of this process, on a free port, for as long as the process lives.
fn server(data: &Path) -> (String, BTreeMap<&'static str, String>) {
    let flag = |name, key, value: String| Flag { name, key, value };
    let any = "127.0.0.1:0".to_owned();
    let flags = vec![
        flag("--data", "data", data.display().to_string()),
        flag("--listen", "listen", any),
        flag("--http", "http", "off".into()),
    ];
    let config: Config = load(&Inputs { file: None, env: Vec::new(), flags }, Purpose::Serve).unwrap();
    let (ready, is_ready) = std::sync::mpsc::channel();
    let data = data.to_owned();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::bind(config).await.unwrap();
            let address = server.native_address().unwrap().to_string();
            let tokens = async {
                let mut tokens = BTreeMap::new();
                for uid in ["alice", "bob", "carol"] {
                    let request = Request::MintToken { uid: uid.into(), ttl_s: 3600, device: None };
                    let Some(Response::Token(token)) = admin::ask(&data, &request).await.unwrap() else { panic!() };
                    tokens.insert(uid, token);
                }
                ready.send((address, tokens)).unwrap();
                std::future::pending::<()>().await;
            };
            tokio::join!(server.run(std::future::pending()), tokens);
        });
    });
    is_ready.recv().unwrap()
}

/// Words as a shell has them, as far as the script needs it.
fn words(line: &str) -> Vec<String> {
    let quoted = line.split('\'').enumerate();
    let words = quoted.flat_map(|(index, part)| match index % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

/// What differs from run to run is not compared.
fn bare(text: &str, link: &str) -> String {
    let text = if link.is_empty() { text.to_owned() } else { text.replace(link, "LINK") };
    let bytes: Vec<char> = text.chars().collect();
    let is_time = |at: usize| {
        bytes.get(at..at + 5).is_some_and(|time| {
            time.iter().enumerate().all(|(index, c)| if index == 2 { *c == ':' } else { c.is_ascii_digit() })
        })
    };
    let mut bare = String::new();
    let mut at = 0;
    while at < bytes.len() {
        if is_time(at) {
            bare += "--:--";
            at += 5;
        } else {
            bare.push(bytes[at]);
            at += 1;
        }
    }
    bare
}

#[test]
fn people_do_everything_from_the_command_line() {
    let dir = TempDir::with_prefix("hy").unwrap();
    let (address, tokens) = server(&dir.path().join("data"));
    let (mut link, mut played) = (String::new(), String::new());
    for line in SCRIPT.lines() {
        let Some((uid, command)) = line.split_once("$ ") else {
            if line.starts_with("# ") || line.is_empty() {
                let _ = writeln!(played, "{line}");
            }
            continue;
        };
        let home = dir.path().join(uid);
        std::fs::create_dir_all(&home).unwrap();
        let args = words(command).into_iter().map(|word| if word == "LINK" { link.clone() } else { word });
        let output = Command::new(env!("CARGO_BIN_EXE_hongyan-cli"))
            .args(args)
            .args(["--server", &address, "--uid", uid, "--token", &tokens[uid], "--timeout", "30"])
            .env_clear()
            .env("HOME", &home)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        if command.contains(" --new") {
            link = out.trim().to_owned();
        }
        let _ = writeln!(played, "{line}");
        played += &bare(&out, &link);
        if !output.status.success() {
            let _ = writeln!(played, "! {}", bare(err.lines().last().unwrap_or_default(), &link));
        }
    }
    if played != SCRIPT {
        let file = std::env::temp_dir().join("messenger.txt");
        std::fs::write(&file, &played).unwrap();
        for (played, expected) in played.lines().zip(SCRIPT.lines()) {
            assert_eq!(played, expected, "what was printed stands in {}", file.display());
        }
        panic!("the script goes on otherwise; what was printed stands in {}", file.display());
    }
}
