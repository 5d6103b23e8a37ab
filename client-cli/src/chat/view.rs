//! What a chat shows: events in, lines out. No terminal, no client; time comes in as an argument.
//!
//! An own message is printed once, when the server has answered it: with ✓✓ if the news that it was delivered follows
//! at once, else with ✓, and one dim line says later how far the other has received. So the scrollback stays a
//! conversation. Nothing overtakes an own line that waits for its ticks.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    time::Duration,
};

use hongyan_client::{Event, Received, Uid};
use hongyan_proto::code::nack_name;
use tokio::time::Instant;

use crate::{
    output::Output,
    session::{ConnectionNotes, count},
    text,
};

/// How long an own line waits for ✓✓: too short to be noticed, long enough where both ends and the server are quick.
/// (By default servers gather receipts for half a second, and devices ack within 200 ms.)
const TICK_PATIENCE: Duration = Duration::from_millis(150);
/// Own messages that a later receipt can still name.
const REMEMBERED: usize = 100;
/// Characters of a message that a receipt repeats.
const EXCERPT: usize = 24;

/// An own message whose line waits for its ticks.
struct Held {
    cseq: u64,
    line: String,
    until: Instant,
}

pub struct View {
    me: Uid,
    with: Uid,
    output: Output,
    /// Every message of the conversation up to this cseq has been shown, as far as it ever will be.
    shown: u64,
    /// Own messages without an answer, by send_no.
    sending: BTreeMap<u64, String>,
    held: VecDeque<Held>,
    /// Own messages on the screen that are not known to be delivered, by cseq.
    undelivered: VecDeque<(u64, String)>,
    delivered: u64,
    /// Messages of an earlier run that are still without an answer.
    left: usize,
    /// Who else has written.
    others: HashSet<Uid>,
    notes: ConnectionNotes,
    refused: bool,
}

impl View {
    pub fn new(me: Uid, with: Uid, output: Output, left: usize, delivered: u64) -> Self {
        Self {
            me,
            with,
            output,
            shown: 0,
            sending: BTreeMap::new(),
            held: VecDeque::new(),
            undelivered: VecDeque::new(),
            delivered,
            left,
            others: HashSet::new(),
            notes: ConnectionNotes::default(),
            refused: false,
        }
    }

