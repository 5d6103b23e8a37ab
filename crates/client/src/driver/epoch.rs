//! A new beginning of this device's numbers, after one end has lost those that the other remembers (STATE_LOST).

use bytes::Bytes;
use hongyan_proto::CloseCode;

use super::{Driver, Round, login, now, retire};
use crate::ClientError;

impl Driver {
    /// Draws another device epoch and numbers what is unanswered anew from 1, as part of `round`. Callers keep the
    /// numbers they know. A message that the server had taken, without its answer coming through, is sent again as
    /// another one: nothing is left by which it could be recognised.
    ///
    /// # Errors
    /// It has just been done and has not helped; or there is no credential for the HELLO that must follow, which a
    /// later client on this store then says.
    pub(super) fn on_state_lost(
        &mut self,
        reason: &str,
        logged_in: bool,
        round: &mut Round,
    ) -> Result<(), ClientError> {
        if std::mem::replace(&mut self.epoch_unproved, true) {
            return Err(ClientError::from_close(CloseCode::STATE_LOST, reason, logged_in));
        }
        // A connection that was to be left knows the old numbers.
        if let Some(mut line) = self.active.take() {
            line.connection.close(CloseCode::NORMAL, "", now());
            retire(line);
            self.held.clear();
        }
        let items = self.outbox.renumber();
        let meta = &mut self.meta;
        tracing::warn!(reason, unanswered = items.len(), "the numbers of this device were lost: it begins a new epoch");
        let newest = meta.last_send_no + meta.ahead;
        meta.last_send_no = items.len() as u64;
        meta.ahead = newest - meta.last_send_no;
        meta.device_epoch = other_epoch(meta.device_epoch);
        meta.resume_token = Bytes::new();
        round.meta = true;
        round.change.queued.extend(items);
        self.login.hello(&self.meta, self.answered()).map(|_| ()).ok_or_else(login::required)
    }
}

/// Neither 0 nor the same.
fn other_epoch(old: u32) -> u32 {
    let drawn = rand::random_range(1..u32::MAX);
    if drawn < old { drawn } else { drawn + 1 }
}
