//! What a chat shows: events in, lines out. No terminal, no client; time comes in as an argument.
//!
//! An own message is printed once, when the server has answered it: with ✓✓ if the news that it was delivered follows
//! at once, else with ✓, and one dim line says later how far the other has received. So the scrollback stays a
//! conversation. Nothing overtakes an own line that waits for its ticks.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::Duration,
};

use hongyan_client::{ConversationId, Entry, Event, Receipt, Received, Uid};
use hongyan_proto::code::nack_name;
use tokio::time::Instant;

use super::line::Target;
use crate::{
    output::Output,
    session::ConnectionNotes,
    text::{self, count},
};

/// How long an own line waits for ✓✓: too short to be noticed, long enough where both ends and the server are quick.
/// (By default servers gather receipts for half a second, and devices ack within 200 ms.)
const TICK_PATIENCE: Duration = Duration::from_millis(150);
/// Own messages that a later receipt can still name.
const REMEMBERED: usize = 100;
/// Characters of a message that a receipt repeats.
const EXCERPT: usize = 24;
/// How long one word that somebody is writing holds.
const WRITING: Duration = Duration::from_secs(30);

/// An own message whose line waits for its ticks.
struct Held {
    cseq: u64,
    line: String,
    until: Instant,
}

pub struct View {
    me: Uid,
    with: ConversationId,
    output: Output,
    /// Everything of the conversation up to this cseq has been shown, as far as it ever will be, own messages apart.
    shown: u64,
    /// Own messages without an answer, by send_no.
    sending: BTreeMap<u64, String>,
    /// Acts without an answer, and what they are when they are done.
    acting: BTreeMap<u64, &'static str>,
    held: VecDeque<Held>,
    /// Own messages on the screen that are not known to be delivered, by cseq.
    undelivered: VecDeque<(u64, String)>,
    delivered: u64,
    /// How far it was told that others have read.
    read: HashMap<Uid, u64>,
    /// The newest message of this user, and of anybody.
    newest_mine: Option<u64>,
    newest: Option<u64>,
    /// Messages of an earlier run that are still without an answer.
    left: usize,
    /// Who else has written.
    others: HashSet<ConversationId>,
    /// Who is writing, and how long that has been said.
    writing: HashMap<Uid, Instant>,
    notes: ConnectionNotes,
    refused: bool,
}

impl View {
    /// `received`: how far the peer is known to have received and read the conversation.
    pub fn new(me: Uid, with: ConversationId, output: Output, left: usize, received: (u64, u64)) -> Self {
        let read = match &with {
            ConversationId::User(peer) => HashMap::from([(peer.clone(), received.1)]),
            ConversationId::Group(_) => HashMap::new(),
        };
        Self {
            me,
            with,
            output,
            shown: 0,
            sending: BTreeMap::new(),
            acting: BTreeMap::new(),
            held: VecDeque::new(),
            undelivered: VecDeque::new(),
            delivered: received.0,
            read,
            newest_mine: None,
            newest: None,
            left,
            others: HashSet::new(),
            writing: HashMap::new(),
            notes: ConnectionNotes::default(),
            refused: false,
        }
    }

    /// The message that is meant, the newest of this user's own where none is named.
    pub fn of_mine(&self, target: Target) -> Option<u64> {
        match target {
            Target::Number(cseq) => Some(cseq),
            Target::Newest => self.newest_mine,
        }
    }

    /// The message that is meant, the newest of all where none is named.
    pub fn of_others(&self, target: Target) -> Option<u64> {
        match target {
            Target::Number(cseq) => Some(cseq),
            Target::Newest => self.newest,
        }
    }

    pub fn unanswered(&self) -> usize {
        self.sending.len() + self.acting.len() + self.left
    }

    pub fn is_down(&self) -> bool {
        self.notes.is_down()
    }

    pub fn any_refused(&self) -> bool {
        self.refused
    }

