//! The program itself against a scripted server on a loopback socket: exit codes, what goes to stdout and what to
//! stderr, what is kept on disk. The real server's tests are in the workspace's root package.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    process::{Command, Output, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use hongyan_proto::{
    BytesMut, CloseCode,
    server::{Connection, Event, PushSettings, Settings, encode_item},
    wire::{self, entry::Item, hello::Credential, request::Op, response},
};
use prost::Message as _;

const LIMITS: wire::Limits = wire::Limits {
    max_frame: 65_536,
    max_content: 32_768,
    push_window: 64,
    heartbeat_ms: 60_000,
    heartbeat_min_ms: 1_000,
    heartbeat_max_ms: 300_000,
    sends_per_s: 1_000,
    send_burst: 1_000,
    id: 1,
};

/// Listens for ever; every connection is served by [`serve`] in a thread.
fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Lets everybody in but the token or password `wrong`; takes every message but those to `nobody`; pushes one message
/// with an escape sequence to every reader.
fn serve(mut stream: TcpStream) {
    let push = PushSettings::default();
    let settings = Settings { login_timeout: Duration::from_secs(5), limits: LIMITS, send_window: 4, push };
    let mut connection = Connection::new(Arc::new(settings), Instant::now());
    let mut read = [0; 4096];
    loop {
        let length = match stream.read(&mut read) {
            Ok(length) if length > 0 => length,
            _ => return,
        };
        connection.handle_bytes(BytesMut::from(&read[..length]), Instant::now());
        while let Some(event) = connection.poll_event(Instant::now()) {
            answer(&mut connection, event);
        }
        if stream.write_all(&connection.take_output()).is_err() {
            return;
        }
    }
}

fn answer(connection: &mut Connection, event: Event) {
    let now = Instant::now();
    match event {
        Event::Hello(hello) => log_in(connection, *hello),
        Event::Resume(resume) => match resume.fallback {
            Some(hello) => log_in(connection, hello),
            None => connection.reject(CloseCode::RESUME_REFUSED, "", Duration::ZERO),
        },
        Event::Send(wire::Send { send_no, to, .. }) if to == "nobody" => {
            let code = wire::NackCode::NackNotFound.into();
            connection.refused(wire::SendNack { send_no, code, reason: "no\x1b such".into(), ..Default::default() });
        }
        Event::Send(wire::Send { send_no, .. }) => {
            let ack = wire::SendAck { send_no, cseq: send_no, useq: send_no, time_ms: 1, group: 0 };
            connection.acked(ack, now);
        }
        Event::Request(request) => {
            let result = match request.op {
                Some(Op::Account(_)) => {
                    response::Result::Account(wire::Account { uid: "alice".into(), ..Default::default() })
                }
                _ => response::Result::Failure(wire::Failure {
                    code: wire::FailureCode::FailureNotFound.into(),
                    reason: String::new(),
                }),
            };
            connection.respond(&wire::Response { id: request.id, result: Some(result) });
        }
        Event::Acked(_) | Event::Signal(_) | Event::Closed { .. } => {}
    }
}

fn log_in(connection: &mut Connection, hello: wire::Hello) {
    let now = Instant::now();
    match &hello.credential {
        Some(Credential::Token(secret) | Credential::Password(secret)) if secret != "wrong" => {}
        _ => return connection.reject(CloseCode::BAD_CREDENTIALS, "wrong", Duration::ZERO),
    }
    let reader = !hello.from_head;
    connection.welcome(
        wire::Welcome {
            conn_epoch: 1,
            resume_token: b"0123456789"[..].into(),
            resume_ttl_s: 1,
            head: reader.into(),
            last_send_no: hello.last_send_no,
            log_epoch: 7,
            uid: hello.uid,
            ..Default::default()
        },
        now,
    );
    if reader {
        let content = wire::Content { kind: Some(wire::content::Kind::Text("red \x1b[31m\nline".into())) };
        let content = content.encode_to_vec().into();
        let message = wire::Message {
            from: "bob".into(),
            to: "alice".into(),
            cseq: 1,
            time_ms: 1,
            content,
            ..Default::default()
        };
        connection.push(1, 0, &encode_item(Item::Message(message)), now);
    }
    connection.set_lagging(false);
}

