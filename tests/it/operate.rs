//! What an operator does: users, tokens, backups, configurations; on a running server and on a stopped one's data.

use std::{
    io::{Read, Write},
    net::TcpListener,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    process::Output,
};

use hongyan_proto::{CloseCode, frame::Frame, wire};
use serde_json::Value;

use crate::{
    server::{DEADLINE, TestServer, eventually, program},
    wire::{WireClient, hello, hello_with_password, resume},
};

/// Nobody is waited for when the server stops.
const NO_DRAIN: &str = "[drain]\ndeadline = \"0ms\"\nspread = \"0ms\"\n";

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs a command that must succeed; its stdout.
fn done(server: &TestServer, args: &[&str], input: &str) -> String {
    let output = server.command_with_input(args, input);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    stdout(&output)
}

/// Runs a command that must fail with exit code 1; its stderr.
fn failed(server: &TestServer, args: &[&str]) -> String {
    let output = server.command(args);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {}", stderr(&output));
    assert_eq!(stdout(&output), "", "{args:?}");
    stderr(&output)
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

fn users(server: &TestServer) -> Vec<Value> {
    let text = done(server, &["user", "list", "--json"], "");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

// ---------------------------------------------------------------- users

#[test]
fn users_are_managed_on_a_running_server_and_on_its_data() {
    let mut server = TestServer::start();
    for is_running in [true, false] {
        let uid = if is_running { "alice" } else { "bob" };
        if !is_running {
            assert!(server.terminate().success());
        }
        done(&server, &["user", "add", uid, "--password-stdin"], "first password\n");
        let message = failed(&server, &["user", "add", uid]);
        assert!(message.contains(uid), "{message}");
        done(&server, &["user", "passwd", uid, "--password-stdin"], "second password\n");
        let message = failed(&server, &["user", "disable", "nobody"]);
        assert!(message.contains("nobody"), "{message}");
        done(&server, &["user", "disable", uid], "");
        let listed = users(&server);
        let user = listed.iter().find(|user| user["uid"] == uid).unwrap();
        assert_eq!((&user["disabled"], &user["has_password"]), (&Value::Bool(true), &Value::Bool(true)));
        done(&server, &["user", "enable", uid], "");
        let token = done(&server, &["token", uid, "--ttl", "10m", "--device", "phone"], "");
        assert_eq!(token.lines().count(), 1, "the token alone");
        if !is_running {
            server.restart();
        }
        WireClient::login(&server, hello_with_password(uid, "desk", "second password"));
        let (client, _) = WireClient::login(&server, hello(uid, "phone", token.trim_end()));
        let online = &users(&server).into_iter().find(|user| user["uid"] == uid).unwrap()["devices_online"];
        assert!(online.as_u64().unwrap() >= 1);
        drop(client);
    }
    let mut client = WireClient::open(server.address());
    client.send(Frame::Hello(hello_with_password("alice", "desk", "first password")));
    client.expect_reject(CloseCode::BAD_CREDENTIALS);
}

#[test]
fn what_is_secret_is_for_the_owner_alone() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    let data_text = data.to_str().unwrap();
    // The first command of all makes the directory.
    assert!(program(["token", "alice", "--data", data_text], "").status.success());
    assert_eq!((mode(&data), mode(&data.join("signing-key"))), (0o700, 0o600));
    let server = TestServer::start();
    assert_eq!(mode(&server.data().join("admin.sock")), 0o600);
    assert_eq!(mode(&server.data().join("signing-key")), 0o600);
    let backup = parent.path().join("backup");
    done(&server, &["store", "backup", backup.to_str().unwrap()], "");
    assert_eq!(mode(&backup), 0o600);
    // A restored directory is as closed as one that was made by serving.
    let fresh = parent.path().join("fresh");
    let args = ["store", "import", backup.to_str().unwrap(), "--data", fresh.to_str().unwrap()];
    let output = program(args, "");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(mode(&fresh), 0o700);
}

#[test]
fn a_request_without_end_is_answered_when_it_is_too_long() {
    let server = TestServer::start();
    let mut socket = UnixStream::connect(server.data().join("admin.sock")).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.write_all(&[b' '; 64 * 1024]).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("this is no request"), "{answer}");
}

// ---------------------------------------------------------------- the store

