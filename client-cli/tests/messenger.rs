//! The commands of the messenger against the real server, as people type them: `messenger.txt` is the script, and what
//! each line prints. Times are printed as `--:--`, links as `LINK`.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod server;

use std::{
    fmt::Write as _,
    process::{Command, Stdio},
};

use tempfile::TempDir;

const SCRIPT: &str = include_str!("messenger.txt");

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
    let server = server::start(&dir.path().join("data"));
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
            .args(["--server", &server.native, "--uid", uid, "--token", &server.tokens[uid], "--timeout", "30"])
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
