//! Connections by the hundred: more than the system has descriptors for, and many that read nothing.

use std::{net::TcpStream, time::Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::{
    fixture::{OPEN, chatting_pairs, cpu_seconds, deaf_device, p99, round_trips, send_many},
    server::{TestServer, eventually},
    wire::WireClient,
};

#[test]
fn without_descriptors_the_server_waits_and_those_inside_go_on() {
    let server = TestServer::with(OPEN);
    let mut alice = WireClient::login_as(&server, "alice", "phone").0;
    let pid = Pid::from_raw(server.pid() as i32);
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count() as u64;
    let few = Rlimit { current: Some(open + 20), maximum: None };
    prlimit(pid, Resource::Nofile, Rlimit { maximum: rlimit_maximum(pid), ..few }).unwrap();
    let (begin, used) = (Instant::now(), cpu_seconds(&server));
    let crowd: Vec<_> = (0..400).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    // The pauses double from 5 ms to a second, so the ninth failure comes after more than a second.
    let failures = || server.stderr().matches("could not be accepted").count();
    eventually("it has failed to accept nine times", || (failures() >= 9).then_some(()));
    let (elapsed, used) = (begin.elapsed().as_secs_f64(), cpu_seconds(&server) - used);
    assert!(used < elapsed / 2.0, "it spins: {used} s of processor time in {elapsed} s");
    alice.ping();
    alice.send_message(1, "alice", b"still here");
    alice.expect_send_ack(1);
    drop(crowd);
    WireClient::login_as(&server, "bob", "phone").0.ping();
    server.assert_healthy();
}

fn rlimit_maximum(pid: Option<Pid>) -> Option<u64> {
    let unchanged = Rlimit { current: Some(4096), maximum: Some(4096) };
    prlimit(pid, Resource::Nofile, unchanged).unwrap().maximum.map(|_| 4096)
}

/// `HONGYAN_TEST_STALLED=1000 cargo test --release --test attack stalled_readers -- --nocapture` prints what each costs,
/// and how long the messages of others take with them and without them.
#[test]
fn stalled_readers_by_the_hundred() {
    let long = std::env::var("HONGYAN_TEST_STALLED").ok().map(|count| count.parse::<usize>().unwrap());
    let count = long.unwrap_or(100);
    let server = TestServer::with(&format!("{OPEN}[store]\nsync = \"os\"\ncache = \"1MiB\"\n"));
    let normal = if long.is_some() { count / 2 } else { 4 };
    let mut pairs = chatting_pairs(&server, normal);
    let mut sender = WireClient::login_as(&server, "sender", "phone").0;
    let names: Vec<String> = (0..count).map(|number| format!("stalled{number}")).collect();
    for (name, first) in names.iter().zip((1..).step_by(100)) {
        server.token(name);
        send_many(&mut sender, first, 100, name, &[b'x'; 1000]);
    }
    let mut next = 1;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 0..if long.is_some() { 4 } else { 1 } {
        without.extend(round_trips(&mut pairs, &mut next));
        let pushed = server.metric("hongyan_entries_read_from_log_total");
        let before = server.rss();
        let stalled: Vec<_> = names.iter().map(|name| deaf_device(&server, name)).collect();
        eventually("each has been pushed what it takes", || {
            let now = server.metric("hongyan_entries_read_from_log_total") - pushed;
            (now >= 16 * count as u64).then_some(())
        });
        with.extend(round_trips(&mut pairs, &mut next));
        let each = server.rss().saturating_sub(before) / count as u64;
        println!("round {round}: {each} bytes for each of {count} stalled readers");
        assert!(each < 64 * 1024, "{each} bytes each");
        assert_eq!(server.metric("hongyan_sessions"), (count + 2 * normal + 1) as u64, "nobody was cut off");
        stalled.iter().for_each(WireClient::abort);
        drop(stalled);
        server.wait_for_metric("hongyan_sessions", (2 * normal + 1) as u64);
    }
    let (without, with) = (p99(without), p99(with));
    println!("p99 of {normal} pairs: {without:?} without them, {with:?} with them");
    assert!(long.is_none() || with < 2 * without, "the others wait: {with:?} instead of {without:?}");
    server.assert_healthy();
}
