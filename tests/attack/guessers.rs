//! Passwords tried, and users looked for.

use std::time::Instant;

use hongyan_proto::{CloseCode, frame::Frame};

use crate::{
    fixture::{OPEN, forget_peak, open_from, peak_memory},
    server::TestServer,
    wire::{WireClient, encoded, hello_with_password},
};

const MIB: u64 = 1 << 20;

/// One attempt from an address of its own, and its answer.
fn guess(server: &TestServer, address: u32, uid: &str, password: &str) -> Frame {
    let mut client = open_from(server, address);
    client.send(Frame::Hello(hello_with_password(uid, "phone", password)));
    client.expect()
}

#[test]
fn guesses_are_slowed_down_by_user_and_by_address() {
    let server = TestServer::start();
    server.add_user("alice", "correct horse");
    let code = |frame: Frame| match frame {
        Frame::Reject(reject) => CloseCode(reject.code),
        other => panic!("{other:?}"),
    };
    let mut answers: Vec<CloseCode> = (0..8).map(|_| code(guess(&server, 1, "alice", "wrong"))).collect();
    assert_eq!(answers.split_off(3), [CloseCode::TOO_MANY_ATTEMPTS; 5], "three are free");
    // One address, a different user each time.
    let answers: Vec<CloseCode> =
        (0..40).map(|number| code(guess(&server, 2, &format!("user{number}"), "wrong"))).collect();
    let refused = answers.iter().filter(|code| **code == CloseCode::TOO_MANY_ATTEMPTS).count();
    assert!(refused >= 5, "of 40 users tried from one address {refused} were refused unseen");
    // Whoever is attacked logs in from elsewhere.
    assert!(matches!(guess(&server, 3, "alice", "correct horse"), Frame::Welcome(_)));
}

#[test]
fn who_exists_cannot_be_told_from_the_answers() {
    let server = TestServer::with(OPEN);
    server.add_user("with-password", "correct horse");
    server.add_user("disabled", "correct horse");
    server.token("with-token");
    let disabled = hongyan::admin::Request::DisableUser { uid: "disabled".into() };
    assert!(matches!(server.admin(&disabled), hongyan::admin::Response::Done));
    let answers: Vec<_> = ["with-password", "with-token", "disabled", "nobody"]
        .iter()
        .enumerate()
        .flat_map(|(number, uid)| ["wrong password", "", "x"].map(|password| (number as u32, *uid, password)))
        .map(|(number, uid, password)| encoded(&[guess(&server, number, uid, password)]))
        .collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

/// Each hash takes 19 MiB, so memory tells how many ran at once; the allocator keeps some of what was freed.
#[test]
fn a_flood_of_logins_takes_the_memory_of_a_few() {
    const LOGINS: u32 = 62;
    let server = TestServer::with(OPEN);
    server.add_user("alice", "correct horse");
    let mut bystander = WireClient::login_as(&server, "bystander", "phone").0;
    guess(&server, 0, "alice", "wrong");
    forget_peak(&server);
    let before = server.rss();
    let mut clients: Vec<_> = (1..=LOGINS).map(|number| open_from(&server, number)).collect();
    for client in &mut clients {
        client.send(Frame::Hello(hello_with_password("alice", "phone", "wrong")));
    }
    bystander.ping();
    for mut client in clients {
        assert!(matches!(client.expect(), Frame::Reject(_)));
    }
    bystander.ping();
    let grown = peak_memory(&server).saturating_sub(before);
    assert!(grown < 256 * MIB, "grown by {} MiB at most", grown / MIB);
    server.assert_healthy();
}

// ---------------------------------------------------------------- by the clock

/// `cargo test --release --test attack enumeration_by_time -- --ignored --nocapture`: some minutes of one core.
///
/// Known and unknown user in turn, each pair in random order; Mann-Whitney's U over all times. `HONGYAN_TEST_PAIRS`
/// gives another number of pairs.
#[test]
#[ignore = "judges times; run it on a quiet machine"]
fn enumeration_by_time() {
    let pairs: u32 = std::env::var("HONGYAN_TEST_PAIRS").map_or(2000, |pairs| pairs.parse().unwrap());
    let server = TestServer::with(OPEN);
    server.add_user("alice", "correct horse");
    let time = |address: u32, uid: &str| {
        let mut client = open_from(&server, address);
        let begin = Instant::now();
        client.send(Frame::Hello(hello_with_password(uid, "phone", "wrong")));
        client.expect();
        begin.elapsed().as_secs_f64()
    };
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for pair in 0..pairs {
        if rand::random() {
            known.push(time(2 * pair, "alice"));
            unknown.push(time(2 * pair + 1, "nobody"));
        } else {
            unknown.push(time(2 * pair, "nobody"));
            known.push(time(2 * pair + 1, "alice"));
        }
    }
    let z = mann_whitney_z(&known, &unknown);
    let (known, unknown) = (median(known), median(unknown));
    println!("{pairs} pairs: median {:.3} ms known, {:.3} ms unknown, z = {z:.2}", known * 1e3, unknown * 1e3);
    assert!(z.abs() < 2.576, "told apart with 99 % confidence: z = {z:.2}");
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The normal approximation of Mann and Whitney's U; times are real numbers, so ties do not matter.
fn mann_whitney_z(a: &[f64], b: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> =
        a.iter().map(|time| (*time, true)).chain(b.iter().map(|time| (*time, false))).collect();
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    let ranks: f64 = all.iter().zip(1..).filter(|((_, of_a), _)| *of_a).map(|(_, rank)| f64::from(rank)).sum();
    let (n, m) = (a.len() as f64, b.len() as f64);
    let u = ranks - n * (n + 1.0) / 2.0;
    (u - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}

#[test]
fn the_statistic_tells_different_times_apart_and_equal_ones_not() {
    let times = |shift: f64| (0..500).map(|i| f64::from(i * 7919 % 500) + shift).collect::<Vec<_>>();
    assert!(mann_whitney_z(&times(0.0), &times(0.1)).abs() < 1.0);
    assert!(mann_whitney_z(&times(0.0), &times(40.0)) < -3.0);
}
