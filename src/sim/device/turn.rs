//! One turn of a device: read, understand, store, and only then ack, answer and write.

use std::task::Context;

use super::{
    line::Read,
    notebook::Note,
    state::{Crash, Device},
};

/// Bytes that may wait for the network before no more messages are written.
const MAX_OUT: usize = 64 * 1024;

impl Device {
    /// False: there is nothing more to do now. It `goes_on` if there was a turn before it at the same moment.
    pub(super) fn turn(&mut self, context: &mut Context<'_>, goes_on: bool) -> bool {
        let now = self.world.clock.now();
        if self.leave_at.is_some_and(|at| at <= now) {
            self.move_away();
            return true;
        }
        let read = self.read(context);
        let Some(line) = &mut self.line else { return true };
        if goes_on && read == Read::Part && line.out.is_empty() {
            // All that could be done without this frame is done.
            return true;
        }
        if line.connection.poll_timeout().is_some_and(|due| due <= now) {
            line.connection.handle_timeout(now);
        }
        self.handle_events();
        self.resume_held();
        if self.has_crashed(Crash::BeforeCommit) {
            return true;
        }
        self.commit();
        if self.has_crashed(Crash::AfterCommit) {
            return true;
        }
        self.ask();
        self.produce();
        let Some(line) = &mut self.line else { return true };
        line.write(context);
        if line.is_over {
            self.line = None;
            return true;
        }
        if !line.is_answered
            && let Some(delay) = self.hasty.take()
        {
            self.abandon(delay);
            return true;
        }
        read != Read::Nothing
    }

    fn read(&mut self, context: &mut Context<'_>) -> Read {
        let is_deaf = self.deaf_until > self.world.clock.now();
        let Some(line) = self.line.as_mut().filter(|_| !is_deaf) else { return Read::Nothing };
        let acked = self.notebook.cursor.unwrap_or(0).max(line.reload.base);
        let window = self.notebook.limits.as_ref().map_or(64, |limits| limits.push_window.into());
        let read = line.read(context, acked, window);
        match &read {
            Read::Wrong(broken) => {
                let broken = format!("u{} {}: {broken}", self.user, self.name);
                self.world.ledger.borrow_mut().violated(|| broken);
            }
            Read::End => self.on_broken(),
            Read::Nothing | Read::Part | Read::Frames => {}
        }
        read
    }

    /// Whether its process was to end here. It has, and has started again.
    fn has_crashed(&mut self, here: Crash) -> bool {
        let is_here = self.crash.take_if(|crash| *crash == here).is_some();
        if is_here {
            self.restart();
        }
        is_here
    }

    /// Writes what the turn has brought into the notebook, and tells the connection.
    fn commit(&mut self) {
        let mut ledger = self.world.ledger.borrow_mut();
        for note in self.round.drain() {
            match &note {
                Note::Shown { conversation, cseq, .. } => ledger.on_stored(self.user, *conversation, *cseq),
                Note::Reset { .. } => drop(ledger.reloading.insert(self.user)),
                Note::Receipt { conversation, by, delivered, read } => {
                    ledger.on_receipt(self.user, *conversation, *by, *delivered, *read);
                }
                _ => {}
            }
            if let Err(impossible) = self.notebook.write(note) {
                ledger.violated(|| format!("u{} {}: {impossible}", self.user, self.name));
            }
        }
        drop(ledger);
        let (cursor, last) = (self.notebook.cursor.unwrap_or(0), self.notebook.last_send_no);
        if let Some(line) = &mut self.line {
            line.connection.queued(last);
            if line.connection.is_live() {
                line.connection.stored(cursor.min(line.connection.applied()));
            }
        }
    }

    /// Asks for what it knows to be missing.
    fn ask(&mut self) {
        let Some(line) = self.line.as_mut().filter(|line| line.connection.is_live()) else { return };
        if self.notebook.is_reloading {
            line.reload.next_request().iter().for_each(|request| line.connection.request(request));
        } else {
            self.fetch_gap();
        }
    }

    /// Hands the network what the connection has to say now.
    fn produce(&mut self) {
        let now = self.world.clock.now();
        let Some(line) = &mut self.line else { return };
        let ledger = self.world.ledger.borrow();
        while line.out.len() < MAX_OUT
            && let Some(send_no) = line.connection.poll_send(now)
        {
            match self.notebook.outbox.get(&send_no) {
                Some(id) => line.connection.send(&ledger.send(*id, send_no), now),
                None => line.connection.fill(send_no, now),
            }
        }
        line.out.extend_from_slice(&line.connection.take_output(now));
    }
}
