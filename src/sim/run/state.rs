//! A run: the world, who is in it, what is still to happen, and how its time passes.

use std::{
    cell::RefCell,
    future::poll_fn,
    rc::Rc,
    task::Poll,
    time::{Duration, Instant},
};

use super::agenda::{Act, Agenda};
use crate::sim::{
    chance::Chance,
    clock::Clock,
    conversation::uid,
    device::{Device, Notebook},
    disk::Disk,
    executor::{Executor, Owner, Spawner},
    host::{self, Host},
    ledger::Ledger,
    plan::{self, Plan},
    rogue,
    world::World,
};

/// More than any run needs that does not turn in circles, for each of its density.
const MAX_POLLS: u64 = 3_000_000;

pub struct Run {
    pub executor: Executor,
    pub world: Rc<World>,
    pub devices: Vec<Rc<RefCell<Device>>>,
    /// What each device's disk held when it was copied, until it is put back.
    pub copies: Vec<Option<Notebook>>,
    pub chance: Chance,
    pub plan: Plan,
    pub begun: Instant,
    pub agenda: Agenda,
    /// Everybody has got something after all was healed.
    pub has_written_more: bool,
    max_polls: u64,
}

impl Run {
    pub fn new(seed: u64, density: usize) -> Self {
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
            rogue_token: host::token(rogue::NAME),
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
            agenda: Agenda::default(),
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
            let device =
                Device::new(&self.world, user, number, road, self.plan.by_requests[number], self.chance.fork());
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
            self.agenda.put(self.begun + wish.at, Act::Want(wish));
        }
        for (at, fault) in std::mem::take(&mut self.plan.faults) {
            self.agenda.put(self.begun + at, Act::Fault(fault));
        }
    }

    pub fn act_after(&mut self, span: Duration, act: Act) {
        self.agenda.put(self.world.clock.now() + span, act);
    }

    pub fn pass_until(&mut self, until: Instant) {
        if self.is_violated() {
            return;
        }
        if !self.executor.run_until(until, self.max_polls) {
            self.world.ledger.borrow_mut().violated(|| "I7: somebody turns in circles".into());
        }
        self.check_bounds();
    }

    pub fn pass(&mut self, span: Duration) {
        self.pass_until(self.world.clock.now() + span);
    }

    pub fn is_violated(&self) -> bool {
        self.world.ledger.borrow().violation().is_some()
    }

    /// No queue is longer than it may be (I6).
    fn check_bounds(&self) {
        let Some(service) = self.world.host.service() else { return };
        let mut ledger = self.world.ledger.borrow_mut();
        service.sessions().for_each(|channel| {
            let (entries, all) = channel.waiting();
            let most = 64 + service.protocol().send_window as usize + 32;
            ledger.check(entries <= 64 && all <= most, || format!("I6: a channel holds {entries} entries of {all}"));
        });
    }
}
