//! The conversation list of this device: loaded once (`loading.rs`), then kept by folding every entry into it.
//!
//! What the server answers and what it pushes may cross. So a line that came out of the log since the question was
//! asked is newer than its answer, and an answer that is older than what was pushed is asked for again.

use hongyan_proto::{
    ConversationId, Uid,
    wire::{self, request::Op, response::Result as Answer},
};
use tokio::sync::oneshot;

use super::{requests::Asker, round::Round, rows::Rows, state::Driver};
use crate::{conversation::Conversation, fold, store::OutboxItem};

impl Driver {
    pub(super) fn tell_list(&mut self, reply: oneshot::Sender<Vec<Conversation>>, round: &mut Round) {
        if self.meta.listed {
            round.lists.push((reply, self.list()));
        } else {
            self.rows.waiting.retain(|waiting| !waiting.is_closed());
            self.rows.waiting.push(reply);
        }
    }

    fn list(&self) -> Vec<Conversation> {
        let Ok(me) = Uid::new(&self.meta.uid) else { return Vec::new() };
        let rows = self.marks.values().filter_map(|mark| mark.row.as_deref().cloned());
        let mut list: Vec<_> = rows.filter_map(|row| Conversation::read(&me, row)).collect();
        list.sort_by(Conversation::order);
        list
    }

    /// This device has left things out that a line counts.
    pub(super) fn ask_row_again(&mut self, conversation: &str) {
        self.rows.stale.entry(conversation.to_owned()).or_default();
    }

    /// The list was wholly loaded.
    pub(super) fn on_listed(&mut self, round: &mut Round) {
        self.meta.listed = true;
        round.meta = true;
        let waiting = std::mem::take(&mut self.rows.waiting);
        for reply in waiting {
            round.lists.push((reply, self.list()));
        }
    }

    /// The log was reset: the list is loaded anew.
    pub(super) fn forget_list(&mut self, round: &mut Round) {
        self.meta.listed = false;
        self.rows = Rows { waiting: std::mem::take(&mut self.rows.waiting), ..Rows::default() };
        for (name, mark) in self.marks.iter_mut().filter(|(_, mark)| mark.row.is_some()) {
            mark.row = None;
            round.marks.push(name.clone());
        }
    }

    /// Counts a message or act into its line.
    pub(super) fn fold(&mut self, conversation: &str, message: &wire::Message, round: &mut Round) {
        let mark = self.marks.entry(conversation.to_owned()).or_default();
        if mark.row.is_none() {
            if !self.meta.listed {
                return;
            }
            // A conversation that has just begun; the server may know more of it.
            mark.row = Some(Box::new(wire::Conversation { conversation: conversation.into(), ..Default::default() }));
            self.rows.stale.entry(conversation.to_owned()).or_default();
        }
        if mark.row.as_deref_mut().is_some_and(|row| fold::on_message(row, &self.meta.uid, message)) {
            self.rows.stale.entry(conversation.to_owned()).or_default();
        }
        round.marks.push(conversation.to_owned());
    }

    /// A receipt. True: it says something new.
    pub(super) fn on_receipt(&mut self, receipt: &wire::Receipt, round: &mut Round) -> bool {
        match ConversationId::new(&receipt.conversation) {
            Ok(ConversationId::User(_)) => {}
            Ok(ConversationId::Group(_)) => return true,
            Err(_) => return false,
        }
        let mark = self.marks.entry(receipt.conversation.clone()).or_default();
        let delivered = receipt.delivered_cseq.max(receipt.read_cseq);
        let is_new = match &mut mark.row {
            Some(row) => fold::on_receipt(row, receipt),
            None => delivered > mark.delivered || receipt.read_cseq > 0,
        };
        mark.delivered = mark.delivered.max(delivered);
        round.marks.push(receipt.conversation.clone());
        is_new
    }

