//! What several attacks need: addresses to come from, messages in bulk, what the process uses.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use hongyan_proto::{codec::PREFACE, frame::Frame};
use socket2::{Domain, Socket, Type};

use crate::{
    server::TestServer,
    wire::{WireClient, encoded, hello, message},
};

/// No limit on anything but what an attack is about.
pub const OPEN: &str = "[limits]\nmax_unauthenticated = 10000\nmax_unauthenticated_per_ip = 10000\n\
                        logins_per_minute_per_ip = 1000000\nmessages_per_second = 1000000\nmessages_burst = 1000000\n";

/// One of 16 million loopback addresses.
pub fn address(number: u32) -> IpAddr {
    let [_, b, c, d] = (number + 0x01_0000).to_be_bytes();
    Ipv4Addr::new(127, b, c, d).into()
}

/// A connection from an address of its own that has said its preface.
pub fn open_from(server: &TestServer, number: u32) -> WireClient {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((address(number), 0)).into()).unwrap();
    socket.connect(&server.address().into()).unwrap();
    let mut client = WireClient::over(TcpStream::from(socket));
    client.send_bytes(&PREFACE);
    client
}

/// A logged-in device that takes little of what it does not read, and has not read its WELCOME.
pub fn deaf_device(server: &TestServer, uid: &str) -> WireClient {
    let mut client = WireClient::with_small_buffer(server.address());
    client.send_bytes(&PREFACE);
    client.send(Frame::Hello(hello(uid, "phone", &server.token(uid))));
    client
}

/// SENDs `first ..`, each answered.
pub fn send_many(client: &mut WireClient, first: u64, count: u64, to: &str, content: &[u8]) {
    for start in (first..first + count).step_by(32) {
        let numbers: Vec<u64> = (start..(start + 32).min(first + count)).collect();
        let frames: Vec<_> = numbers.iter().map(|send_no| message(*send_no, to, content)).collect();
        client.send_bytes(&encoded(&frames));
        for send_no in numbers {
            match client.skip(|frame| matches!(frame, Frame::Credit(_) | Frame::Push(_) | Frame::Ping(_))) {
                Frame::SendAck(ack) => assert_eq!(ack.send_no, send_no),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Seconds of processor time that the server has used.
pub fn cpu_seconds(server: &TestServer) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    let (_, fields) = stat.rsplit_once(')').expect("the name stands in parentheses");
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().map(|at| fields[*at].parse::<f64>().unwrap()).sum();
    ticks / rustix::param::clock_ticks_per_second() as f64
}

/// From now on [`peak_memory`] counts anew.
pub fn forget_peak(server: &TestServer) {
    std::fs::write(format!("/proc/{}/clear_refs", server.pid()), "5").unwrap();
}

/// The most memory that the server has used, in bytes.
pub fn peak_memory(server: &TestServer) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a process has VmHWM");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

/// One who writes, one who reads, and the name of the reader.
type Pair = (WireClient, WireClient, String);

/// Pairs of users who chat, for [`round_trips`].
pub fn chatting_pairs(server: &TestServer, count: usize) -> Vec<Pair> {
    let pair = |number| {
        let (from, to) = (format!("a{number}"), format!("b{number}"));
        let reader = WireClient::login_as(server, &to, "phone").0;
        (WireClient::login_as(server, &from, "phone").0, reader, to)
    };
    (0..count).map(pair).collect()
}

/// From SEND to PUSH, for a message of each pair.
pub fn round_trips(pairs: &mut [Pair], next: &mut u64) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..4 {
        for (from, to, name) in &mut *pairs {
            let begin = Instant::now();
            from.send_message(*next, name, b"is anybody delayed?");
            let entry = to.skip(|frame| !matches!(frame, Frame::Push(_)));
            times.push(begin.elapsed());
            let Frame::Push(entry) = entry else { unreachable!("only a PUSH is not skipped") };
            to.ack(entry.useq);
            from.skip(|frame| !matches!(frame, Frame::SendAck(_)));
        }
        *next += 1;
    }
    times
}

/// The time that one in a hundred exceeds.
pub fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() * 99 / 100]
}
