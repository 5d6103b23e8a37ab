//! `compare` against the real server: every way is there, each message arrives on each, and the table is data.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod server;

use std::process::Command;

#[test]
fn each_way_has_its_row() {
    let home = tempfile::tempdir().unwrap();
    let server = server::start(&home.path().join("data"));
    let token = &server.tokens["alice"];
    let pid = std::process::id().to_string();
    let args =
        ["--json", "--server", &server.native, "--uid", "alice", "--token", token, "compare", "--http", &server.http];
    let run = Command::new(env!("CARGO_BIN_EXE_hongyan-cli"))
        .args(args)
        .args(["--rate", "20", "--duration", "1", "--idle", "1", "--pid", &pid])
        .env("HOME", home.path())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let rows: Vec<serde_json::Value> =
        String::from_utf8(run.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ways: Vec<&str> = rows.iter().map(|row| row["way"].as_str().unwrap()).collect();
    let expected =
        ["native TCP", "WebSocket", "WebSocket JSON", "SSE", "NDJSON", "long poll", "short poll 1 s", "short poll 5 s"];
    assert_eq!(ways, expected);
    for row in rows {
        assert_eq!(row["type"], "way");
        assert_eq!(row["messages"], 20, "{row}");
        for name in ["p50_ms", "p99_ms", "bytes_per_message", "server_us_per_message"] {
            assert!(row[name].as_f64().is_some_and(|figure| figure > 0.0), "{name}: {row}");
        }
    }
}
