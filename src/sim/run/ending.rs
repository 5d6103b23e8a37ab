//! How a run ends: everything is healed, everything must come true, and everybody leaves.

use std::{cell::RefCell, collections::BTreeMap, ops::RangeInclusive, rc::Rc, time::Duration};

use super::{agenda::Act, state::Run};
use crate::{
    log::verify,
    sim::{
        conversation::{Conversation, Stay},
        device::{Device, Wish},
        disk::DiskSpeed,
        ledger::Sight,
        plan,
    },
};

/// How long everything may take to drain once nothing is wrong any more.
const TIME_TO_DRAIN: Duration = Duration::from_secs(400);
/// How soon a message must be everywhere when nothing is wrong and nobody else writes.
const PROMPT: Duration = Duration::from_secs(2);

impl Run {
    /// From now on nothing goes wrong.
    pub fn heal(&mut self) {
        self.executor.pause_server(false);
        self.mend_disk();
        self.world.host.disk.fail_next_sync(false);
        self.world.clock.set_calendar_off_by(0);
        for act in self.agenda.take_all() {
            if let Act::Want(_) = act {
                self.act(act);
            }
        }
        let is_sound = self.world.host.service().is_some_and(|service| !service.is_draining());
        if !is_sound || self.world.host.disk.is_failed() {
            self.kill(false);
            self.agenda.clear();
            self.world.host.start();
        }
        self.plan.disk = DiskSpeed { commit_us: 1_000, yields_one_in: 0 };
        self.mend_disk();
        self.devices.iter().for_each(|device| device.borrow_mut().heal());
    }

