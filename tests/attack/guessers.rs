//! Passwords tried, and users looked for.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use hongyan::auth::resume::ResumeToken;
use hongyan_proto::{CloseCode, frame::Frame, wire};

use crate::{
    fixture::{OPEN, chatting_pairs, forget_peak, open_from, p99, peak_memory, round_trips},
    server::{TestServer, eventually},
    wire::{WireClient, encoded, hello, hello_with_password},
};

const MIB: u64 = 1 << 20;

/// One attempt from an address of its own, and its answer.
fn guess(server: &TestServer, address: u32, uid: &str, password: &str) -> Frame {
    let mut client = open_from(server, address);
    client.send(Frame::Hello(hello_with_password(uid, "phone", password)));
    client.expect()
}

fn code(answer: Frame) -> CloseCode {
    match answer {
        Frame::Reject(reject) => CloseCode(reject.code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn guesses_are_slowed_down_by_user_and_by_address() {
    let server = TestServer::start();
    server.add_user("alice", "correct horse");
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

/// The numbers of users and devices are easily guessed, the secret behind them never; who tries is slowed down all the
/// same. A device that only has an old token, and a credential beside it, is not.
#[test]
fn guessed_resume_tokens_are_slowed_down_like_passwords() {
    let server = TestServer::start();
    drop(WireClient::login_as(&server, "alice", "phone"));
    let come_back = |address: u32, resume_token: Vec<u8>, fallback: Option<wire::Hello>| {
        let mut client = open_from(&server, address);
        client.send(Frame::Resume(wire::Resume { resume_token: resume_token.into(), fallback, ..Default::default() }));
        client.expect()
    };
    let guess =
        |address, user, device| code(come_back(address, ResumeToken::new(user, device, [7; 32]).encode(), None));
    let mut answers: Vec<_> = (0..8).map(|_| guess(1, 1, 1)).collect();
    assert_eq!(answers.split_off(3), [CloseCode::TOO_MANY_ATTEMPTS; 5], "three are free");
    assert_eq!(answers, [CloseCode::RESUME_REFUSED; 3]);
    let refused =
        |answers: Vec<CloseCode>| answers.iter().filter(|code| **code == CloseCode::TOO_MANY_ATTEMPTS).count();
    let by_number = refused((0..40).map(|number| guess(2, number, number)).collect());
    assert!(by_number >= 5, "of 40 devices tried from one address {by_number} were refused unseen");
    let garbage = refused((0..8).map(|len| code(come_back(3, vec![0xFF; len], None))).collect());
    assert_eq!(garbage, 5, "what is no token counts too");

    let old = |address| {
        let fallback = hello("alice", "phone", &server.token("alice"));
        come_back(address, ResumeToken::new(1, 1, [7; 32]).encode(), Some(fallback))
    };
    assert!((0..8).all(|_| matches!(old(4), Frame::Welcome(_))), "old tokens beside good credentials");
    assert_eq!(
        [1; 3].map(|no| guess(4, no, no)),
        [CloseCode::RESUME_REFUSED; 3],
        "they count nothing: three are free still"
    );
    assert!(matches!(old(1), Frame::Welcome(_)), "nor does the guesser's address lock the device out");
}

#[test]
fn who_exists_cannot_be_told_from_the_answers() {
    let server = TestServer::with(OPEN);
    server.add_user("with-password", "correct horse");
    server.add_user("disabled", "correct horse");
    server.token("with-token");
    let disabled = hongyan::session::operator::Request::DisableUser { uid: "disabled".into() };
    assert!(matches!(server.admin(&disabled), hongyan::session::operator::Response::Done));
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
    println!("grown by {} MiB at the peak", grown / MIB);
    assert!(grown < 256 * MIB, "grown by {} MiB at the peak", grown / MIB);
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

/// `cargo test --release --test attack messages_during_a_flood -- --ignored --nocapture`: half a minute.
///
/// Pairs chat, in turn without and with a thousand wrong passwords a second from everywhere. A round begins when the flood
/// stands, or when nothing of the last one waits any more.
#[test]
#[ignore = "judges times; run it on a quiet machine"]
fn messages_during_a_flood_of_logins_by_password() {
    const ROUNDS: u32 = 6;
    let server = TestServer::with(OPEN);
    server.add_user("victim", "correct horse");
    let mut pairs = chatting_pairs(&server, 50);
    let (mut without, mut with, mut next, mut logins) = (Vec::new(), Vec::new(), 1, 0);
    for round in 0..ROUNDS {
        until_a_guess_is_answered_with(&server, CloseCode::BAD_CREDENTIALS);
        without.extend(round_trips(&mut pairs, &mut next));
        let (begun, stop) = (Instant::now(), AtomicBool::new(false));
        let more: u32 = thread::scope(|scope| {
            let flood = |part| {
                let (server, stop) = (&server, &stop);
                scope.spawn(move || flood(server, stop, (4 * round + part) << 18))
            };
            let floods = [0, 1, 2, 3].map(flood);
            until_a_guess_is_answered_with(&server, CloseCode::OVERLOADED);
            with.extend(round_trips(&mut pairs, &mut next));
            stop.store(true, Ordering::Relaxed);
            floods.into_iter().map(|flood| flood.join().unwrap()).sum()
        });
        println!("round {round}: {more} logins in {:?}", begun.elapsed());
        logins += more;
    }
    let (without, with) = (p99(without), p99(with));
    let ratio = with.div_duration_f64(without);
    println!(
        "p99 of 50 pairs: {without:?} without, {with:?} with {logins} logins beside them, {ratio:.2} times as long"
    );
    assert!(with < 2 * without, "the others wait: {with:?} instead of {without:?}");
    server.assert_healthy();
}

/// OVERLOADED: as many wait for a hash as may. BAD_CREDENTIALS: all that came before have theirs.
fn until_a_guess_is_answered_with(server: &TestServer, expected: CloseCode) {
    eventually("the flood stands, or is over", || {
        let somewhere_else = (15 << 20) + u32::from(rand::random::<u16>());
        (code(guess(server, somewhere_else, "victim", "wrong")) == expected).then_some(())
    });
}

/// 250 attempts a second, each from an address of its own, until `stop`; none waits for its answer longer than a second.
fn flood(server: &TestServer, stop: &AtomicBool, first: u32) -> u32 {
    let (begun, mut waiting, mut logins) = (Instant::now(), VecDeque::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        let mut client = open_from(server, first + logins);
        client.send(Frame::Hello(hello_with_password("victim", "phone", "wrong")));
        waiting.push_back(client);
        logins += 1;
        if waiting.len() > 250 {
            waiting.pop_front();
        }
        thread::sleep((begun + Duration::from_millis(4) * logins).saturating_duration_since(Instant::now()));
    }
    logins
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
