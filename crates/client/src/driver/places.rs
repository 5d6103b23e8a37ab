//! Groups above the server's fan-out threshold: their entries have no number in the user's log. This device keeps its
//! place in each of them by cseq, and fetches what lies between its place and what it hears of.
//!
//! ```text
//!   cseq   1 ··· high | missed: fetched in rising order | heads
//!                     ^ the place: durable together with the events it has brought
//! ```
//!
//! What comes next in order is shown at once; everything above is only a sign of how far the group has grown. So nothing
//! is lost or shown twice, whatever was dropped, repeated or came in another order.

use hongyan_proto::wire::{self, act::What, entry::Item, request::Op, response::Result as Answer};

use super::{requests::Asker, round::Round, state::Driver};
use crate::store::{ConversationMark, Skipped, stored_event::Kind};

/// A device that is further behind leaves the older ones to the history.
const MAX_BEHIND: u64 = 1000;
/// How many of them it loads all the same.
const NEWEST: u64 = 200;
const PAGE: u32 = 200;

impl Driver {
    pub(super) fn is_large(&self, conversation: &str) -> bool {
        self.marks.get(conversation).is_some_and(|mark| mark.large)
    }

    /// An entry of a large group, beside the log or in it.
    pub(super) fn on_large(&mut self, group: String, entry: wire::Entry, round: &mut Round) {
        let Some(Item::Message(message)) = &entry.item else { return };
        let cseq = message.cseq;
        let is_joining = adds(message, &self.meta.uid);
        // Numbers of another log: the place in it is found with the list.
        if self.meta.new_log && !self.meta.listed {
            self.large.on_head(&group, cseq);
            return;
        }
        let mark = self.marks.entry(group.clone()).or_default();
        if cseq <= mark.high {
            return;
        }
        if is_joining || mark.high == 0 {
            self.begin_at(&group, cseq - 1, round);
        }
        if entry.own_send_no != 0 {
            self.on_own_in_large(&group, message, round);
        } else if cseq == self.place(&group) + 1 && self.may_show(&group, &entry) {
            self.advance_place(&group, entry, round);
        } else {
            self.large.on_head(&group, cseq);
        }
    }

    fn place(&self, group: &str) -> u64 {
        self.marks.get(group).map_or(0, |mark| mark.high)
    }

    /// Whether there is room, and it is certain who has sent it: of what this user writes, this device is told by its
    /// answers, which may come later.
    fn may_show(&self, group: &str, entry: &wire::Entry) -> bool {
        let Some(Item::Message(message)) = &entry.item else { return false };
        let is_own = message.act.is_none() && message.from == self.meta.uid;
        let was_told = self.marks.get(group).is_some_and(|mark| mark.own_ahead.contains(&message.cseq));
        !self.queue.is_full() && (!is_own || was_told || entry.useq != 0 || !self.outbox.has_message_to(group))
    }

    /// A message that this device has sent, and was told of.
    fn on_own_in_large(&mut self, group: &str, message: &wire::Message, round: &mut Round) {
        let mark = self.marks.entry(group.to_owned()).or_default();
        if message.cseq == mark.high + 1 {
            (mark.high, mark.high_time_ms) = (message.cseq, message.time_ms);
            self.fold(group, message, round);
        } else if !mark.own_ahead.contains(&message.cseq) {
            mark.own_ahead.push(message.cseq);
        }
        self.large.on_head(group, message.cseq);
        round.marks.push(group.to_owned());
    }

    /// The next entry in order.
    fn advance_place(&mut self, group: &str, entry: wire::Entry, round: &mut Round) {
        let Some(Item::Message(message)) = &entry.item else { return };
        let mark = self.marks.entry(group.to_owned()).or_default();
        let is_shown = was_shown(mark, message);
        if message.time_ms > mark.shown_until_ms {
            mark.shown_until_ms = 0;
        }
        (mark.high, mark.high_time_ms) = (message.cseq, message.time_ms);
        mark.own_ahead.retain(|own| *own > message.cseq);
        if mark.live_to <= mark.high {
            (mark.live_from, mark.live_to, mark.live_time_ms) = (0, 0, 0);
        }
        round.marks.push(group.to_owned());
        self.fold(group, message, round);
        if !is_shown {
            self.show(entry, round);
        }
    }

    /// The place jumps: everything up to `place` is left to the history. A member who has just come begins here.
    fn begin_at(&mut self, group: &str, place: u64, round: &mut Round) {
        let mark = self.marks.entry(group.to_owned()).or_default();
        let after_cseq = mark.high;
        if place <= after_cseq {
            return;
        }
        mark.high = place;
        mark.own_ahead.retain(|own| *own > place);
        round.marks.push(group.to_owned());
        if after_cseq > 0 {
            let conversation = group.to_owned();
            self.keep(Kind::Skipped(Skipped { conversation, after_cseq, before_cseq: place + 1 }), round);
            self.ask_row_again(group);
        }
    }