/// A machine of its own for each test.
struct Machine {
    dir: tempfile::TempDir,
    server: String,
}

impl Machine {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), server: server() }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hongyan-cli"));
        command.args(args).env_clear().env("HOME", self.dir.path()).stdin(Stdio::null());
        command
    }

    /// With `input` on stdin, as alice with a token unless the arguments say otherwise.
    fn run(&self, args: &[&str], input: &str) -> Output {
        let mut command = self.command(args);
        command.args(["--server", &self.server]);
        if !args.contains(&"--timeout") {
            command.args(["--timeout", "20"]);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // The program may end before it has read everything.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().unwrap()
    }

    fn alice(&self, args: &[&str], input: &str) -> Output {
        self.run(&[args, &["--uid", "alice", "--token", "sesame-sesame"]].concat(), input)
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn acks_are_data_and_refusals_are_exit_code_1() {
    let machine = Machine::new();
    let sent = machine.alice(&["send", "bob", "hello", "there", "--json"], "");
    assert_eq!(code(&sent), 0, "{}", err(&sent));
    assert_eq!(out(&sent), "{\"send_no\":1,\"conversation\":\"bob\",\"cseq\":1,\"useq\":1,\"time_ms\":1}\n");
    let refused = machine.alice(&["send", "nobody", "hello"], "");
    assert_eq!((code(&refused), out(&refused)), (1, ""));
    assert!(err(&refused).contains("NACK_NOT_FOUND") && !err(&refused).contains('\x1b'), "{}", err(&refused));
}

#[test]
fn lines_of_stdin_are_sent_in_order_beyond_the_credit() {
    let machine = Machine::new();
    let lines: String = (1..=300).map(|number| format!("line {number}\n\n")).collect();
    let sent = machine.alice(&["send", "bob", "--json"], &lines);
    assert_eq!(code(&sent), 0, "{}", err(&sent));
    for (index, line) in out(&sent).lines().enumerate() {
        assert!(line.starts_with(&format!("{{\"send_no\":{},", index + 1)), "{line}");
    }
    assert_eq!(out(&sent).lines().count(), 300);
    assert!(err(&sent).contains("300 messages sent to bob, 0 refused"), "{}", err(&sent));
}

#[test]
fn a_listener_goes_on_where_it_stopped_and_shows_no_escape_sequence() {
    let machine = Machine::new();
    let first = machine.alice(&["listen", "--count", "1"], "");
    assert_eq!(code(&first), 0, "{}", err(&first));
    assert!(out(&first).ends_with(" bob: red \\u{1b}[31m\\nline\n"), "{}", out(&first));
    let again = machine.alice(&["listen", "--count", "1", "--timeout", "1"], "");
    assert_eq!((code(&again), out(&again)), (5, ""), "shown once");
    let look = machine.alice(&["listen", "--count", "1", "--since", "all", "--json"], "");
    assert!(out(&look).starts_with("{\"type\":\"message\",\"useq\":1,\"from\":\"bob\""), "{}", out(&look));
}

#[test]
fn failures_have_their_exit_codes() {
    let machine = Machine::new();
    let wrong = machine.run(&["status", "--uid", "alice", "--token", "wrong"], "");
    assert_eq!(code(&wrong), 4, "{}", err(&wrong));
    let wrong = machine.run(&["login", "--uid", "alice", "--password-stdin"], "wrong\n");
    assert_eq!(code(&wrong), 4, "{}", err(&wrong));
    let nothing = machine.run(&["status", "--uid", "dora"], "");
    assert_eq!(code(&nothing), 4, "{}", err(&nothing));
    let nobody = machine.run(&["status"], "");
    assert_eq!(code(&nobody), 2, "{}", err(&nobody));
    let history = machine.alice(&["history", "bob"], "");
    assert_eq!(code(&history), 1, "{}", err(&history));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let args = ["send", "bob", "x", "--uid", "a", "--token", "t", "--connect-timeout", "0.3", "--server", &closed];
    assert_eq!(machine.command(&args).output().unwrap().status.code(), Some(3));
    let frames = machine.command(&["frames", "/nonexistent"]).output().unwrap();
    assert_eq!(code(&frames), 2, "{}", err(&frames));
}

#[test]
fn a_profile_keeps_no_password_and_serves_the_other_commands() {
    let machine = Machine::new();
    let login = machine.run(&["login", "--uid", "alice", "--password-stdin"], "swordfish\n");
    assert_eq!(code(&login), 0, "{}", err(&login));
    let path = machine.dir.path().join(".config/hongyan/profiles/default.toml");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!fs::read_to_string(&path).unwrap().contains("swordfish"));
    let login = machine.run(&["login", "--uid", "alice", "--token", "sesame-sesame"], "");
    assert_eq!(code(&login), 0, "{}", err(&login));
    let status = machine.command(&["status", "--timeout", "20"]).output().unwrap();
    assert_eq!(code(&status), 0, "{}", err(&status));
    assert!(out(&status).starts_with("alice at "), "{}", out(&status));
    assert_eq!(code(&machine.command(&["logout"]).output().unwrap()), 0);
    assert!(!path.exists());
    assert_eq!(code(&machine.command(&["logout"]).output().unwrap()), 2, "there is none");
}

#[test]
fn a_trace_shows_frames_but_no_secrets() {
    let machine = Machine::new();
    let traced = machine.alice(&["send", "bob", "private words", "--trace"], "");
    let trace = err(&traced);
    for part in ["-> HELLO uid=alice", "token=<13 bytes>", "<- WELCOME", "-> SEND send_no=1 to=bob", "<- SEND_ACK"] {
        assert!(trace.contains(part), "{part} in {trace}");
    }
    assert!(!trace.contains("sesame") && !trace.contains("private") && !trace.contains("0123456789"), "{trace}");
    let traced = machine.alice(&["send", "bob", "private words", "--trace-bodies"], "");
    assert!(err(&traced).contains("private words") && !err(&traced).contains("sesame"), "{}", err(&traced));
}

#[test]
fn a_reader_that_goes_away_is_success() {
    let machine = Machine::new();
    for args in [&["completions", "bash"][..], &["frames", "-"]] {
        let mut child = machine.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        child.stdin.take().unwrap().write_all(b"00000106 00000107").unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{args:?}");
    }
}

#[test]
fn a_chat_without_a_terminal_sends_lines_and_ends() {
    let machine = Machine::new();
    let chat = machine.alice(&["chat", "bob"], "hello\n\n/help\nbye\n");
    assert_eq!(code(&chat), 0, "{}", err(&chat));
    let lines: Vec<_> = out(&chat).lines().filter_map(|line| line.split_once(" alice: ")).collect();
    assert_eq!(lines.iter().map(|(_, text)| *text).collect::<Vec<_>>(), ["hello ✓", "bye ✓"], "{}", out(&chat));
    assert!(!out(&chat).contains('\x1b'));
}

#[test]
fn captures_are_decoded_and_errors_point_at_their_byte() {
    let machine = Machine::new();
    let frames = machine.run(&["frames", "--json"], "A9485901 00000506 08E0D403");
    assert_eq!(code(&frames), 0, "{}", err(&frames));
    let ping = "{\"offset\":4,\"len\":8,\"kind\":\"PING\",\"fields\":{\"next_ms\":60000,\"ack\":0}}";
    assert_eq!(out(&frames).lines().nth(1), Some(ping));
    let broken = machine.run(&["frames"], "00000107 000001B0 00000107 000009");
    assert_eq!(code(&broken), 2);
    assert!(err(&broken).contains("2 broken frames, the first at byte 4"), "{}", err(&broken));
    assert_eq!(out(&broken).lines().count(), 4, "{}", out(&broken));
}
