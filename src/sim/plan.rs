//! What a seed decides before anything runs: how large the world is, how the server is set up, what will go wrong.

use std::time::Duration;

use super::{
    chance::Chance,
    conversation::User,
    device::{Crash, Wish},
    disk::DiskSpeed,
    network::{Cut, Road},
    rogue::Trick,
};
use crate::config::Config;

/// Something that goes wrong. Numbers of devices are places in the run's list.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    Cut(usize, Cut),
    Stall(usize, Duration),
    DeviceCrash(usize, Crash),
    /// The device leaves its connection and the bytes in it to themselves for a while.
    Abandon(usize, Duration),
    /// The device loses its connection, and gives up the login on the next one, which arrives so much later.
    GiveUpLogin(usize, Duration),
    LoseState(usize),
    /// The device's disk is copied, or the last copy of it put back.
    TurnBack(usize),
    Slow(usize, Duration),
    Deaf(usize, Duration),
    Away(usize, Duration),
    Kill,
    PowerCut,
    Drain,
    Pause(Duration),
    DiskFull(Duration),
    SyncFails,
    ReadsFail(Duration),
    DiskSlow(Duration),
    /// The server's calendar is off by so many milliseconds.
    Calendar(i64),
    Hours(u64),
    Rogue(Trick),
}

/// A disk on which commits take seconds.
pub const SLOW_DISK: DiskSpeed = DiskSpeed { commit_us: 2_000_000, yields_one_in: 2 };

/// How often each kind of fault happens among those that a seed allows.
const KINDS: [(usize, u32); 21] = [
    (0, 8),
    (1, 4),
    (2, 5),
    (3, 4),
    (4, 2),
    (5, 2),
    (6, 4),
    (7, 4),
    (8, 3),
    (9, 4),
    (10, 4),
    (11, 2),
    (12, 2),
    (13, 4),
    (14, 4),
    (15, 1),
    (16, 2),
    (17, 2),
    (18, 1),
    (19, 5),
    (20, 3),
];

const TEN_YEARS_MS: i64 = 10 * 365 * 24 * 3600 * 1000;

/// Something that the person at a device will want.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub at: Duration,
    pub device: usize,
    pub wish: Wish,
    pub filler: usize,
}

pub struct Plan {
    pub users: usize,
    /// The user of each device.
    pub devices: Vec<User>,
    /// Which of them come by requests.
    pub by_requests: Vec<bool>,
    pub config: Config,
    pub disk: DiskSpeed,
    pub active: Duration,
    pub wishes: Vec<Wanted>,
    pub faults: Vec<(Duration, Fault)>,
}

impl Plan {
    /// `density`: how many times as much is written as people do, in the same time.
    pub fn new(chance: &mut Chance, density: usize) -> Self {
        let is_heavy = chance.one_in(40);
        let users = if is_heavy { 2 } else { 2 + chance.below(3) };
        let mut devices: Vec<User> = (0..users).collect();
        for user in 0..users {
            (0..chance.pick(&[0, 0, 0, 1, 1, 2])).for_each(|_| devices.push(user));
        }
        let active = chance.span(1_000_000, if is_heavy { 10_000_000 } else { 30_000_000 });
        let messages = density * if is_heavy { 400 + chance.below(1200) } else { 20 + chance.below(90) };
        let have_groups = chance.one_in(2);
        let mut wishes = wishes(chance, messages, users, &devices, have_groups, active);
        let mut faults = faults(chance, devices.len(), active);
        if is_heavy {
            faults.push(straggle(chance, devices.len(), active));
        }
        for (at, fault) in &faults {
            if let Fault::Slow(device, span) = fault
                && chance.one_in(2)
            {
                talk_on(chance, &mut wishes, &devices, *device, (*at, *span));
            }
        }
        if have_groups && chance.one_in(6) {
            faults.push(burst_at_the_end(chance, &mut wishes, &devices, active));
        }
        let disk =
            DiskSpeed { commit_us: chance.pick(&[0, 500, 5_000, 30_000]), yields_one_in: chance.pick(&[0, 0, 4]) };
        let config = config(chance);
        let mut apart = chance.clone().fork();
        let have_requests = apart.one_in(3);
        let by_requests = devices.iter().map(|_| have_requests && apart.one_in(2)).collect();
        Self { users, devices, by_requests, config, disk, active, wishes, faults }
    }
}

