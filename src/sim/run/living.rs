//! The life of a world: the plan's wishes and faults happen to it, in their order.

use std::time::Duration;

use hongyan_proto::CloseCode;

use super::{agenda::Act, state::Run};
use crate::sim::{
    network::Cut,
    plan::{self, Fault, Wanted},
    rogue,
};

impl Run {
    /// Up to the end of what the plan has for it.
    pub fn live(&mut self) {
        let end = self.begun + self.plan.active;
        while let Some((at, act)) = self.agenda.next(end) {
            self.pass_until(at);
            self.act(act);
        }
        self.pass_until(end);
    }

    pub fn act(&mut self, act: Act) {
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
                if let Some(service) = self.world.host.service().filter(|service| service.is_draining()) {
                    service.end_all(CloseCode::GOING_AWAY, "the server stops");
                }
            }
            Act::DrainEnd => {
                if let Some(service) = self.world.host.service().filter(|service| service.is_draining()) {
                    service.close();
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
                let service = self.world.host.service();
                service.iter().for_each(|service| {
                    (0..hours).for_each(|_| assert!(service.count_hour() || service.is_draining()))
                });
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
                let Some(service) = self.world.host.service() else { return };
                service.start_draining();
                let second = Duration::from_secs(1);
                service.ask_to_move(2 * second, second);
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

    pub fn mend_disk(&mut self) {
        let disk = &self.world.host.disk;
        disk.fill_up(false);
        disk.fail_reads(false);
        disk.set_speed(self.plan.disk);
    }

    /// The server's process ends, or the whole machine does; soon after, it starts again.
    pub fn kill(&mut self, is_power_cut: bool) {
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
