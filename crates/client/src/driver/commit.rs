//! The end of a turn: what it has brought is committed, then told, then written to the server.

use hongyan_proto::{Uid, wire};

use super::{
    clock::now,
    round::Round,
    state::{Driver, MAX_OUT, Next},
};
use crate::{
    error::{ClientError, ErrorKind},
    store::{OutboxItem, StoreError},
};

impl Driver {
    /// Writes the round, then tells everybody.
    pub(super) async fn commit(&mut self, mut round: Round) -> Result<(), ClientError> {
        if round.meta {
            round.change.meta = Some(self.meta.clone());
        }
        round.marks.sort();
        round.marks.dedup();
        for peer in round.marks {
            let mark = self.marks.get(&peer).cloned().unwrap_or_default();
            round.change.conversations.push((peer, mark));
        }
        if !round.change.is_empty() {
            round.change.shown = self.queue.shown();
            self.keeper.commit(round.change).await?;
        }
        for (caller, send_no) in round.queued {
            let _ = caller.send(Ok(send_no));
        }
        for (caller, outcome) in round.outcomes {
            let _ = caller.send(outcome);
        }
        for (caller, list) in round.lists {
            let _ = caller.send(list);
        }
        self.queue.give(round.events);
        if round.logged_in
            && let (Some(first), Ok(uid)) = (self.first.take(), Uid::new(&self.meta.uid))
        {
            let _ = first.send(Ok(uid));
        }
        let (cursor, last) = (self.meta.cursor.unwrap_or(0), self.meta.last_send_no);
        if let Some(line) = self.line() {
            line.connection.queued(last);
            if line.connection.is_live() {
                line.connection.stored(cursor.min(line.connection.applied()));
            }
        }
        Ok(())
    }

    /// Reads events back from the store that memory had no room for.
    pub(super) async fn refill(&mut self) -> Result<(), ClientError> {
        while let (Some((after, page)), Ok(uid)) = (self.queue.lacks(), Uid::new(&self.meta.uid)) {
            let events = self.keeper.events(after, page).await?;
            if events.is_empty() {
                let what = StoreError::Damaged { what: "events are missing that were counted before" };
                return Err(ClientError::with(ErrorKind::Store, "the local store failed", what));
            }
            self.queue.refill(&uid, events);
        }
        Ok(())
    }

    /// Puts everything that may leave into the link's queue.
    pub(super) fn write(&mut self) {
        let now = now();
        let Self { active, next, outbox, requests, grease, .. } = self;
        let Some(line) = (match next {
            Next::Login(line) => Some(&mut **line),
            _ => active.as_mut(),
        }) else {
            return;
        };
        let mut room = MAX_OUT.saturating_sub(line.link.queued());
        if line.connection.is_live() && room > 0 {
            requests.write(&mut line.connection, now);
        }
        while let Some(send_no) = line.connection.poll_send(now).filter(|_| room > 0) {
            let Some(item) = outbox.find(send_no) else {
                line.connection.fill(send_no, now);
                continue;
            };
            room = room.saturating_sub(item.content.len() + 64);
            let OutboxItem { to, content, extras, act, .. } = item.clone();
            let send = wire::Send { send_no, to, content, extras, act };
            line.connection.send(&send, now);
        }
        let output = line.connection.take_output(now);
        let writes = !output.is_empty();
        line.link.queue(output);
        if writes && *grease && line.connection.is_live() && rand::random_ratio(1, 32) {
            line.connection.grease(rand::random());
        }
    }
}