    /// Everything that was promised must come true now (I1, I7).
    pub fn drain(&mut self) {
        let end = self.world.clock.now() + TIME_TO_DRAIN;
        // A commit that began while the disk was slow ends.
        self.pass(plan::SLOW_DISK.longest());
        while !self.is_violated() && self.undrained().is_some() {
            if self.world.clock.now() >= end {
                let lacking = self.undrained().unwrap_or_default();
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
        let ledger = self.world.ledger.borrow();
        if let Some(unseen) = ledger.any_unseen() {
            return Some(unseen);
        }
        let stays = |conversation| match conversation {
            Conversation::Two(a, b) => vec![(a, Stay::ALWAYS), (b, Stay::ALWAYS)],
            Conversation::Group(group) => ledger.members(group).last_stays(),
        };
        let due: Vec<_> = ledger.heads().into_iter().map(|(which, head)| (which, head, stays(which))).collect();
        drop(ledger);
        self.devices.iter().find_map(|device| {
            let device = device.borrow();
            due.iter().find_map(|(conversation, head, stays)| {
                let (_, stay) = stays.iter().find(|(user, _)| *user == device.user)?;
                self.lacking_on(&device, *conversation, stay.from..=stay.to.unwrap_or(*head))
            })
        })
    }

    /// The same, or that a device reads the log: it may have all it lacks, and much of its own before what comes next.
    fn undrained(&self) -> Option<String> {
        self.lacking().or_else(|| {
            let mut lagging = None;
            self.world.host.service()?.sessions().for_each(|channel| {
                if channel.is_lagging() {
                    lagging = Some(format!("a device of {:?} still reads the log", channel.id.user));
                }
            });
            lagging
        })
    }

    fn lacking_on(&self, device: &Device, of: Conversation, due: RangeInclusive<u64>) -> Option<String> {
        let (user, name) = (device.user, &device.name);
        if let Some(cseq) = due.clone().find(|cseq| !device.notebook.has(of, *cseq)) {
            return Some(format!("I1: u{user} {name} has not {cseq} of {of:?}, of which it should have {due:?}"));
        }
        let Conversation::Two(a, b) = of else { return None };
        let (peer, ledger) = (a + b - user, self.world.ledger.borrow());
        let (delivered, read) = device.notebook.receipts.get(&(of, peer)).copied().unwrap_or_default();
        let due_read = ledger.newest_from(user, of, ledger.marked(peer, of));
        let mut peers = self.devices.iter().map(|device| device.borrow()).filter(|device| device.user == peer);
        // A device that has loaded what it missed acks nothing before the next entry.
        let is_owed = self.has_written_more || !peers.any(|device| device.notebook.was_reset);
        let due = if is_owed { ledger.newest_from(user, of, u64::MAX) } else { 0 };
        let is_told = delivered.max(read) >= due && read >= due_read;
        (peer != user && !is_told && !device.notebook.was_reset)
            .then(|| format!("u{user} {name} knows of u{peer} only {delivered} and {read}, not {due} and {due_read}"))
    }

    /// What everybody sees of every message at the end is the same: its newest edit, or nothing if it was taken back.
    fn compare(&self) {
        let mut ledger = self.world.ledger.borrow_mut();
        let last: BTreeMap<_, _> = ledger.heads().into_iter().map(|(of, _)| (of, ledger.last_sights(of))).collect();
        for device in &self.devices {
            let device = device.borrow();
            for (conversation, lines) in &device.notebook.shown {
                let stay = match conversation {
                    Conversation::Group(group) => ledger.members(*group).last_stay(device.user),
                    Conversation::Two(..) => Some(Stay::ALWAYS),
                };
                let Some(stay) = stay.filter(|stay| stay.to.is_none()) else { continue };
                for (cseq, shown) in lines.range(stay.from..) {
                    if !matches!(shown.sight, Sight::Message { .. } | Sight::Empty { .. }) {
                        continue;
                    }
                    let last = last.get(conversation).and_then(|last| last.get(cseq));
                    ledger.check(last.is_none_or(|last| *last == shown.sight), || {
                        let (user, name) = (device.user, &device.name);
                        format!("I3: u{user} {name} sees {shown:?} at {cseq} of {conversation:?}, not {last:?}")
                    });
                }
            }
        }
    }

    /// With nothing else to do, a message is everywhere at once.
    pub fn write_once_more(&mut self) {
        if self.is_violated() {
            return;
        }
        self.world.ledger.borrow_mut().rest();
        for number in 0..self.devices.len() {
            let (user, users) = (self.plan.devices[number], self.plan.users);
            self.devices[number].borrow_mut().submit(&Wish::Write((user + 1) % users), 10);
            self.devices[number].borrow_mut().submit(&Wish::Post, 10);
        }
        self.has_written_more = true;
        self.pass(PROMPT);
        if let Some(lacking) = self.lacking().filter(|_| !self.is_violated()) {
            self.world.ledger.borrow_mut().violated(|| format!("I7: all is well, but not prompt: {lacking}"));
        }
        self.world.ledger.borrow_mut().rest();
        self.compare();
    }

    /// The map of live devices is right, with all of them and with none; the store agrees with itself (I3, I9).
    pub fn leave(&mut self) {
        // Whoever is half-open is found out by its silence.
        self.pass(self.plan.config.heartbeat.interval * 2 + Duration::from_secs(1));
        self.check_sessions(self.devices.len());
        self.devices.iter().for_each(|device| device.borrow_mut().turn_off(true));
        self.pass(Duration::from_secs(5));
        self.check_sessions(0);
        if self.is_violated() {
            return;
        }
        let mut ledger = self.world.ledger.borrow_mut();
        for id in self.world.host.disk.contents() {
            let is_gone = ledger.is_gone(id as usize);
            ledger.check(!is_gone, || format!("I5: the content {id} was taken back, and is still in the store"));
        }
        drop(ledger);
        let report = verify::verify(&*self.world.host.disk);
        let problems = report.map_or_else(|error| vec![error.to_string()], |report| report.problems);
        self.world.ledger.borrow_mut().check(problems.is_empty(), || format!("I3: the store: {problems:?}"));
    }

    fn check_sessions(&self, devices: usize) {
        let Some(service) = self.world.host.service().filter(|_| !self.is_violated()) else { return };
        let (sessions, links) = (service.sessions().len(), self.world.host.links());
        self.world.ledger.borrow_mut().check(sessions == devices && links == devices, || {
            format!("I9: {devices} devices are live, {sessions} in the map, {links} links")
        });
        let is_clean = devices > 0 || service.sessions().is_empty();
        self.world.ledger.borrow_mut().check(is_clean, || "I9: the map holds users without devices".into());
    }
}