#[test]
fn a_backup_is_taken_while_running_and_restored_under_a_new_epoch() {
    let mut server = TestServer::with(NO_DRAIN);
    let (mut alice, first) = WireClient::login_as(&server, "alice", "phone");
    server.token("bob");
    for send_no in 1..=3 {
        alice.send_message(send_no, "bob", b"before the backup");
        alice.expect_send_ack(send_no);
    }
    let files = tempfile::tempdir().unwrap();
    let backup = files.path().join("backup");
    let backup = backup.to_str().unwrap();
    assert!(done(&server, &["store", "backup", backup], "").contains("rows"));
    alice.send_message(4, "bob", b"after it");
    alice.expect_send_ack(4);
    let message = failed(&server, &["store", "verify"]);
    assert!(message.contains("another process"), "{message}");
    assert!(server.terminate().success());
    assert!(done(&server, &["store", "verify"], "").ends_with("ok\n"));
    assert!(failed(&server, &["store", "import", backup]).contains("exists"));

    let fresh = tempfile::Builder::new().prefix("hy").tempdir().unwrap();
    let output = program(["store", "import", backup, "--data", fresh.path().to_str().unwrap()], "");
    assert!(output.status.success(), "{}", stderr(&output));
    let key = "signing-key";
    std::fs::copy(server.data().join(key), fresh.path().join(key)).unwrap();
    let mut server = TestServer::on(fresh, NO_DRAIN);
    let token = server.token("alice");
    let mut client = WireClient::open(server.address());
    client.send(resume(&first.resume_token, 4));
    client.expect_reject(CloseCode::RESUME_REFUSED);
    let old_place = wire::Hello {
        cursor: Some(4),
        log_epoch: first.log_epoch,
        last_send_no: 4,
        answered_send_no: 4,
        ..hello("alice", "phone", &token)
    };
    client.send(Frame::Hello(old_place));
    let welcome = client.expect_welcome();
    assert_ne!(welcome.log_epoch, first.log_epoch);
    assert_eq!(welcome.head, 3);
    match client.expect() {
        Frame::SyncReset(reset) => assert_eq!((reset.log_epoch, reset.head), (welcome.log_epoch, 3)),
        other => panic!("{other:?}"),
    }
    let (mut bob, _) = WireClient::login_as(&server, "bob", "phone");
    (1..=3).for_each(|useq| assert_eq!(&bob.expect_message(useq).content[..], b"before the backup"));
    client.send_message(5, "bob", b"and on");
    client.expect_send_ack(5);
    assert_eq!(&bob.expect_message(4).content[..], b"and on");
    assert!(server.terminate().success());
    assert!(done(&server, &["store", "verify"], "").ends_with("ok\n"));
}

#[test]
fn a_truncated_or_altered_backup_is_refused_and_leaves_no_store() {
    let mut server = TestServer::with(NO_DRAIN);
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    alice.send_message(1, "alice", b"a note");
    alice.expect_send_ack(1);
    assert!(server.terminate().success());
    let files = tempfile::tempdir().unwrap();
    let whole = files.path().join("whole");
    done(&server, &["store", "export", whole.to_str().unwrap()], "");
    let bytes = std::fs::read(&whole).unwrap();
    let mut altered = bytes.clone();
    altered[bytes.len() / 2] ^= 1;
    for bad in [&bytes[..bytes.len() - 1], &bytes[..bytes.len() / 2], &altered, b""] {
        let file = files.path().join("bad");
        std::fs::write(&file, bad).unwrap();
        let fresh = files.path().join("fresh");
        let args = ["store", "import", file.to_str().unwrap(), "--data", fresh.to_str().unwrap()];
        let output = program(args, "");
        assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
        assert!(!fresh.join("store").exists());
    }
}

#[test]
fn verify_finds_what_does_not_agree() {
    use hongyan::store::{
        Batch, Durability, Engine, Scan, Table,
        fjall::{FjallEngine, FjallOptions},
    };

    let mut server = TestServer::with(NO_DRAIN);
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    alice.send_message(1, "alice", b"a note");
    alice.expect_send_ack(1);
    assert!(server.terminate().success());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let engine = FjallEngine::open(server.data().join("store"), FjallOptions::default()).unwrap();
        let from = bytes::Bytes::new();
        let to = bytes::Bytes::from_static(&[0xFF; 32]);
        let scan = Scan { table: Table::Messages, from, to, limit: 1, descending: false };
        let (key, _) = engine.scan(scan).await.unwrap().pop().expect("there is a message");
        let mut batch = Batch::default();
        batch.remove(Table::Messages, key);
        engine.commit(batch, Durability::Synced).await.unwrap();
    });
    let output = server.command(&["store", "verify"]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stderr(&output).contains("wrong"), "{}", stderr(&output));
    assert!(stdout(&output).lines().count() > 1, "each problem has its line");
}

// ---------------------------------------------------------------- configuration

