//! Events in, lines out.

use hongyan_client::{Changed, Content, Sent, What};

use super::*;
use crate::text::tests::received;

fn uid(name: &str) -> Uid {
    Uid::new(name).unwrap()
}

fn view() -> View {
    view_of(uid("bob").into())
}

fn view_of(with: ConversationId) -> View {
    View::new(uid("alice"), with, Output { json: false, color: false, quiet: false }, 0, (0, 0))
}

fn from(name: &str, cseq: u64, text: &str) -> Event {
    Event::Message(received(name, cseq, Content::text(text)))
}

fn sent(send_no: u64, cseq: u64) -> Event {
    Event::Sent(Sent { send_no, conversation: uid("bob").into(), cseq, useq: cseq, time_ms: 0 })
}

fn receipt(conversation: ConversationId, by: &str, delivered_cseq: u64, read_cseq: u64) -> Event {
    Event::Receipt(Receipt { conversation, by: uid(by), delivered_cseq, read_cseq, time_ms: 0 })
}

fn delivered(up_to_cseq: u64) -> Event {
    receipt(uid("bob").into(), "bob", up_to_cseq, 0)
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
    assert_eq!(bare(view.on_history(&[Entry::Message(past)])), ["bob: old"]);
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
    let refused = Event::Refused { send_no: 1, conversation: uid("bob").into(), code: 16, reason: "gone\x1b".into() };
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

#[test]
fn what_was_read_is_told_once_for_each_reader_of_the_newest_message() {
    let (mut view, now) = (view_of(ConversationId::Group(7)), Instant::now());
    view.on_queued(1, "hi");
    view.on_event(&sent(1, 4), now);
    view.flush();
    let read = |by, cseq| receipt(ConversationId::Group(7), by, 0, cseq);
    assert!(view.on_event(&read("bob", 3), now).is_empty(), "that is older");
    assert_eq!(view.on_event(&read("bob", 4), now), ["✓✓ read by bob"]);
    assert!(view.on_event(&read("bob", 5), now).is_empty());
    assert_eq!(view.on_event(&read("carol", 5), now), ["✓✓ read by carol"]);
}

#[test]
fn what_is_done_is_announced_and_what_is_refused_says_so() {
    let (mut view, now) = (view(), Instant::now());
    view.on_event(&from("bob", 1, "hi"), now);
    assert_eq!((view.of_others(Target::Newest), view.of_mine(Target::Newest)), (Some(1), None));
    let what = What::Reacted { cseq: 1, reaction: "+\x1b".into(), previous: String::new() };
    let changed =
        Changed { useq: 2, conversation: uid("bob").into(), by: uid("bob"), cseq: 2, time_ms: 0, own: false, what };
    let lines = view.on_event(&Event::Changed(changed), now);
    assert!(lines[0].ends_with(" bob reacted +\\u{1b} to [1]"), "{lines:?}");
    view.on_act_queued(9, "edited");
    view.on_act_queued(10, "");
    let refused =
        |send_no| Event::Refused { send_no, conversation: uid("bob").into(), code: 21, reason: "late".into() };
    assert_eq!(view.on_event(&refused(9), now), ["✗ not edited: NACK_TOO_LATE late"]);
    assert!(view.on_event(&refused(10), now).is_empty() && view.unanswered() == 0);
}

#[test]
fn who_is_writing_is_said_once_in_a_while() {
    let (mut view, now) = (view(), Instant::now());
    let writing = Event::Typing { conversation: uid("bob").into(), from: uid("bob") };
    assert_eq!(view.on_event(&writing, now), ["… bob is writing"]);
    assert!(view.on_event(&writing, now).is_empty());
    view.on_event(&from("bob", 1, "hi"), now);
    assert_eq!(view.on_event(&writing, now).len(), 1, "it is the next one");
}
