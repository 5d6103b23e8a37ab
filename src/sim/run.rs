//! One run: the plan's wishes and faults in their order. What comes then is in [`ending`].

mod ending;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    future::poll_fn,
    rc::Rc,
    task::Poll,
    time::{Duration, Instant},
};

use hongyan_proto::CloseCode;

use super::{
    chance::Chance,
    clock::Clock,
    conversation::uid,
    device::{Device, Notebook},
    disk::Disk,
    executor::{Executor, Owner, Spawner},
    host::{self, Host},
    ledger::Ledger,
    network::Cut,
    plan::{self, Fault, Plan, Wanted},
    rogue,
    world::World,
};
use crate::committer::op::Op;

/// What a run has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub violation: Option<String>,
    /// The same for the same seed.
    pub trace: u64,
    /// Messages that were taken and answered.
    pub messages: u64,
    /// Messages that were stored by devices.
    pub shown: u64,
}

/// More than any run needs that does not turn in circles, for each of its density.
const MAX_POLLS: u64 = 3_000_000;

/// What is done to the world from outside.
#[derive(Debug)]
enum Act {
    Want(Wanted),
    Fault(Fault),
    Start,
    Restart,
    Thaw,
    DiskIsGood,
    On(usize),
    DrainClose,
    DrainEnd,
}

struct Run {
    executor: Executor,
    world: Rc<World>,
    devices: Vec<Rc<RefCell<Device>>>,
    copies: Vec<Option<Notebook>>,
    chance: Chance,
    plan: Plan,
    begun: Instant,
    /// In the order of their times, and then of their making.
    acts: BTreeMap<(Instant, usize), Act>,
    made: usize,
    /// Everybody has got something after all was healed.
    has_written_more: bool,
    max_polls: u64,
}

/// Runs the world of a seed from its beginning to its end.
pub fn run(seed: u64) -> Outcome {
    run_dense(seed, 1)
}

/// The same with so many times as much being written in it.
pub fn run_dense(seed: u64, density: usize) -> Outcome {
    let mut run = Run::new(seed, density);
    run.live();
    run.heal();
    run.drain();
    run.write_once_more();
    run.leave();
    let mut ledger = run.world.ledger.borrow_mut();
    Outcome {
        violation: ledger.violation().map(ToOwned::to_owned),
        trace: run.executor.trace(),
        messages: std::mem::take(&mut ledger.answered),
        shown: ledger.shown,
    }
}

impl Run {
    fn new(seed: u64, density: usize) -> Self {
        let mut chance = Chance::new(seed);
        let plan = Plan::new(&mut chance, density);
        let clock = Clock::new(chance.fork());
        let spawner = Spawner::default();
        let executor = Executor::new(clock.clone(), chance.fork(), spawner.clone());
        let disk = Disk::new(clock.clone(), chance.fork(), plan.disk);
        let host = Host::new(&clock, &spawner, disk, plan.config.clone(), chance.fork());
        let world = Rc::new(World {
            clock,
            spawner,
            chance: RefCell::new(chance.fork()),
            host,
            ledger: RefCell::new(Ledger::default()),
            tokens: (0..plan.users).map(|user| host::token(&uid(user))).collect(),
            rogue_token: host::token("mallory"),
            stolen_tokens: RefCell::default(),
            is_calm: true.into(),
        });
        let begun = world.clock.now();
        let mut run = Self {
            executor,
            copies: vec![None; plan.devices.len()],
            devices: Vec::new(),
            world,
            chance,
            plan,
            begun,
            acts: BTreeMap::new(),
            made: 0,
            has_written_more: false,
            max_polls: MAX_POLLS * density as u64,
        };
        run.populate();
        run
    }

    fn populate(&mut self) {
        self.world.host.start();
        for (number, user) in self.plan.devices.clone().into_iter().enumerate() {
            let road = plan::road(&mut self.chance);
            let device = Device::new(&self.world, user, number, road, self.chance.fork());
            let device = Rc::new(RefCell::new(device));
            self.devices.push(device.clone());
            self.world.spawner.spawn(Owner::World, async move {
                poll_fn(|context| {
                    device.borrow_mut().poll(context);
                    Poll::<()>::Pending
                })
                .await;
            });
        }
        for wish in std::mem::take(&mut self.plan.wishes) {
            self.act_at(self.begun + wish.at, Act::Want(wish));
        }
        for (at, fault) in std::mem::take(&mut self.plan.faults) {
            self.act_at(self.begun + at, Act::Fault(fault));
        }
    }

    // ------------------------------------------------------------ what is done to the world

    fn act_at(&mut self, at: Instant, act: Act) {
        self.made += 1;
        self.acts.insert((at, self.made), act);
    }

    fn act_after(&mut self, span: Duration, act: Act) {
        self.act_at(self.world.clock.now() + span, act);
    }

    fn live(&mut self) {
        let end = self.begun + self.plan.active;
        while let Some(next) = self.acts.first_entry().filter(|next| next.key().0 <= end) {
            let ((at, _), act) = next.remove_entry();
            self.pass_until(at);
            self.act(act);
        }
        self.pass_until(end);
    }

    fn pass_until(&mut self, until: Instant) {
        if self.is_violated() {
            return;
        }
        if !self.executor.run_until(until, self.max_polls) {
            self.world.ledger.borrow_mut().violated(|| "I7: somebody turns in circles".into());
        }
        self.check_bounds();
    }

    fn pass(&mut self, span: Duration) {
        self.pass_until(self.world.clock.now() + span);
    }

    fn is_violated(&self) -> bool {
        self.world.ledger.borrow().violation().is_some()
    }