fn config(chance: &mut Chance) -> Config {
    let mut config = Config::default();
    // Not everybody has logged in before the first message to them is written.
    config.auth.accept_unknown_recipients = true;
    config.groups.fan_out_threshold = chance.pick(&[2, 3, 500]);
    config.limits.push_window = chance.pick(&[16, 24, 64, 64]);
    config.limits.send_window = chance.pick(&[4, 16, 64, 64]);
    config.limits.committer_queue = chance.pick(&[2_000, 1 << 20]);
    config.heartbeat.interval = Duration::from_secs(chance.pick(&[10, 20, 60]));
    config.delivery.ack_timeout = Duration::from_millis(chance.pick(&[300, 3000]));
    config.delivery.lagging_timeout = Duration::from_secs(chance.pick(&[30, 300]));
    config.delivery.receipt_delay = Duration::from_millis(chance.pick(&[0, 100, 500]));
    config.retention.timeline_entries = chance.pick(&[1, 100, 100_000]);
    config
}

/// What the people of a seed do besides writing to each other.
#[derive(Clone, Copy)]
struct Habits {
    have_groups: bool,
    /// One message in so many is changed, taken back or marked as read; 0: none.
    acts_one_in: usize,
}

fn wishes(
    chance: &mut Chance,
    messages: usize,
    users: usize,
    devices: &[User],
    have_groups: bool,
    active: Duration,
) -> Vec<Wanted> {
    let habits = Habits { have_groups, acts_one_in: chance.pick(&[0, 4, 10]) };
    let mut wishes = Vec::with_capacity(messages);
    let active_us = active.as_micros() as u64;
    if habits.have_groups {
        // Early, so that there is something to write in.
        let device = chance.below(devices.len());
        let members = if chance.one_in(2) { (0..users).collect() } else { some_of(chance, users) };
        let wish = Wish::Create(members);
        wishes.push(Wanted { at: chance.span(0, active_us / 10), device, wish, filler: 0 });
    }
    while wishes.len() < messages {
        // People write in bursts.
        let (at, device) = (chance.span(0, active_us), chance.below(devices.len()));
        let wish = wish(chance, habits, devices[device], users);
        let times = match wish {
            Wish::Write(_) | Wish::Post => chance.pick(&[1, 1, 1, 2, 5, 40]),
            _ => 1,
        };
        for _ in 0..times {
            let filler = chance.pick(&[0, 10, 10, 30, 30, 100, 3_000]);
            let filler = if filler == 3_000 && chance.one_in(4) { 30_000 } else { filler };
            wishes.push(Wanted { at: at + chance.span(0, 20_000), device, wish: wish.clone(), filler });
        }
    }
    wishes.truncate(messages);
    wishes
}

/// Somebody goes on writing while the application of their device takes nothing in, and something came just before.
fn talk_on(
    chance: &mut Chance,
    wishes: &mut Vec<Wanted>,
    devices: &[User],
    device: usize,
    (at, span): (Duration, Duration),
) {
    let others = devices.iter().enumerate().filter(|(_, user)| **user != devices[device]);
    let others: Vec<usize> = others.map(|(other, _)| other).collect();
    let other = chance.pick(&others);
    wishes.push(Wanted { at, device: other, wish: Wish::Write(devices[device]), filler: 10 });
    let span_us = span.as_micros().min(8_000_000) as u64;
    for _ in 0..chance.within(20, 60) {
        let at = at + chance.span(0, span_us);
        wishes.push(Wanted { at, device, wish: Wish::Write(devices[other]), filler: 10 });
    }
}

/// Somebody writes more in a group than may wait for a device that does not read. Nothing comes after it that would tell
/// the device of what it has missed.
fn burst_at_the_end(
    chance: &mut Chance,
    wishes: &mut Vec<Wanted>,
    devices: &[User],
    active: Duration,
) -> (Duration, Fault) {
    let (deaf, writes) = (chance.below(devices.len()), chance.below(devices.len()));
    let begins = active.mul_f64(0.9);
    let rest_us = (active - begins).as_micros() as u64;
    for _ in 0..60 {
        let at = begins + chance.span(rest_us / 4, rest_us / 2);
        wishes.push(Wanted { at, device: writes, wish: Wish::Post, filler: 3_000 });
    }
    (begins, Fault::Deaf(deaf, active))
}