    /// When to call [`Self::on_time`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.held.front().map(|held| held.until)
    }

    pub fn on_time(&mut self, now: Instant) -> Vec<String> {
        let due = self.held.iter().take_while(|held| held.until <= now).count();
        self.release(due)
    }

    /// Everything that waits, now.
    pub fn flush(&mut self) -> Vec<String> {
        self.release(self.held.len())
    }

    /// A message of this run was queued as `send_no`.
    pub fn on_queued(&mut self, send_no: u64, text: &str) -> Vec<String> {
        self.sending.insert(send_no, text.to_owned());
        if !self.is_down() {
            return Vec::new();
        }
        vec![self.output.dim(&format!("… {} waiting for the connection", count(self.sending.len(), "message")))]
    }

    /// An act of this run was queued; `done`: what to call it, empty: nothing.
    pub fn on_act_queued(&mut self, send_no: u64, done: &'static str) {
        self.acting.insert(send_no, done);
    }

    /// A message of this run was not even queued.
    pub fn on_refused(&mut self) {
        self.refused = true;
    }

    /// What was asked for, oldest first. What comes again as an event is not shown again.
    pub fn on_history(&mut self, entries: &[Entry]) -> Vec<String> {
        let mut lines = self.flush();
        for entry in entries {
            if let Entry::Message(message) = entry {
                self.note_newest(message.cseq, message.own);
            }
            lines.push(self.entry_line(entry));
            self.shown = self.shown.max(entry.cseq());
        }
        lines
    }

    pub fn on_event(&mut self, event: &Event, now: Instant) -> Vec<String> {
        match event {
            Event::Message(message) if message.conversation == self.with => {
                self.writing.remove(&message.from);
                self.note_newest(message.cseq, message.own);
                self.on_entry(&Entry::Message(message.clone()))
            }
            Event::Changed(changed) if changed.conversation == self.with => {
                self.on_entry(&Entry::Changed(changed.clone()))
            }
            Event::Message(message) if !message.own => self.on_elsewhere(&message.conversation),
            Event::Sent(sent) => {
                if self.acting.remove(&sent.send_no).is_some() {
                    // What it does comes as an entry.
                    return Vec::new();
                }
                match self.sending.remove(&sent.send_no) {
                    Some(text) => self.on_sent(sent.cseq, sent.time_ms, &text, now),
                    None => self.on_left_answered(),
                }
            }
            Event::Refused { send_no, code, reason, .. } => self.on_refusal(*send_no, *code, reason),
            Event::Receipt(receipt) if receipt.conversation == self.with => self.on_receipt(receipt),
            Event::Typing { conversation, from } if *conversation == self.with => self.on_typing(from, now),
            event => self.on_connection(event),
        }
    }

    fn note_newest(&mut self, cseq: u64, own: bool) {
        self.newest = self.newest.max(Some(cseq));
        if own {
            self.newest_mine = self.newest_mine.max(Some(cseq));
        }
    }

    fn on_entry(&mut self, entry: &Entry) -> Vec<String> {
        if entry.cseq() <= self.shown {
            return Vec::new();
        }
        self.shown = entry.cseq();
        let mut lines = self.flush();
        lines.push(self.entry_line(entry));
        lines
    }

    /// Somebody has written in another conversation.
    fn on_elsewhere(&mut self, conversation: &ConversationId) -> Vec<String> {
        if !self.others.insert(conversation.clone()) {
            return Vec::new();
        }
        let name = conversation.to_string().replace('#', "group:");
        let mut lines = self.flush();
        lines.push(self.output.dim(&format!("(new messages: hongyan-cli chat {name})")));
        lines
    }

    fn on_typing(&mut self, from: &Uid, now: Instant) -> Vec<String> {
        if self.writing.get(from).is_some_and(|until| now < *until) {
            return Vec::new();
        }
        self.writing.insert(from.clone(), now + WRITING);
        vec![self.output.dim(&format!("… {from} is writing"))]
    }

    fn on_sent(&mut self, cseq: u64, time_ms: u64, text: &str, now: Instant) -> Vec<String> {
        self.note_newest(cseq, true);
        let line = format!("{} [{cseq}] {}: {}", text::local_clock(time_ms), self.me, text::harmless(text));
        if self.undelivered.len() == REMEMBERED {
            self.undelivered.pop_front();
        }
        let excerpt: String = text.chars().take(EXCERPT).collect();
        let more = if excerpt.len() < text.len() { "…" } else { "" };
        self.undelivered.push_back((cseq, format!("{}{more}", text::harmless(&excerpt))));
        self.held.push_back(Held { cseq, line, until: now + TICK_PATIENCE });
        if cseq <= self.delivered { self.flush() } else { Vec::new() }
    }

    fn on_left_answered(&mut self) -> Vec<String> {
        if self.left == 0 {
            return Vec::new();
        }
        self.left -= 1;
        match self.left {
            0 => vec![self.output.dim("(the messages of an earlier run are sent)")],
            _ => Vec::new(),
        }
    }

    fn on_refusal(&mut self, send_no: u64, code: i32, reason: &str) -> Vec<String> {
        if let Some(done) = self.acting.remove(&send_no) {
            if done.is_empty() {
                return Vec::new();
            }
            self.refused = true;
            let line = format!("✗ not {done}: {} {}", nack_name(code), text::harmless(reason));
            return vec![self.output.dim(&line)];
        }
        self.refused = true;
        let text = self.sending.remove(&send_no);
        if text.is_none() {
            self.left = self.left.saturating_sub(1);
        }
        let text = text.map_or_else(|| "a message of an earlier run".into(), |text| text::harmless(&text));
        let mut lines = self.flush();
        lines.push(format!("✗ {text}"));
        lines.push(self.output.dim(&format!("  not sent: {} {}", nack_name(code), text::harmless(reason))));
        lines
    }

    /// Ticks are the peer's; in a group, where each has their own place, only what was read is told.
    fn on_receipt(&mut self, receipt: &Receipt) -> Vec<String> {
        let mut lines = match self.with {
            ConversationId::User(_) => self.on_delivered(receipt.delivered_cseq.max(receipt.read_cseq)),
            ConversationId::Group(_) => Vec::new(),
        };
        let before = self.read.insert(receipt.by.clone(), receipt.read_cseq).unwrap_or(0);
        self.read.entry(receipt.by.clone()).and_modify(|read| *read = before.max(*read));
        let newest = self.newest_mine.unwrap_or(u64::MAX);
        if before < newest && newest <= receipt.read_cseq {
            lines.extend(self.flush());
            lines.push(self.output.dim(&format!("✓✓ read by {}", receipt.by)));
        }
        lines
    }

    fn on_delivered(&mut self, up_to: u64) -> Vec<String> {
        if up_to <= self.delivered {
            return Vec::new();
        }
        self.delivered = up_to;
        // Lines that waited for this show it themselves; only what is on the screen needs a line of its own.
        let printed_up_to = self.held.front().map_or(u64::MAX, |held| held.cseq - 1).min(up_to);
        let mut newest = None;
        while self.undelivered.front().is_some_and(|(cseq, _)| *cseq <= printed_up_to) {
            newest = self.undelivered.pop_front();
        }
        let mut lines = Vec::new();
        if let Some((_, excerpt)) = newest {
            let all = self.undelivered.is_empty();
            let what = if all { "✓✓ delivered".into() } else { format!("✓✓ delivered up to \"{excerpt}\"") };
            lines.push(self.output.dim(&what));
        }
        let due = self.held.iter().take_while(|held| held.cseq <= up_to).count();
        lines.extend(self.release(due));
        lines
    }

    fn on_connection(&mut self, event: &Event) -> Vec<String> {
        let Some(note) = self.notes.of(event) else { return Vec::new() };
        let mut lines = self.flush();
        lines.push(self.output.dim(&format!("… {note}")));
        lines
    }

    fn release(&mut self, number: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for Held { cseq, line, .. } in self.held.drain(..number) {
            let delivered = cseq <= self.delivered;
            if delivered {
                self.undelivered.retain(|(other, _)| *other != cseq);
            }
            lines.push(format!("{line} {}", self.output.dim(if delivered { "✓✓" } else { "✓" })));
        }
        lines
    }

    fn entry_line(&self, entry: &Entry) -> String {
        match entry {
            Entry::Message(message) => self.line(message),
            Entry::Changed(changed) => {
                let what = format!("{} {}", changed.by, text::change(changed));
                format!("{} {}", text::local_clock(changed.time_ms), self.output.dim(&what))
            }
        }
    }

    fn line(&self, message: &Received) -> String {
        let Received { from, time_ms, own, cseq, .. } = message;
        let tick = match own {
            true if *cseq <= self.delivered => " ✓✓",
            true => " ✓",
            false => "",
        };
        let (time, text) = (text::local_clock(*time_ms), text::message_text(message));
        format!("{time} [{cseq}] {from}: {text}{}", self.output.dim(tick))
    }
}

#[cfg(test)]
mod tests;
