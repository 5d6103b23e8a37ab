//! How a run ends: everything is healed, everything must come true, and everybody leaves.

use std::{cell::RefCell, rc::Rc, time::Duration};

use super::{Act, Run};
use crate::{
    log::verify,
    sim::{device::Device, disk::DiskSpeed, ledger::Pair},
};

/// How long everything may take to drain once nothing is wrong any more.
const TIME_TO_DRAIN: Duration = Duration::from_secs(400);
/// How soon a message must be everywhere when nothing is wrong and nobody else writes.
const PROMPT: Duration = Duration::from_secs(2);

impl Run {
    /// From now on nothing goes wrong.
    pub(super) fn heal(&mut self) {
        self.executor.pause_server(false);
        self.mend_disk();
        self.world.host.disk.fail_next_sync(false);
        self.world.clock.set_calendar_off_by(0);
        let wishes: Vec<Act> = std::mem::take(&mut self.acts).into_values().collect();
        for act in wishes {
            if let Act::Wish(_) = act {
                self.act(act);
            }
        }
        let is_sound = self.world.host.core().is_some_and(|core| !core.is_draining());
        if !is_sound || self.world.host.disk.is_failed() {
            self.kill(false);
            self.acts.clear();
            self.world.host.start();
        }
        self.plan.disk = DiskSpeed { commit_us: 1_000, yields_one_in: 0 };
        self.mend_disk();
        self.devices.iter().for_each(|device| device.borrow_mut().heal());
    }

    /// Everything that was promised must come true now (I1, I7).
    pub(super) fn drain(&mut self) {
        let end = self.world.clock.now() + TIME_TO_DRAIN;
        self.pass(Duration::from_millis(100));
        while !self.is_violated() && self.lacking().is_some() {
            if self.world.clock.now() >= end {
                let lacking = self.lacking().unwrap_or_default();
                return self.world.ledger.borrow_mut().violated(|| format!("I7: after healing, {lacking}"));
            }
            self.pass(Duration::from_secs(1));
        }
    }

    /// What somebody still waits for.
    fn lacking(&self) -> Option<String> {
        let idle = |device: &Rc<RefCell<Device>>| device.borrow().is_idle();
        if let Some(device) = self.devices.iter().find(|device| !idle(device)) {
            let device = device.borrow();
            return Some(format!("u{} {} is not done: {}", device.user, device.name, device.describe()));
        }
        let heads = self.world.ledger.borrow().heads();
        self.devices.iter().find_map(|device| self.lacking_on(&device.borrow(), &heads))
    }

    fn lacking_on(&self, device: &Device, heads: &[(Pair, u64)]) -> Option<String> {
        let user = device.user;
        for (pair, head) in heads.iter().filter(|(pair, _)| pair.0 == user || pair.1 == user) {
            let shown = device.notebook.shown.get(pair);
            let missing = (1..=*head).find(|cseq| !shown.is_some_and(|shown| shown.contains_key(cseq)));
            if let Some(cseq) = missing {
                return Some(format!("I1: u{user} {} has no message {cseq} of {pair:?}", device.name));
            }
            let peer = if pair.0 == user { pair.1 } else { pair.0 };
            let due = self.world.ledger.borrow().newest_from(user, peer);
            let receipt = device.notebook.receipts.get(&peer).copied().unwrap_or(0);
            if peer != user && receipt < due && !device.notebook.was_reset {
                return Some(format!("u{user} {} has no receipt of {due} from u{peer}", device.name));
            }
        }
        None
    }

    /// With nothing else to do, a message is everywhere at once.
    pub(super) fn write_once_more(&mut self) {
        if self.is_violated() {
            return;
        }
        self.world.ledger.borrow_mut().conversations();
        for number in 0..self.devices.len() {
            let (user, users) = (self.plan.devices[number], self.plan.users);
            self.devices[number].borrow_mut().submit((user + 1) % users, 10);
        }
        self.pass(PROMPT);
        if let Some(lacking) = self.lacking().filter(|_| !self.is_violated()) {
            self.world.ledger.borrow_mut().violated(|| format!("I7: all is well, but not prompt: {lacking}"));
        }
        self.world.ledger.borrow_mut().conversations();
    }

    /// The map of live devices is right, with all of them and with none; the store agrees with itself (I3, I9).
    pub(super) fn leave(&mut self) {
        // Whoever is half-open is found out by its silence.
        self.pass(self.plan.config.heartbeat.interval * 2 + Duration::from_secs(1));
        self.check_sessions(self.devices.len());
        self.devices.iter().for_each(|device| device.borrow_mut().turn_off(true));
        self.pass(Duration::from_secs(5));
        self.check_sessions(0);
        if self.is_violated() {
            return;
        }
        let report = verify::verify(&*self.world.host.disk);
        let problems = report.map_or_else(|error| vec![error.to_string()], |report| report.problems);
        self.world.ledger.borrow_mut().check(problems.is_empty(), || format!("I3: the store: {problems:?}"));
    }

    fn check_sessions(&self, devices: usize) {
        let Some(core) = self.world.host.core().filter(|_| !self.is_violated()) else { return };
        let (sessions, links) = (core.sessions.len(), self.world.host.links());
        self.world.ledger.borrow_mut().check(sessions == devices && links == devices, || {
            format!("I9: {devices} devices are live, {sessions} in the map, {links} links")
        });
        let is_clean = devices > 0 || core.sessions.is_empty();
        self.world.ledger.borrow_mut().check(is_clean, || "I9: the map holds users without devices".into());
    }
}