/// Where much is written the log is trimmed: somebody begins anew, or is behind.
fn straggle(chance: &mut Chance, devices: usize, active: Duration) -> (Duration, Fault) {
    let device = chance.below(devices);
    let at = chance.span(active.as_micros() as u64 / 3, active.as_micros() as u64);
    let fault = match chance.below(4) {
        0 => Fault::Away(device, active / 4),
        1 => Fault::Slow(device, active / 2),
        _ => Fault::LoseState(device),
    };
    (at, fault)
}

fn some_of(chance: &mut Chance, users: usize) -> Vec<User> {
    (0..users).filter(|_| chance.one_in(2)).collect()
}

fn wish(chance: &mut Chance, habits: Habits, by: User, users: usize) -> Wish {
    if habits.acts_one_in > 0 && chance.one_in(habits.acts_one_in) {
        return match chance.below(3) {
            0 => Wish::Edit,
            1 => Wish::Recall,
            _ => Wish::Read,
        };
    }
    if habits.have_groups && chance.one_in(2) {
        let other = chance.below(users);
        return match chance.below(20) {
            0 => Wish::Create(some_of(chance, users)),
            1..4 => Wish::Invite(other),
            4..7 => Wish::Remove(other),
            7 => Wish::Leave,
            8..10 => Wish::Join,
            _ => Wish::Post,
        };
    }
    let to = chance.below(users);
    Wish::Write(if to == by && !chance.one_in(10) { (to + 1) % users } else { to })
}

/// Each seed allows a part of the kinds only: faults that always come together hide what each of them does.
fn faults(chance: &mut Chance, devices: usize, active: Duration) -> Vec<(Duration, Fault)> {
    if chance.one_in(10) {
        return Vec::new();
    }
    let share = chance.pick(&[2, 3, 6]);
    let allowed: Vec<usize> = KINDS
        .iter()
        .filter(|_| chance.one_in(share))
        .flat_map(|(kind, weight)| vec![*kind; *weight as usize])
        .collect();
    if allowed.is_empty() {
        return Vec::new();
    }
    let count = 1 + chance.below(14);
    let active_us = active.as_micros() as u64;
    (0..count).map(|_| (chance.span(0, active_us), fault(chance, chance.clone().pick(&allowed), devices))).collect()
}

fn fault(chance: &mut Chance, kind: usize, devices: usize) -> Fault {
    let device = chance.below(devices);
    let short = chance.span(1_000, 3_000_000);
    let long = chance.span(100_000, 30_000_000);
    match kind {
        0 => Fault::Cut(device, chance.pick(&[Cut::Fin, Cut::Reset, Cut::Silence])),
        1 => Fault::Stall(device, long),
        2 => Fault::DeviceCrash(device, chance.pick(&[Crash::BeforeCommit, Crash::AfterCommit])),
        3 => Fault::Abandon(device, short),
        4 => Fault::LoseState(device),
        5 => Fault::TurnBack(device),
        6 => Fault::Slow(device, long),
        7 => Fault::Deaf(device, long),
        8 => Fault::Away(device, long),
        9 => Fault::Kill,
        10 => Fault::PowerCut,
        11 => Fault::Drain,
        12 => Fault::Pause(if chance.one_in(4) { long * 2 } else { short }),
        13 => Fault::DiskFull(short),
        14 => Fault::SyncFails,
        15 => Fault::ReadsFail(short),
        16 => Fault::DiskSlow(short),
        17 => Fault::Calendar(chance.pick(&[-TEN_YEARS_MS, -3_600_000, 3_600_000, TEN_YEARS_MS])),
        18 => Fault::Hours(chance.pick(&[1, 24, 400])),
        20 => Fault::GiveUpLogin(device, short),
        _ => Fault::Rogue(chance.pick(Trick::ALL)),
    }
}

/// How a device reaches the server.
pub fn road(chance: &mut Chance) -> Road {
    Road {
        latency: chance.span(50, chance.clone().pick(&[500, 20_000, 20_000, 300_000])),
        jitter: chance.span(0, chance.clone().pick(&[1, 5_000, 100_000])),
        piece: chance.pick(&[1, 7, 100, 1400, 1400, 4096]),
        capacity: chance.pick(&[256, 4096, 65536, 65536]),
    }
}