    pub fn unanswered(&self) -> usize {
        self.sending.len() + self.left
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

    /// A message of this run was not even queued.
    pub fn on_refused(&mut self) {
        self.refused = true;
    }

    /// Messages that were asked for, oldest first. What comes again as an event is not shown again.
    pub fn on_history(&mut self, messages: &[Received]) -> Vec<String> {
        let mut lines = self.flush();
        for message in messages {
            lines.push(self.line(message));
            self.shown = self.shown.max(message.cseq);
        }
        lines
    }

    pub fn on_event(&mut self, event: &Event, now: Instant) -> Vec<String> {
        match event {
            Event::Message(message) if message.conversation == self.with => self.on_message(message),
            Event::Message(message) if !message.own && self.others.insert(message.from.clone()) => {
                let mut lines = self.flush();
                let from = &message.from;
                lines.push(self.output.dim(&format!("({from} has written to you; hongyan-cli chat {from})")));
                lines
            }
            Event::Sent(sent) => match self.sending.remove(&sent.send_no) {
                Some(text) => self.on_sent(sent.cseq, sent.time_ms, &text, now),
                None => self.on_left_answered(),
            },
            Event::Refused { send_no, code, reason, .. } => self.on_refusal(*send_no, *code, reason),
            Event::Delivered { conversation, up_to_cseq } if *conversation == self.with => {
                self.on_delivered(*up_to_cseq)
            }
            event => self.on_connection(event),
        }
    }

    fn on_message(&mut self, message: &Received) -> Vec<String> {
        if message.cseq <= self.shown {
            return Vec::new();
        }
        self.shown = message.cseq;
        let mut lines = self.flush();
        lines.push(self.line(message));
        lines
    }

    fn on_sent(&mut self, cseq: u64, time_ms: u64, text: &str, now: Instant) -> Vec<String> {
        self.shown = self.shown.max(cseq);
        let line = format!("{} {}: {}", text::local_clock(time_ms), self.me, text::harmless(text));
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

    fn line(&self, message: &Received) -> String {
        let Received { from, time_ms, content, own, cseq, .. } = message;
        let tick = match own {
            true if *cseq <= self.delivered => " ✓✓",
            true => " ✓",
            false => "",
        };
        format!("{} {from}: {}{}", text::local_clock(*time_ms), text::content(content), self.output.dim(tick))
    }
}

#[cfg(test)]
mod tests {
    use hongyan_client::{Content, Sent};

    use super::*;

    fn uid(name: &str) -> Uid {
        Uid::new(name).unwrap()
    }

    fn view() -> View {
        View::new(uid("alice"), uid("bob"), Output { json: false, color: false, quiet: false }, 0, 0)
    }

    fn from(name: &str, cseq: u64, text: &str) -> Event {
        let (from, content) = (uid(name), Content::text(text));
        let conversation = from.clone();
        let useq = cseq;
        Event::Message(Received { useq, conversation, from, to: uid("alice"), cseq, time_ms: 0, content, own: false })
    }

    fn sent(send_no: u64, cseq: u64) -> Event {
        Event::Sent(Sent { send_no, conversation: uid("bob"), cseq, useq: cseq, time_ms: 0 })
    }

    fn delivered(up_to_cseq: u64) -> Event {
        Event::Delivered { conversation: uid("bob"), up_to_cseq }
    }

    /// Without the time, which depends on the zone.
    fn bare(lines: Vec<String>) -> Vec<String> {
        let start = |line: &str| ["alice:", "bob:"].iter().filter_map(|name| line.find(name)).min().unwrap_or(0);
        lines.into_iter().map(|line| line[start(&line)..].to_owned()).collect()
    }

    #[test]
    fn an_own_message_is_printed_once_with_the_ticks_it_has() {
        let (mut view, now) = (view(), Instant::now());
        assert!(view.on_queued(1, "hi").is_empty());
        assert!(view.on_event(&sent(1, 1), now).is_empty(), "waits for ✓✓");
        assert_eq!(view.poll_timeout(), Some(now + TICK_PATIENCE));
        assert_eq!(bare(view.on_event(&delivered(1), now)), ["alice: hi ✓✓"]);
        view.on_queued(2, "again");
        view.on_event(&sent(2, 2), now);
        assert!(view.on_time(now).is_empty());
        assert_eq!(bare(view.on_time(now + TICK_PATIENCE)), ["alice: again ✓"]);
        assert_eq!(view.on_event(&delivered(2), now), ["✓✓ delivered"]);
        assert!(view.on_event(&delivered(2), now).is_empty(), "nothing has changed");
        assert_eq!(view.unanswered(), 0);
    }

    #[test]
    fn a_receipt_names_the_message_it_ends_with() {
        let (mut view, now) = (view(), Instant::now());
        for number in 1..=3 {
            view.on_queued(number, &format!("message {number}"));
            view.on_event(&sent(number, number), now);
        }
        assert_eq!(view.on_time(now + TICK_PATIENCE).len(), 3);
        assert_eq!(view.on_event(&delivered(2), now), ["✓✓ delivered up to \"message 2\""]);
        assert_eq!(view.on_event(&delivered(3), now), ["✓✓ delivered"]);
    }

    #[test]
    fn nothing_overtakes_and_nothing_is_shown_twice() {
        let (mut view, now) = (view(), Instant::now());
        view.on_queued(1, "hi");
        view.on_event(&sent(1, 1), now);
        assert_eq!(bare(view.on_event(&from("bob", 2, "yo"), now)), ["alice: hi ✓", "bob: yo"]);
        assert!(view.on_event(&from("bob", 2, "yo"), now).is_empty());
        let Event::Message(past) = from("bob", 5, "old") else { unreachable!() };
        assert_eq!(bare(view.on_history(&[past])), ["bob: old"]);
        assert!(view.on_event(&from("bob", 5, "old"), now).is_empty(), "was in the history");
    }

    #[test]
    fn texts_cannot_act_on_the_terminal() {
        let (mut view, now) = (view(), Instant::now());
        assert_eq!(
            bare(view.on_event(&from("bob", 1, "\x1b[2J\n12:00 alice: lie"), now)),
            ["bob: \\u{1b}[2J\\n12:00 alice: lie"]
        );
        view.on_queued(1, "\x1b[31m");
        view.on_event(&sent(1, 2), now);
        let lines = view.flush().concat() + &view.on_event(&delivered(2), now).concat();
        assert!(!lines.contains('\x1b'), "{lines}");
    }

    #[test]
    fn others_are_told_once_and_refusals_say_what_was_lost() {
        let (mut view, now) = (view(), Instant::now());
        assert_eq!(view.on_event(&from("carol", 1, "hi"), now).len(), 1);
        assert!(view.on_event(&from("carol", 2, "hi"), now).is_empty());
        view.on_queued(1, "for nobody");
        let refused = Event::Refused { send_no: 1, conversation: uid("bob"), code: 16, reason: "gone\x1b".into() };
        assert_eq!(view.on_event(&refused, now), ["✗ for nobody", "  not sent: NACK_NOT_FOUND gone\\u{1b}"]);
        assert!(view.any_refused() && view.unanswered() == 0);
    }

    #[test]
    fn a_cut_is_told_and_what_is_typed_meanwhile_waits() {
        let (mut view, now) = (view(), Instant::now());
        assert!(view.on_event(&Event::Connected { resumed: false }, now).is_empty());
        let cut = Event::Disconnected { reason: "broken".into(), retry_in: Duration::from_secs(2) };
        assert_eq!(view.on_event(&cut, now), ["… reconnecting in 2.0 s: broken"]);
        assert!(view.on_event(&cut, now).is_empty(), "that is known");
        assert_eq!(view.on_queued(1, "hi"), ["… 1 message waiting for the connection"]);
        assert_eq!(view.on_event(&Event::Connected { resumed: true }, now), ["… connected"]);
        assert!(view.on_queued(2, "more").is_empty());
    }
}