    /// A line as it is now, out of the log. True: there is such a conversation.
    pub(super) fn on_row(&mut self, row: &mut wire::Conversation, round: &mut Round) -> bool {
        if ConversationId::new(&row.conversation).is_err() {
            return false;
        }
        *row = fold::as_kept(std::mem::take(row));
        let name = row.conversation.clone();
        self.rows.told.insert(name.clone());
        let mark = self.marks.entry(name.clone()).or_default();
        if let Some(old) = &mut mark.row {
            if row.head_cseq < old.head_cseq && !row.former {
                // What was pushed beside the log is not counted in it.
                self.rows.stale.entry(name.clone()).or_default();
            }
            row.last = row.last.take().or(old.last.take());
        }
        mark.large |= row.group.as_ref().is_some_and(|group| group.large);
        mark.row = Some(Box::new(row.clone()));
        round.marks.push(name);
        true
    }

    /// A line that the server answered. False: it is older than what this device knows, and is asked for again.
    pub(super) fn on_answered_row(&mut self, row: wire::Conversation, round: &mut Round) -> bool {
        let name = row.conversation.clone();
        if ConversationId::new(&name).is_err() || self.rows.told.contains(&name) {
            return true;
        }
        let row = fold::as_kept(row);
        let (listed, reloading, is_former) = (self.meta.listed, self.meta.reloading, row.former);
        let mark = self.marks.entry(name.clone()).or_default();
        let seen = match &mark.row {
            Some(own) => own.head_cseq,
            // Numbers of another log say nothing.
            None if reloading && !listed => mark.live_to,
            None => mark.high,
        };
        let again = row.head_cseq < seen && !is_former && self.rows.stale.get(&name) != Some(&row.head_cseq);
        mark.large |= row.group.as_ref().is_some_and(|group| group.large);
        mark.delivered = mark.delivered.max(row.peer_delivered_cseq);
        if again {
            self.rows.stale.insert(name.clone(), row.head_cseq);
        } else {
            self.rows.stale.remove(&name);
        }
        if !again || mark.row.is_none() {
            mark.row = Some(Box::new(row));
        }
        round.marks.push(name);
        !again
    }

    /// Asks for the next line that is not certain.
    pub(super) fn advance_rows(&mut self) {
        let is_live = self.active.as_ref().is_some_and(|line| line.connection.is_live());
        if !is_live || !self.meta.listed || self.rows.asked.is_some() {
            return;
        }
        let Some(name) = self.rows.stale.keys().next().cloned() else { return };
        let request = wire::ConversationsRequest { conversation: name.clone(), ..Default::default() };
        self.requests.ask(Op::Conversations(request), Asker::Row);
        self.rows.on_asked();
        self.rows.asked = Some(name);
    }

    pub(super) fn on_row_response(&mut self, answer: Answer, round: &mut Round) {
        let Some(name) = self.rows.asked.take() else { return };
        match answer {
            Answer::Conversations(page) => {
                let row = page.conversations.into_iter().find(|row| row.conversation == name);
                let is_told = self.rows.told.contains(&name);
                match row {
                    Some(row) if !is_told => {
                        self.on_answered_row(row, round);
                    }
                    // The log has said it meanwhile, or there is nothing to say.
                    _ => drop(self.rows.stale.remove(&name)),
                }
            }
            _ => drop(self.rows.stale.remove(&name)),
        }
    }

    /// What the server has made of the extras of a message of this device.
    pub(super) fn extras_as_taken(&self, item: &OutboxItem, time_ms: u64) -> Option<Box<wire::Extras>> {
        let mut extras = item.extras.clone();
        let asked = extras.as_ref().map_or(0, |extras| extras.expires_after_s);
        let row = self.marks.get(&item.to).and_then(|mark| mark.row.as_ref());
        let after_s = if asked > 0 { asked } else { row.map_or(0, |row| row.disappear_after_s) };
        if after_s > 0 {
            extras.get_or_insert_default().expires_ms = time_ms + u64::from(after_s) * 1000;
        }
        extras
    }
}
