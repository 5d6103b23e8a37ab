//! The real program against the real server, with tiny numbers. It is skipped where the server's program has not been built
//! into the same target directory (`cargo test --workspace` builds it).
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

const BENCH: &str = env!("CARGO_BIN_EXE_hongyan-bench");

/// A server on a free port, with the limits of bench/README.md.
struct Server {
    folder: TempDir,
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// None: there is no program to start.
    fn start() -> Option<Self> {
        let program = Path::new(BENCH).with_file_name("hongyan");
        if !program.exists() {
            eprintln!("skipped: {} has not been built", program.display());
            return None;
        }
        let folder = tempfile::Builder::new().prefix("hyb").tempdir().unwrap();
        let config = folder.path().join("bench.toml");
        fs::write(folder.path().join("bench.secret"), "0123456789abcdef".repeat(4) + "\n").unwrap();
        fs::write(&config, configuration(folder.path())).unwrap();
        let mut child = Command::new(program)
            .arg("--config")
            .arg(&config)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let address = ready.split_whitespace().find_map(|word| word.strip_prefix("native="));
        let address = address.unwrap_or_else(|| panic!("the server said {ready:?}")).to_owned();
        Some(Self { folder, child, address })
    }

    fn secret(&self) -> PathBuf {
        self.folder.path().join("bench.secret")
    }

    fn bench(&self, words: &[&str]) -> Output {
        let mut command = Command::new(BENCH);
        command.args(words).args(["--server", &self.address]).arg("--secret-file").arg(self.secret());
        command.output().unwrap()
    }

    /// Runs a scenario, which must be clean, and returns its findings.
    fn measure(&self, words: &[&str]) -> Value {
        let output = self.bench(&[words, &["--json"]].concat());
        let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{words:?}: {stdout}{stderr}");
        let found: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(found["clean"], true, "{words:?}: {stdout}");
        found
    }
}

fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "listen = \"127.0.0.1:0\"\nhttp = \"off\"\ndata = \"{folder}/data\"\n\
         [auth]\nkeys = [{{ kid = \"bench\", alg = \"HS256\", secret_file = \"{folder}/bench.secret\" }}]\n"
    )
}

#[test]
fn every_scenario_runs_clean() {
    let Some(server) = Server::start() else { return };
    let found = server.measure(&["pairs", "--pairs", "2", "--window", "4", "--seconds", "0.3", "--warmup", "0.05"]);
    assert!(found["received"].as_u64().unwrap() > 0, "{found}");
    assert_eq!(found["received"], found["sent"]);
    assert!(found["server_rss_bytes"].as_f64().unwrap() > 0.0, "the server is found by its port: {found}");
    let found = server.measure(&["paced", "--pairs", "2", "--rate", "50", "--seconds", "0.4", "--warmup", "0.1"]);
    assert_eq!(found["sent"], 25);
    assert!(found["delivery_p50_us"].as_f64().unwrap() > 0.0, "{found}");
    let found = server.measure(&["idle", "--connections", "5", "--seconds", "0.2"]);
    assert_eq!(found["connections_at_end"], 5);
    let found = server.measure(&["fan-out", "--receivers", "3", "--rate", "10", "--seconds", "0.2"]);
    assert_eq!(found["received"], 6);
    let found = server.measure(&["group", "--members", "4", "--rate", "10", "--seconds", "0.2"]);
    assert_eq!(found["received"], 6, "two messages to three others: {found}");
    let found = server.measure(&["offline", "--messages", "200"]);
    assert_eq!(found["received"], 200);
    assert!(found["all_acked_ms"].as_f64().unwrap() >= found["all_received_ms"].as_f64().unwrap(), "{found}");
    let found =
        server.measure(&["resume-storm", "--connections", "5", "--pairs", "1", "--rate", "20", "--at-once", "3"]);
    assert!(found["back_p50_us"].as_f64().unwrap() > 0.0, "{found}");
}

#[test]
fn a_refused_login_says_why() {
    let Some(server) = Server::start() else { return };
    let output = server.bench(&["offline", "--kid", "other"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("BAD_CREDENTIALS") && stderr.contains("--kid"), "{stderr}");
}

#[test]
fn a_refused_message_makes_the_run_fail() {
    let Some(server) = Server::start() else { return };
    // Above the default of limits.max_content.
    let words = ["pairs", "--pairs", "1", "--seconds", "1", "--content-bytes", "40000", "--json"];
    let output = server.bench(&words);
    assert_eq!(output.status.code(), Some(3));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["clean"], false);
    assert!(found["first_failure"].as_str().unwrap().contains("--content-bytes"), "{found}");
}
