//! The conversation list, loaded when this device has none. After a reset also what this device has missed, asked for
//! conversation by conversation once the list is here, so that each message is shown once. Only the newest of each
//! conversation are loaded; older ones are in the history. Large groups catch up as they always do (`places.rs`).
//!
//! Meanwhile the log goes on from its head and is shown as it comes. Each conversation has a mark that joins the two:
//!
//! ```text
//!   cseq   1 ··· high | missed: loaded here | live_from ··· live_to | to come
//! ```

use hongyan_proto::{
    ConversationId,
    wire::{self, FailureCode, entry::Item, response::Result as Answer},
};

use super::{
    reload::{Ask, Reload, Step},
    requests::Asker,
    round::Round,
    state::Driver,
};
use crate::store::{ConversationMark, stored_event::Kind};

/// Most messages that are loaded of one conversation.
const NEWEST: usize = 200;
/// Their bytes, roughly.
const NEWEST_BYTES: usize = 1 << 20;

impl Driver {
    /// The log goes on from `head`, and what this device has missed below it will not be pushed.
    pub(super) fn on_reset(&mut self, log_epoch: u64, head: u64, round: &mut Round) {
        let new_log = self.meta.log_epoch != 0 && log_epoch != self.meta.log_epoch;
        if !self.meta.reloading {
            self.keep(Kind::Reset(true), round);
        }
        for (peer, mark) in &mut self.marks {
            if new_log {
                mark.loaded = 0;
                mark.own_ahead.clear();
            }
            if mark.live_from != 0 && !mark.large {
                // A second reset before the first was made good: what it missed is left to the history.
                end_live(mark);
            }
            round.marks.push(peer.clone());
        }
        self.forget_list(round);
        self.large.on_reset(new_log);
        self.meta.new_log = new_log || self.meta.reloading && self.meta.new_log;
        self.meta.reloading = true;
        self.meta.log_epoch = log_epoch;
        self.meta.cursor = Some(head);
        round.meta = true;
        self.held.clear();
        self.restart_reload();
    }

    /// Begins anew on a new connection; conversations that are loaded are found to be complete.
    pub(super) fn restart_reload(&mut self) {
        self.requests.forget_own();
        self.reload = Reload::default();
        if self.meta.reloading || !self.meta.listed {
            self.reload.step = Step::Ready(Ask::List { after: 0 });
        }
    }

    /// Asks the next question, if there is one and room for its answer.
    pub(super) fn advance_reload(&mut self) {
        if !self.active.as_ref().is_some_and(|line| line.connection.is_live()) || self.queue.is_full() {
            return;
        }
        match std::mem::take(&mut self.reload.step) {
            Step::Ready(ask) => {
                if matches!(ask, Ask::List { .. }) {
                    self.rows.on_asked();
                }
                self.requests.ask(ask.op(), Asker::Reload);
                self.reload.step = Step::Asked(ask);
            }
            other => self.reload.step = other,
        }
    }

    /// Notes the newest message that has come of a conversation, or was sent to it. False: it was loaded before.
    pub(super) fn note_newest(&mut self, peer: &str, cseq: u64, time_ms: u64, round: &mut Round) -> bool {
        let mark = self.marks.entry(peer.to_owned()).or_default();
        mark.own_ahead.retain(|own| *own != cseq);
        if cseq <= mark.loaded {
            return false;
        }
        if self.meta.reloading && !self.reload.loaded.contains(peer) {
            if mark.live_from == 0 {
                mark.live_from = cseq;
            }
            (mark.live_to, mark.live_time_ms) = (cseq, time_ms);
        } else {
            (mark.high, mark.high_time_ms) = (cseq, time_ms);
        }
        round.marks.push(peer.to_owned());
        true
    }

    /// A message of this device was taken before the log has come to it. What is loaded meanwhile may hold it too.
    pub(super) fn note_own_ahead(&mut self, peer: &str, cseq: u64, round: &mut Round) {
        let mark = self.marks.entry(peer.to_owned()).or_default();
        if cseq > mark.high.max(mark.loaded) {
            mark.own_ahead.push(cseq);
            round.marks.push(peer.to_owned());
        }
    }

    pub(super) fn on_reload_response(&mut self, answer: Answer, round: &mut Round) {
        let Step::Asked(ask) = std::mem::take(&mut self.reload.step) else { return };
        match (ask, answer) {
            (Ask::List { after }, Answer::Conversations(page)) => {
                page.conversations.into_iter().for_each(|row| self.on_listed_row(row, round));
                if page.next > after {
                    self.reload.step = Step::Ready(Ask::List { after: page.next });
                } else {
                    self.on_listed(round);
                    self.next_conversation(round);
                }
            }
            (Ask::Page { peer, after, .. }, Answer::History(page)) => self.on_page(peer, after, page, round),
            (_, Answer::Failure(failure)) if failure.code() == FailureCode::FailureUnavailable => {
                // It is begun anew after the next login.
                tracing::warn!(reason = failure.reason, "the server cannot give what was missed now");
            }
            (Ask::Page { peer, .. }, _) => self.finish_conversation(peer, round),
            (Ask::List { .. }, _) => {
                self.on_listed(round);
                self.finish_reload(round);
            }
        }
    }