    /// No queue is longer than it may be (I6).
    fn check_bounds(&self) {
        let Some(core) = self.world.host.core() else { return };
        let mut ledger = self.world.ledger.borrow_mut();
        core.sessions.for_each(|channel| {
            let (entries, all) = channel.waiting();
            let most = 64 + core.protocol.send_window as usize + 32;
            ledger.check(entries <= 64 && all <= most, || format!("I6: a channel holds {entries} entries of {all}"));
        });
    }

    fn act(&mut self, act: Act) {
        tracing::trace!(at = ?self.world.clock.passed(), ?act);
        match act {
            Act::Want(Wanted { device, wish, filler, .. }) => self.devices[device].borrow_mut().submit(&wish, filler),
            Act::Fault(fault) => self.fault(fault),
            Act::Start => {
                if !self.world.host.is_running() {
                    self.world.host.start();
                }
            }
            Act::Restart => self.kill(false),
            Act::Thaw => self.executor.pause_server(false),
            Act::DiskIsGood => self.mend_disk(),
            Act::On(device) => self.devices[device].borrow_mut().turn_off(false),
            Act::DrainClose => {
                if let Some(core) = self.world.host.core().filter(|core| core.is_draining()) {
                    core.sessions.for_each(|channel| channel.close(CloseCode::GOING_AWAY, "the server stops"));
                }
            }
            Act::DrainEnd => {
                if let Some(core) = self.world.host.core().filter(|core| core.is_draining()) {
                    core.queue.close();
                    self.act_after(Duration::from_millis(500), Act::Restart);
                }
            }
        }
    }

    fn fault(&mut self, fault: Fault) {
        let device = |number: usize| self.devices[number].borrow_mut();
        let now = self.world.clock.now();
        match fault {
            Fault::Cut(number, cut) => device(number).cut(cut),
            Fault::Stall(number, span) => device(number).stall(now + span),
            Fault::DeviceCrash(number, crash) => device(number).crash_at(crash),
            Fault::Abandon(number, delay) => device(number).abandon(delay),
            Fault::GiveUpLogin(number, delay) => device(number).give_up_login(delay),
            Fault::LoseState(number) => device(number).lose_state(),
            Fault::Slow(number, span) => device(number).slow_until = now + span,
            Fault::Deaf(number, span) => device(number).deaf_until = now + span,
            Fault::TurnBack(number) => {
                match self.copies[number].take() {
                    Some(copy) => device(number).turn_back(copy),
                    // A store that was copied before the first login is a new device's.
                    None => {
                        let copy = self.devices[number].borrow().notebook.clone();
                        self.copies[number] = Some(copy).filter(|copy| copy.cursor.is_some());
                    }
                };
            }
            Fault::Away(number, span) => {
                device(number).turn_off(true);
                self.act_after(span, Act::On(number));
            }
            Fault::Rogue(trick) => rogue::begin(&self.world, trick),
            Fault::Calendar(ms) => {
                self.world.clock.set_calendar_off_by(ms);
                self.world.ledger.borrow_mut().has_time_passed = true;
            }
            Fault::Hours(hours) => {
                let core = self.world.host.core();
                core.iter()
                    .for_each(|core| (0..hours).for_each(|_| assert!(core.queue.put(Op::Hour) || core.is_draining())));
            }
            _ => self.fault_of_server(fault),
        }
    }

    fn fault_of_server(&mut self, fault: Fault) {
        self.world.is_calm.set(false);
        let disk = self.world.host.disk.clone();
        match fault {
            Fault::Kill => self.kill(false),
            Fault::PowerCut => self.kill(true),
            Fault::Drain => {
                let Some(core) = self.world.host.core() else { return };
                core.start_draining();
                let second = Duration::from_secs(1);
                core.sessions.for_each(|channel| channel.go_away(2 * second, second));
                self.act_after(2 * second, Act::DrainClose);
                self.act_after(3 * second, Act::DrainEnd);
            }
            Fault::Pause(span) => {
                self.executor.pause_server(true);
                self.act_after(span, Act::Thaw);
            }
            Fault::DiskFull(span) => {
                disk.fill_up(true);
                self.act_after(span, Act::DiskIsGood);
            }
            Fault::SyncFails => {
                disk.fail_next_sync(true);
                let span = self.chance.span(500_000, 5_000_000);
                self.act_after(span, Act::Restart);
            }
            Fault::ReadsFail(span) => {
                disk.fail_reads(true);
                self.act_after(span, Act::DiskIsGood);
            }
            Fault::DiskSlow(span) => {
                disk.set_speed(plan::SLOW_DISK);
                self.act_after(span, Act::DiskIsGood);
            }
            _ => {}
        }
    }

    fn mend_disk(&mut self) {
        let disk = &self.world.host.disk;
        disk.fill_up(false);
        disk.fail_reads(false);
        disk.set_speed(self.plan.disk);
    }

    /// The server's process ends, or the whole machine does; soon after, it starts again.
    fn kill(&mut self, is_power_cut: bool) {
        if is_power_cut {
            for device in &self.devices {
                let cut = self.chance.pick(&[Cut::Reset, Cut::Silence]);
                device.borrow_mut().cut(cut);
            }
        }
        self.executor.kill_server();
        self.world.host.on_killed();
        match is_power_cut {
            true => self.world.host.disk.on_power_cut(),
            false => self.world.host.disk.on_process_killed(),
        }
        self.devices.iter().for_each(|device| device.borrow().wake());
        let span = self.chance.span(1_000, 1_000_000);
        self.act_after(span, Act::Start);
    }
}
