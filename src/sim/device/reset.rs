//! A reset: the log goes on elsewhere, and what was missed before is loaded beside it.

use std::time::Duration;

use hongyan_proto::wire::{self, response::Result as Answer};

use super::{notebook::Note, state::Device};

impl Device {
    pub(super) fn on_reset(&mut self, log_epoch: u64, head: u64) {
        self.held.clear();
        self.round.push(Note::Reset { log_epoch, head });
        if let Some(line) = &mut self.line {
            line.reload = line.reload.anew(head);
        }
    }

    /// Something of what was missed, if it was asked for after the last reset.
    pub(super) fn on_reloaded(&mut self, response: wire::Response) {
        let Some(line) = self.line.as_mut().filter(|line| line.reload.id() == response.id) else { return };
        match response.result {
            Some(Answer::Conversations(page)) => {
                line.reload.list(&page);
                for row in &page.conversations {
                    self.on_row(row);
                }
            }
            Some(Answer::History(page)) => {
                line.reload.load(page).iter().for_each(|message| self.on_loaded(message));
            }
            // The store cannot be read now: all begins anew on the next connection.
            _ => return self.abandon(Duration::from_millis(100)),
        }
        if self.line.as_ref().is_some_and(|line| line.reload.is_done()) {
            self.round.push(Note::ReloadDone);
        }
    }
}