    fn on_listed_row(&mut self, row: wire::Conversation, round: &mut Round) {
        let (name, head) = (row.conversation.clone(), row.head_cseq);
        if ConversationId::new(&name).is_err() {
            return;
        }
        self.on_answered_row(row, round);
        if self.is_large(&name) {
            self.on_large_row(&name, head, round);
        } else if self.meta.reloading && self.is_missing(&name, head) {
            self.reload.todo.push_back(name);
        }
    }

    fn is_missing(&self, name: &str, head: u64) -> bool {
        let Some(mark) = self.marks.get(name) else { return head > 0 };
        let end = if mark.live_from == 0 { head } else { mark.live_from - 1 };
        end > 0 && (self.meta.new_log || end > mark.high)
    }

    fn next_conversation(&mut self, round: &mut Round) {
        self.reload.collected.clear();
        let Some(peer) = self.reload.todo.pop_front() else {
            return self.finish_reload(round);
        };
        let (high, live_from) = self.marks.get(&peer).map_or((0, 0), |mark| (mark.high, mark.live_from));
        let after = if self.meta.new_log { 0 } else { high };
        self.reload.step = Step::Ready(Ask::Page { peer, after, before: live_from });
    }

    /// Pages come newest first.
    fn on_page(&mut self, peer: String, after: u64, page: wire::HistoryPage, round: &mut Round) {
        let oldest = page.entries.first().and_then(as_message).map_or(0, |message| message.cseq);
        let collected = &mut self.reload.collected;
        collected.splice(0..0, page.entries);
        let bytes: usize = collected.iter().filter_map(as_message).map(|message| message.content.len()).sum();
        if page.more && oldest > after.saturating_add(1) && collected.len() < NEWEST && bytes < NEWEST_BYTES {
            self.reload.step = Step::Ready(Ask::Page { peer, after, before: oldest });
            return;
        }
        let is_own = |message: &wire::Message| message.act.is_none() && message.from == self.meta.uid;
        let has_own = collected.iter().filter_map(as_message).any(is_own);
        match self.outbox.last() {
            Some(until) if has_own && self.outbox.has_message_to(&peer) => {
                self.reload.step = Step::Answers { peer, until };
            }
            _ => self.finish_conversation(peer, round),
        }
    }

    /// A message or act of this device was answered.
    pub(super) fn on_answer_to_reload(&mut self, round: &mut Round) {
        let is_due = |until: u64| self.outbox.first().is_none_or(|first| first > until);
        if let Step::Answers { peer, until } = &self.reload.step
            && is_due(*until)
        {
            let peer = peer.clone();
            self.finish_conversation(peer, round);
        }
    }

    fn finish_conversation(&mut self, peer: String, round: &mut Round) {
        let mut entries = std::mem::take(&mut self.reload.collected);
        entries.drain(..entries.len().saturating_sub(NEWEST));
        let mark = self.marks.entry(peer.clone()).or_default();
        let (high, high_time_ms, live_from) = (mark.high, mark.high_time_ms, mark.live_from);
        let new_log = self.meta.new_log;
        entries.retain(|entry| as_message(entry).is_some_and(|message| live_from == 0 || message.cseq < live_from));
        let newest = entries.last().and_then(as_message).map_or((0, 0), |message| (message.cseq, message.time_ms));
        // In another log a number may stand for another message; then only the time tells whether it was seen.
        let seen = |message: &wire::Message| message.cseq <= high && (!new_log || message.time_ms <= high_time_ms);
        // What this device itself has sent was told as Sent.
        let told = |message: &wire::Message| mark.own_ahead.contains(&message.cseq);
        entries.retain(|entry| !as_message(entry).is_some_and(|message| seen(message) || told(message)));
        mark.loaded = newest.0.max(mark.loaded);
        mark.own_ahead.retain(|own| *own > mark.loaded);
        if mark.live_from != 0 {
            end_live(mark);
        } else if new_log || newest.0 > mark.high {
            (mark.high, mark.high_time_ms) = newest;
        }
        for mut entry in entries {
            entry.useq = 0;
            self.keep(Kind::Entry(entry), round);
        }
        round.marks.push(peer.clone());
        self.reload.loaded.insert(peer);
        self.next_conversation(round);
    }

    fn finish_reload(&mut self, round: &mut Round) {
        for (peer, mark) in self.marks.iter_mut().filter(|(_, mark)| mark.live_from != 0 && !mark.large) {
            end_live(mark);
            round.marks.push(peer.clone());
        }
        self.meta.reloading = false;
        self.meta.new_log = false;
        round.meta = true;
        self.reload = Reload::default();
    }
}

/// What was pushed live is now simply the newest that is known.
fn end_live(mark: &mut ConversationMark) {
    (mark.high, mark.high_time_ms) = (mark.live_to, mark.live_time_ms);
    (mark.live_from, mark.live_to, mark.live_time_ms) = (0, 0, 0);
}

fn as_message(entry: &wire::Entry) -> Option<&wire::Message> {
    match &entry.item {
        Some(Item::Message(message)) => Some(message),
        _ => None,
    }
}