#[test]
fn configurations_are_checked_and_printed() {
    let files = tempfile::tempdir().unwrap();
    let config = files.path().join("hongyan.toml");
    let path = config.to_str().unwrap();
    let defaults = program(["print-config", "--defaults"], "");
    assert!(defaults.status.success());
    std::fs::write(&config, &defaults.stdout).unwrap();
    let checked = program(["check-config", "--config", path], "");
    assert!(checked.status.success(), "{}", stderr(&checked));
    assert_eq!(stdout(&checked), "ok\n");
    let printed = program(["print-config", "--config", path], "");
    assert_eq!(printed.stdout, defaults.stdout, "the defaults mean themselves");

    std::fs::write(&config, "[limits]\nmax_frame = 1\nmax_fram = \"64KiB\"\n").unwrap();
    for verb in ["check-config", "serve", "print-config"] {
        let output = program([verb, "--config", path], "");
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{verb}");
        let message = stderr(&output);
        assert!(message.contains("limits.max_frame") && message.contains("max_fram "), "both at once: {message}");
    }
    for wrong in [&["serve", "--nonsense"][..], &["nonsense"], &["user"], &["token"], &["store", "export"]] {
        assert_eq!(program(wrong, "").status.code(), Some(2), "{wrong:?}");
    }
    assert_eq!(program(["--help"], "").status.code(), Some(0));
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let server = TestServer::start();
    let data = server.data().to_str().unwrap();
    let any = "127.0.0.1:0";
    let locked = program(["serve", "--data", data, "--listen", any, "--http", any], "");
    assert_eq!((locked.status.code(), stdout(&locked).as_str()), (Some(1), ""));
    assert!(stderr(&locked).contains("another process"), "{}", stderr(&locked));
    server.assert_healthy();
    // Its admin socket was not taken over.
    server.token("alice");

    let taken = TcpListener::bind(any).unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let other = tempfile::tempdir().unwrap();
    let data = other.path().to_str().unwrap();
    for (key, listen, http) in [("listen", taken.as_str(), any), ("http", any, taken.as_str())] {
        let output = program(["serve", "--data", data, "--listen", listen, "--http", http], "");
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""));
        let message = stderr(&output);
        assert!(message.contains(&taken) && message.contains(key), "{message}");
    }
}

#[test]
fn health_readiness_and_counters_are_served() {
    let server = TestServer::start();
    assert_eq!(server.get("/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(server.get("/readyz").0, 200);
    assert_eq!(server.get("/nothing").0, 404);
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    alice.send_message(1, "alice", b"the body of a message");
    alice.expect_send_ack(1);
    assert_eq!((server.metric("hongyan_sessions"), server.metric("hongyan_messages_received_total")), (1, 1));
    let (_, metrics) = server.get("/metrics");
    assert!(metrics.ends_with("# EOF\n"));
    assert!(!metrics.contains("body of a message") && !server.stderr().contains("body of a message"));
}

// ---------------------------------------------------------------- what was taken back

/// Whether a file of the server's data holds `text`.
fn is_on_disk(directory: &Path, text: &[u8]) -> bool {
    std::fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => is_on_disk(&path, text),
            // What is no longer there when it is read holds nothing.
            false => std::fs::read(&path).is_ok_and(|bytes| memchr::memmem::find(&bytes, text).is_some()),
        }
    })
}

#[test]
fn what_was_taken_back_or_edited_leaves_the_disk() {
    use wire::act::What;
    for purge in ["at once", "while stopped", "by itself"] {
        let after = if purge == "by itself" { "1s" } else { "30d" };
        let mut server = TestServer::with(&format!("{NO_DRAIN}[store]\npurge_after = \"{after}\"\n"));
        let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
        server.token("bob");
        let [recalled, edited, kept] = ["recalled", "edited", "kept"].map(|name| format!("{name} qzjx-vkwq-{purge}"));
        for (send_no, text) in (1..).zip([&recalled, &edited, &kept]) {
            alice.post(send_no, "bob", text.as_bytes());
        }
        assert!(is_on_disk(server.data(), recalled.as_bytes()));
        alice.act(4, "bob", What::Recall(wire::Recall { cseq: 1, ..Default::default() })).unwrap();
        let edit = wire::Edit { cseq: 2, content: "better".into(), ..Default::default() };
        alice.act(5, "bob", What::Edit(edit)).unwrap();
        let is_gone = || [&recalled, &edited].iter().all(|text| !is_on_disk(server.data(), text.as_bytes()));
        match purge {
            "by itself" => eventually("the bodies have left the disk", || is_gone().then_some(())),
            "at once" => {
                assert!(!is_gone(), "the store's journal still has them");
                done(&server, &["store", "compact"], "");
                assert!(is_gone());
            }
            _ => {
                assert!(server.terminate().success());
                done(&server, &["store", "compact"], "");
                let is_gone = || [&recalled, &edited].iter().all(|text| !is_on_disk(server.data(), text.as_bytes()));
                assert!(is_gone());
                assert!(done(&server, &["store", "verify"], "").ends_with("ok\n"));
                server.restart();
            }
        }
        assert!(is_on_disk(server.data(), kept.as_bytes()));
        let (mut alice, _) = WireClient::login_as(&server, "alice", "tablet");
        assert_eq!(alice.post(1, "bob", b"still here"), 6);
    }
}
