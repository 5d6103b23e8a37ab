//! What happens to a device from outside.

use std::time::{Duration, Instant};

use super::{
    notebook::Notebook,
    state::{Crash, Device},
};
use crate::sim::network::{Cut, Road};

impl Device {
    pub fn cut(&mut self, cut: Cut) {
        self.line.iter().for_each(|line| line.end.cut(cut));
        self.abandoned.iter().for_each(|(_, end)| end.cut(cut));
    }

    pub fn stall(&mut self, until: Instant) {
        self.line.iter().for_each(|line| line.end.stall(until));
    }

    /// The process ends at this point of its next turn, and starts again.
    pub fn crash_at(&mut self, crash: Crash) {
        self.crash = Some(crash);
        self.wake();
    }

    /// Loses its connection, and has so little patience that it gives the login on the next one up.
    pub fn give_up_login(&mut self, delay: Duration) {
        self.hasty = Some(delay);
        self.cut(Cut::Reset);
    }

    /// All that it knew is gone; it begins as a new device under its old name.
    pub fn lose_state(&mut self) {
        self.turn_back(Notebook::new(0));
        self.notebook.device_epoch = self.chance.within(1, 1 << 30) as u32;
    }

    /// Its disk shows what it held some time ago.
    pub fn turn_back(&mut self, notebook: Notebook) {
        let mut ledger = self.world.ledger.borrow_mut();
        let (old, new) = (self.notebook.outbox.values(), notebook.outbox.values());
        old.chain(new).for_each(|id| ledger.let_loose(*id));
        drop(ledger);
        self.notebook = notebook;
        self.is_suspect = true;
        self.restart();
    }

    /// Nothing bad happens to it any more.
    pub fn heal(&mut self) {
        let now = self.world.clock.now();
        (self.slow_until, self.deaf_until, self.crash, self.hasty) = (now, now, None, None);
        self.road = Road { latency: Duration::from_millis(5), jitter: Duration::ZERO, piece: 4096, capacity: 65536 };
        self.line.iter().for_each(|line| line.end.heal(self.road));
        if self.is_off {
            self.turn_off(false);
        }
        self.wake();
    }
}
