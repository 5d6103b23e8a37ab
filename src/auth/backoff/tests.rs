use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A back-off whose clock the test moves.
struct Rig {
    backoff: Backoff,
    now: Instant,
}

impl Rig {
    fn new(change: impl FnOnce(&mut BackoffPolicy)) -> Self {
        let mut policy = BackoffPolicy::default();
        change(&mut policy);
        Self { backoff: Backoff::new(policy), now: Instant::now() }
    }

    fn wait(&self, uid: &str, from: &str) -> u64 {
        self.backoff.check(uid, address(from), self.now).err().map_or(0, |wait| wait.as_secs())
    }

    fn fail(&mut self, uid: &str, from: &str) {
        self.backoff.on_failure(uid, address(from), self.now);
    }
}

#[test]
fn waits_double_up_to_the_longest_and_end_on_time() {
    let mut rig = Rig::new(|_| {});
    let mut waits = Vec::new();
    for _ in 0..12 {
        rig.fail("alice", "192.0.2.1");
        let wait = rig.wait("alice", "192.0.2.1");
        waits.push(wait);
        rig.now += SECOND * wait as u32;
        assert_eq!(rig.wait("alice", "192.0.2.1"), 0, "after {wait} s");
    }
    assert_eq!(waits, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
}

#[test]
fn asking_too_early_costs_nothing() {
    let mut rig = Rig::new(|_| {});
    for _ in 0..4 {
        rig.fail("alice", "192.0.2.1");
    }
    for _ in 0..1000 {
        assert_eq!(rig.wait("alice", "192.0.2.1"), 2);
    }
    rig.now += SECOND;
    assert_eq!(rig.wait("alice", "192.0.2.1"), 1);
}

#[test]
fn failures_elsewhere_do_not_lock_a_user_out() {
    let mut rig = Rig::new(|_| {});
    for host in 1..=200 {
        for _ in 0..10 {
            rig.fail("alice", &format!("198.51.100.{host}"));
        }
    }
    assert_eq!(rig.wait("alice", "192.0.2.1"), 0);
    assert!(rig.wait("alice", "198.51.100.7") > 0);
}

#[test]
fn one_address_that_tries_many_users_is_slowed_down_even_with_an_account_of_its_own() {
    let mut rig = Rig::new(|_| {});
    for user in 0..19 {
        rig.fail(&format!("user{user}"), "192.0.2.1");
        rig.backoff.on_success("mallory", address("192.0.2.1"));
    }
    assert_eq!(rig.wait("anyone", "192.0.2.1"), 0);
    rig.fail("user19", "192.0.2.1");
    assert_eq!(rig.wait("anyone", "192.0.2.1"), 1);
    assert_eq!(rig.wait("anyone", "192.0.2.2"), 0);
}

#[test]
fn success_forgets_the_users_failures_there() {
    let mut rig = Rig::new(|_| {});
    for _ in 0..5 {
        rig.fail("alice", "192.0.2.1");
        rig.fail("bob", "192.0.2.1");
    }
    rig.backoff.on_success("alice", address("192.0.2.1"));
    assert_eq!((rig.wait("alice", "192.0.2.1"), rig.wait("bob", "192.0.2.1")), (0, 4));
    for _ in 0..3 {
        assert_eq!(rig.wait("alice", "192.0.2.1"), 0);
        rig.fail("alice", "192.0.2.1");
    }
    assert_eq!(rig.wait("alice", "192.0.2.1"), 1);
}

#[test]
fn failures_fade_with_time() {
    let mut rig = Rig::new(|_| {});
    for _ in 0..6 {
        rig.fail("alice", "192.0.2.1");
    }
    assert_eq!(rig.wait("alice", "192.0.2.1"), 8);
    rig.now += SECOND * 600;
    rig.fail("alice", "192.0.2.1");
    assert_eq!(rig.wait("alice", "192.0.2.1"), 4, "two of six are forgotten, one is new");
    rig.now += SECOND * 300 * 100;
    rig.fail("alice", "192.0.2.1");
    assert_eq!(rig.wait("alice", "192.0.2.1"), 0, "as good as new");
}

#[test]
fn a_long_attack_is_forgotten_as_soon_as_a_short_one() {
    let mut rig = Rig::new(|_| {});
    for _ in 0..100_000 {
        rig.fail("alice", "192.0.2.1");
    }
    rig.now += SECOND * 300 * 30;
    rig.fail("alice", "192.0.2.1");
    assert_eq!(rig.wait("alice", "192.0.2.1"), 0);
}

#[test]
fn a_clock_that_stands_or_goes_back_only_keeps_the_wait() {
    let mut rig = Rig::new(|_| {});
    rig.now += SECOND * 100;
    for _ in 0..4 {
        rig.fail("alice", "192.0.2.1");
    }
    rig.now -= SECOND * 50;
    assert_eq!(rig.wait("alice", "192.0.2.1"), 2);
}

#[test]
fn addresses_are_grouped_as_one_host_owns_them() {
    let groups = [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
        ("192.0.2.1", "192.0.2.2", false),
        ("192.0.2.1", "::ffff:192.0.2.1", true),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
    ];
    for (a, b, same) in groups {
        assert_eq!(AddressGroup::of(address(a)) == AddressGroup::of(address(b)), same, "{a} {b}");
    }
    let mut rig = Rig::new(|_| {});
    for host in 0..20 {
        rig.fail(&format!("user{host}"), &format!("2001:db8:1:2::{host:x}"));
    }
    assert_eq!(rig.wait("alice", "2001:db8:1:2:aaaa::"), 1);
}

#[test]
fn the_tables_are_bounded_and_push_the_oldest_out() {
    let mut rig = Rig::new(|policy| policy.max_entries = 100);
    let name = |n: u32| (format!("user{n}"), format!("10.0.{}.{}", n / 256, n % 256));
    let fail = |rig: &mut Rig, n: u32| (0..4).for_each(|_| rig.fail(&name(n).0, &name(n).1));
    (0..100).for_each(|n| fail(&mut rig, n));
    // The very first fails again, so the second is the oldest now.
    fail(&mut rig, 0);
    fail(&mut rig, 100);
    let waits = |rig: &Rig, n: u32| rig.wait(&name(n).0, &name(n).1) > 0;
    assert_eq!((waits(&rig, 0), waits(&rig, 1), waits(&rig, 2), waits(&rig, 100)), (true, false, true, true));
    (0..5000).for_each(|n| fail(&mut rig, n));
    rig.backoff.on_success("user4999", address("10.0.19.135"));
    for sizes in [
        (rig.backoff.by_user.entries.len(), rig.backoff.by_user.by_age.len(), 99),
        (rig.backoff.by_address.entries.len(), rig.backoff.by_address.by_age.len(), 100),
    ] {
        assert_eq!((sizes.0, sizes.1), (sizes.2, sizes.2));
    }
}