    /// A large group of the list that was loaded.
    pub(super) fn on_large_row(&mut self, group: &str, head: u64, round: &mut Round) {
        let Self { meta, marks, .. } = self;
        let mark = marks.entry(group.to_owned()).or_default();
        if meta.new_log {
            // In another log a number may stand for another message; then only the time tells whether it was seen.
            mark.shown_until_ms = mark.shown_until_ms.max(mark.high_time_ms);
            mark.high = mark.high.min(head.saturating_sub(NEWEST)).max(1).min(head);
            mark.own_ahead.clear();
        } else if mark.high == 0 {
            mark.high = if meta.reloading { head.saturating_sub(NEWEST).max(1).min(head) } else { head };
        }
        round.marks.push(group.to_owned());
        self.large.on_head(group, head);
    }

    /// The line of a large group, as the log tells it. A member who has just come begins where they can see.
    pub(super) fn on_large_told(&mut self, row: &wire::Conversation, round: &mut Round) {
        let group = &row.conversation;
        let begin = if row.first_cseq > 0 { row.first_cseq - 1 } else { row.read_cseq };
        if self.place(group) == 0 || row.first_cseq > self.place(group) + 1 {
            self.begin_at(group, begin, round);
        }
        self.large.on_head(group, row.head_cseq);
    }

    /// Asks for what is missing in the next group that is behind.
    pub(super) fn advance_gaps(&mut self, round: &mut Round) {
        let is_live = self.active.as_ref().is_some_and(|line| line.connection.is_live());
        if !is_live || !self.meta.listed || self.large.asked.is_some() || self.queue.is_full() {
            return;
        }
        while let Some((group, head)) = self.large.next() {
            if self.place(&group) == 0 && self.is_large(&group) {
                // Never told how far this device is: it begins here.
                self.begin_at(&group, head, round);
            }
            if head <= self.place(&group) || !self.is_large(&group) {
                self.large.heads.remove(&group);
                continue;
            }
            if head - self.place(&group) > MAX_BEHIND {
                self.begin_at(&group, head - NEWEST, round);
            }
            let request = wire::HistoryRequest {
                conversation: group.clone(),
                after: self.place(&group),
                limit: PAGE,
                forward: true,
                ..Default::default()
            };
            self.requests.ask(Op::History(request), Asker::Gap);
            self.large.asked = Some(group);
            return;
        }
    }

    pub(super) fn on_gap_response(&mut self, answer: Answer, round: &mut Round) {
        let Some(group) = self.large.asked.take() else { return };
        let page = match answer {
            Answer::History(page) => page,
            // A later entry or the next login brings it up again.
            other => {
                tracing::warn!(group, ?other, "the server does not give what was missed");
                self.large.heads.remove(&group);
                return;
            }
        };
        let is_empty = page.entries.is_empty();
        let before = self.place(&group);
        for mut entry in page.entries {
            let Some(Item::Message(message)) = &entry.item else { continue };
            if message.cseq <= self.place(&group) {
                continue;
            }
            if !self.may_show(&group, &entry) {
                // It is asked for again when there is room, or when the answer has come.
                self.large.on_head(&group, page.head_cseq);
                if !self.queue.is_full() {
                    self.large.waiting.insert(group);
                }
                return;
            }
            // What cannot be seen leaves holes.
            self.marks.entry(group.clone()).or_default().high = message.cseq - 1;
            entry.useq = 0;
            self.advance_place(&group, entry, round);
        }
        if is_empty || self.place(&group) == before && !page.more {
            // Nothing of what lies above can be seen.
            self.large.heads.remove(&group);
        } else {
            self.large.on_head(&group, page.head_cseq);
        }
    }
}

/// Whether a message was shown before: as this device's own, while the group was loaded, or in another log.
fn was_shown(mark: &ConversationMark, message: &wire::Message) -> bool {
    let live = mark.live_from != 0 && (mark.live_from..=mark.live_to).contains(&message.cseq);
    live || mark.own_ahead.contains(&message.cseq) || message.time_ms <= mark.shown_until_ms
}

/// Whether `me` is a member from here on.
fn adds(message: &wire::Message, me: &str) -> bool {
    match message.act.as_ref().and_then(|act| act.what.as_ref()) {
        Some(What::GroupInvite(invite)) => invite.uids.iter().any(|uid| uid == me),
        Some(What::GroupJoin(_)) => message.from == me,
        _ => false,
    }
}
