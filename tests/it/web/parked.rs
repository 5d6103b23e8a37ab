//! What a client costs that waits for something to happen. `HONGYAN_TEST_PARKED=5000 cargo test --release --test it parked --
//! --nocapture` prints the figures for so many, and what they make the server work.

use std::{fs, thread, time::Duration};

use hongyan_proto::frame::Frame;
use serde_json::json;

use super::{
    WebDevice,
    http::{Request, Stream},
    socket::{FIN, TEXT, WebSocket},
};
use crate::server::{TestServer, eventually};

/// Parked clients in CI.
const FEW: usize = 200;
/// The most memory that one may take in the server, everything included, in bytes.
const MOST_BYTES: u64 = 64 * 1024;
/// How long work is measured where figures were asked for.
const IDLE: Duration = Duration::from_secs(10);

/// Keeps a client's end.
enum Parked {
    Request(#[expect(dead_code, reason = "held open")] std::net::TcpStream),
    Stream(#[expect(dead_code, reason = "held open")] Box<Stream>),
    Socket(#[expect(dead_code, reason = "held open")] Box<WebSocket>),
}

#[test]
fn a_parked_client_costs_little() {
    let asked = std::env::var("HONGYAN_TEST_PARKED").ok().map(|count| count.parse().unwrap());
    let count: usize = asked.unwrap_or(FEW);
    for way in ["long poll", "SSE", "NDJSON", "WebSocket", "WebSocket JSON"] {
        let server = TestServer::with(&format!("[web]\nmax_connections_per_ip = {}\n", count + 10));
        let tokens: Vec<String> = (0..count).map(|number| server.token(&format!("user{number}"))).collect();
        let before = server.rss();
        let parked: Vec<Parked> =
            tokens.iter().enumerate().map(|(number, token)| park(&server, way, number, token)).collect();
        let present = || server.metric("hongyan_sessions") as usize == count;
        eventually("all are present", || present().then_some(()));
        let each = server.rss().saturating_sub(before) / count as u64;
        println!("{way}: {each} bytes each, of {count}");
        assert!(each <= MOST_BYTES, "{way}: {each} bytes each");
        if asked.is_some() {
            let worked = worked(server.pid());
            thread::sleep(IDLE);
            let share = (self::worked(server.pid()) - worked).as_secs_f64() / IDLE.as_secs_f64();
            println!("{way}: {:.3} % of one processor while {count} wait", share * 100.0);
        }
        drop(parked);
        server.assert_healthy();
    }
}

fn park(server: &TestServer, way: &str, number: usize, token: &str) -> Parked {
    let credentials = json!({ "token": token, "device": "web" });
    match way {
        "WebSocket" => {
            let mut socket = WebSocket::connect(server.http(), "hongyan.v1");
            socket.send(&Frame::Hello(crate::wire::hello(&format!("user{number}"), "web", token)));
            assert!(matches!(socket.receive(), Some(Frame::Welcome(_))));
            Parked::Socket(Box::new(socket))
        }
        "WebSocket JSON" => {
            let mut socket = WebSocket::connect(server.http(), "hongyan.v1.json");
            let hello = json!({ "hello": { "token": token, "device": "web", "deviceEpoch": 1 } });
            socket.put(FIN | TEXT, hello.to_string().as_bytes());
            assert!(matches!(socket.receive(), Some(Frame::Welcome(_))));
            Parked::Socket(Box::new(socket))
        }
        "long poll" => {
            let device = WebDevice::login_with(server, credentials);
            Parked::Request(Request::get("/v1/events?after=0&wait=60").bearer(&device.token).begin(server.http()))
        }
        _ => {
            let device = WebDevice::login_with(server, credentials);
            Parked::Stream(Box::new(device.stream(&way.to_lowercase(), "0")))
        }
    }
}

/// Time on a processor of all threads of a process.
fn worked(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let times = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap());
    times.map(|text| Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())).sum()
}
