//! nginx and HAProxy as Debian has them, in front: people who come through them from addresses of their own. Where one is
//! not installed its test says so and passes, unless `HONGYAN_TEST_PROXIES=required`.

use std::{
    fmt::Debug,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use hongyan_proto::{CloseCode, codec::PREFACE, frame::Frame};
use serde_json::json;
use socket2::{Domain, Socket, Type};

use super::{
    server::{DEADLINE, TestServer, eventually},
    wire::{WireClient, hello},
};

/// The proxies connect from 127.0.0.1, people from 127.0.1.0/24.
const TRUSTED: &str = "[proxies]\ntrusted = \"127.0.0.1\"\n";
const PEOPLE: u8 = 40;
const GUESSER: u8 = 200;

/// A proxy that runs. Dropping it kills it.
struct RealProxy(Child);

impl Drop for RealProxy {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the program in the foreground, and waits until it listens. None: it is not installed.
fn run(program: &str, args: &[&str], ports: &[SocketAddr]) -> Option<RealProxy> {
    let places = ["/usr/sbin/", "/usr/local/sbin/", ""];
    let child = places.iter().find_map(|place| {
        Command::new(format!("{place}{program}")).args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
    });
    let Some(child) = child else {
        let is_required = std::env::var_os("HONGYAN_TEST_PROXIES").is_some_and(|value| value == "required");
        assert!(!is_required, "{program} is not installed, and HONGYAN_TEST_PROXIES=required");
        eprintln!("skipped: {program} is not installed (Debian: apt install {program})");
        return None;
    };
    let mut proxy = RealProxy(child);
    for port in ports {
        eventually(&format!("{program} listens"), || {
            assert_eq!(proxy.0.try_wait().unwrap(), None, "{program} has ended: its configuration is wrong");
            TcpStream::connect(port).ok()
        });
    }
    Some(proxy)
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A connection to `address` from that of a person.
fn connect(person: u8, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 1, person), 0)).into()).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.into()
}

/// The status of a login by HTTP, with fields that a visitor has made up: another address for each user.
fn log_in_by_http(person: u8, proxy: SocketAddr, uid: &str, token: &str) -> u16 {
    let body = json!({ "uid": uid, "token": token, "device": "web" }).to_string();
    let (mut stream, made_up) = (connect(person, proxy), uid.trim_start_matches("person"));
    write!(
        stream,
        "POST /v1/login HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-forwarded-for: 192.0.2.{made_up}\r\n\
         forwarded: for=192.0.2.{made_up}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"))
}

fn log_in(person: u8, proxy: SocketAddr, uid: &str, token: &str) -> Result<(), CloseCode> {
    let mut client = WireClient::over(connect(person, proxy));
    client.send_bytes(&PREFACE);
    client.send(Frame::Hello(hello(uid, "phone", token)));
    match client.expect() {
        Frame::Welcome(_) => Ok(()),
        Frame::Reject(reject) => Err(CloseCode(reject.code)),
        other => panic!("{other:?}"),
    }
}

/// Everybody logs in, and before each of them one of them guesses: the last guess is made to wait, nobody else is.
/// Last what each is answered: a login, a guess, and a guess that has to wait.
fn everybody_logs_in<A: Debug + PartialEq>(
    server: &TestServer,
    log_in: impl Fn(u8, &str, &str) -> A,
    [taken, refused, told_to_wait]: [A; 3],
) {
    let mut guesses = Vec::new();
    for n in 0..PEOPLE {
        let uid = format!("person{n}");
        let token = server.token(&uid);
        guesses.push(log_in(GUESSER, &uid, "a.bad.token"));
        assert_eq!(log_in(n, &uid, &token), taken);
    }
    assert_eq!((&guesses[0], guesses.last()), (&refused, Some(&told_to_wait)));
}

fn written(directory: &Path, text: &str) -> String {
    let path = directory.join("proxy.conf");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn nginx_passes_the_address_on_in_a_field() {
    let server = TestServer::with(TRUSTED);
    let (port, files) = (free_port(), tempfile::tempdir().unwrap());
    let (at, http) = (files.path().display(), server.http());
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|what| format!("{what}_temp_path {at}/{what};\n"))
        .collect();
    let config = format!(
        "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log {at}/errors;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}\
         server {{\nlisten {port};\nlocation / {{\nproxy_pass http://{http};\nproxy_http_version 1.1;\nproxy_set_header Host $http_host;\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\nproxy_set_header X-Forwarded-Proto $scheme;\n}}\n}}\n}}\n"
    );
    let config = written(files.path(), &config);
    let errors = format!("{at}/errors");
    let Some(_nginx) = run("nginx", &["-e", &errors, "-p", &at.to_string(), "-c", &config], &[port]) else { return };
    everybody_logs_in(&server, |person, uid, token| log_in_by_http(person, port, uid, token), [200, 401, 429]);
    server.assert_healthy();
}

#[test]
fn haproxy_passes_the_address_on_before_all_else_or_in_a_field() {
    let server = TestServer::with(&format!("{TRUSTED}native = \"proxy-header\"\n"));
    let ports @ [first, second, http] = [free_port(), free_port(), free_port()];
    let files = tempfile::tempdir().unwrap();
    let (to, to_http) = (server.address(), server.http());
    let config = format!(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n\
         listen first\n bind {first}\n server hongyan {to} send-proxy\n\
         listen second\n bind {second}\n server hongyan {to} send-proxy-v2\n\
         listen http\n mode http\n option forwardfor\n bind {http}\n server hongyan {to_http}\n"
    );
    let config = written(files.path(), &config);
    let Some(_haproxy) = run("haproxy", &["-db", "-f", &config], &ports) else { return };
    let answers = [Ok(()), Err(CloseCode::BAD_CREDENTIALS), Err(CloseCode::TOO_MANY_ATTEMPTS)];
    everybody_logs_in(&server, |person, uid, token| log_in(person, second, uid, token), answers);
    // The guesser still has to wait, whichever version names them.
    assert_eq!(log_in(GUESSER, first, "person0", "a.bad.token"), Err(CloseCode::TOO_MANY_ATTEMPTS));
    assert_eq!(log_in(0, first, "person0", &server.token("person0")), Ok(()));
    // By HTTP too, for it is the same back-off.
    assert_eq!(log_in_by_http(GUESSER, http, "person0", "a.bad.token"), 429);
    assert_eq!(log_in_by_http(0, http, "person0", &server.token("person0")), 200);
    server.assert_healthy();
}
