//! What a channel keeps, what it drops, and whom it wakes.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::{super::queue::MAX_WAITING, *};
use crate::base::number::{DeviceNo, UserNo};

fn channel() -> Arc<Channel> {
    Channel::new(ChannelId { user: UserNo(1), device: DeviceNo(1), conn_epoch: 1 }, 5)
}

/// For tests that are their own reader.
impl Channel {
    /// The next thing, whatever its number; an entry only if there is room.
    pub fn take(&self, room_for_entry: bool) -> Option<Outbound> {
        let mut queue = self.lock();
        match queue.waiting.front()? {
            Outbound::Entry { .. } if !room_for_entry => queue.take_answer(),
            _ => queue.take(0),
        }
    }

    /// Everything up to `after` has been taken. True if that is the head: from now on entries come live.
    pub fn catch_up(&self, after: u64) -> bool {
        let mut queue = self.lock();
        queue.lagging = after < queue.head;
        !queue.lagging
    }

    pub fn take_hints_due(&self) -> bool {
        std::mem::take(&mut self.lock().hints) == Hints::Due
    }
}

fn all(after: u64) -> Glance {
    Glance { turn: 0, was_told: false, after, entries: 64, unnumbered: true }
}

fn look(channel: &Channel, glance: Glance) -> Look {
    channel.look(glance, Waker::noop())
}

#[test]
fn a_channel_is_live_only_from_the_head_on() {
    let channel = channel();
    let item = Bytes::from_static(b"entry");
    channel.offer(6, 0, &item);
    assert!(matches!(look(&channel, all(5)), Look::Behind { head: 6 }), "a lagging device reads the log");
    let full = Glance { entries: 0, ..all(5) };
    assert!(matches!(look(&channel, full), Look::Nothing { is_behind: true }), "when its window allows");
    assert!(matches!(look(&channel, all(6)), Look::Nothing { is_behind: false }));
    channel.offer(7, 0, &item);
    let full = Glance { entries: 0, ..all(6) };
    assert!(matches!(look(&channel, full), Look::Nothing { is_behind: false }), "it waits for the window alone");
    assert!(matches!(look(&channel, all(6)), Look::Take(Outbound::Entry { useq: 7, .. })));
}

#[test]
fn whoever_goes_back_reads_the_log_and_whoever_is_ahead_is_told() {
    let channel = channel();
    let item = Bytes::from_static(b"entry");
    assert!(channel.catch_up(5));
    (6..=7).for_each(|useq| channel.offer(useq, 0, &item));
    assert!(matches!(look(&channel, all(6)), Look::Take(Outbound::Entry { useq: 7, .. })), "6 is dropped");
    assert!(matches!(look(&channel, all(5)), Look::Behind { head: 7 }), "it is asked for again");
    channel.offer(8, 0, &item);
    assert!(matches!(look(&channel, all(3)), Look::Behind { head: 8 }));
    assert!(matches!(look(&channel, all(9)), Look::Beyond { head: 8 }));
}

#[test]
fn what_has_no_number_stays_until_it_is_wanted() {
    let channel = channel();
    assert!(channel.catch_up(5));
    channel.pass(&Bytes::from_static(b"passed"));
    channel.go_away(Instant::now(), Duration::ZERO);
    let entries_alone = Glance { unnumbered: false, ..all(5) };
    assert!(matches!(look(&channel, entries_alone), Look::Nothing { is_behind: false }));
    assert!(matches!(look(&channel, all(5)), Look::Take(Outbound::Passed { .. })));
    assert!(matches!(look(&channel, entries_alone), Look::Nothing { .. }));
    assert!(matches!(look(&channel, all(5)), Look::Parting(Parting::GoAway { .. })));
    let told = Glance { was_told: true, ..all(5) };
    assert!(matches!(look(&channel, told), Look::Nothing { .. }), "a reader is told once");
    channel.close(CloseCode::GOING_AWAY, "first");
    channel.close(CloseCode::NORMAL, "second");
    assert!(matches!(look(&channel, entries_alone), Look::Parting(Parting::End { reason, .. }) if reason == "first"));
    assert!(
        matches!(look(&channel, entries_alone), Look::Parting(Parting::End { .. })),
        "it has ended for every reader"
    );
}

#[test]
fn the_next_reader_hears_of_large_groups_unless_it_shows_that_it_knows() {
    let channel = channel();
    let told = |turn| matches!(look(&channel, Glance { turn, ..all(5) }), Look::HintsDue);
    let first = channel.attach(None);
    assert!(!told(first), "nothing was ever passed");
    channel.pass(&Bytes::from_static(b"passed"));
    assert!(matches!(look(&channel, Glance { turn: first, ..all(5) }), Look::Take(_)));
    let second = channel.attach(None);
    assert!(told(second), "what was passed may not have arrived");
    assert!(!told(second));
    let third = channel.attach(Some(first));
    assert!(told(third), "and neither may the hints");
    let fourth = channel.attach(Some(third));
    assert!(!told(fourth));
    assert!(!told(channel.attach(None)), "it has known since");
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_reader_that_was_superseded_cannot_take_the_bell() {
    let channel = channel();
    let (old, new): (Arc<Woken>, Arc<Woken>) = Default::default();
    let poll = |turn, woken: &Arc<Woken>| channel.look(Glance { turn, ..all(5) }, &Waker::from(woken.clone()));
    assert!(matches!(poll(0, &old), Look::Nothing { .. }));
    let turn = channel.attach(None);
    assert_eq!(old.0.load(Relaxed), 1, "it is told");
    assert!(matches!(poll(turn, &new), Look::Nothing { .. }));
    assert!(matches!(poll(0, &old), Look::Superseded));
    channel.offer(6, 0, &Bytes::from_static(b"six"));
    assert_eq!((old.0.load(Relaxed), new.0.load(Relaxed)), (1, 1));
}

#[test]
fn answers_overtake_entries_that_the_window_holds_back() {
    let channel = channel();
    assert!(channel.catch_up(5));
    let item = Bytes::from_static(b"entry");
    let ack = |send_no| Outbound::Acked(wire::SendAck { send_no, ..Default::default() });
    channel.offer(6, 0, &item);
    channel.answer(ack(1));
    channel.offer(7, 0, &item);
    channel.answer(ack(2));
    for expected in 1..=2 {
        assert!(matches!(channel.take(false), Some(Outbound::Acked(ack)) if ack.send_no == expected));
    }
    assert!(channel.take(false).is_none());
    for expected in 6..=7 {
        assert!(matches!(channel.take(true), Some(Outbound::Entry { useq, .. }) if useq == expected));
    }
}

#[test]
fn the_queue_is_bounded_by_entries_and_by_bytes() {
    for (size, fits) in [(1, MAX_WAITING as u64), (10_000, 3)] {
        let channel = channel();
        assert!(channel.catch_up(5));
        channel.answer(Outbound::Refused(wire::SendNack::default()));
        let item = Bytes::from(vec![0; size]);
        for useq in 6..6 + fits {
            channel.offer(useq, 0, &item);
            assert!(!channel.is_lagging());
        }
        channel.offer(6 + fits, 0, &item);
        assert!(channel.is_lagging());
        assert!(matches!(channel.take(true), Some(Outbound::Refused(_))), "answers are kept");
        assert!(channel.take(true).is_none(), "entries are not");
        assert_eq!(channel.head(), 6 + fits);
    }
}

#[test]
fn what_passes_without_being_kept_is_dropped_first() {
    let channel = channel();
    let taken = (0..100).filter(|_| channel.signal(wire::Signal::default())).count();
    assert_eq!(taken, MAX_WAITING_SIGNALS);
    channel.answer(Outbound::Acked(wire::SendAck::default()));
    channel.pass(&Bytes::from_static(b"passed"));
    assert_eq!(channel.waiting(), (1, MAX_WAITING_SIGNALS + 2), "what is kept has room");

    for _ in 0..100 {
        channel.pass(&Bytes::from_static(b"passed"));
    }
    assert_eq!(channel.waiting().0, MAX_WAITING as usize);
    assert!(channel.take_hints_due(), "the device hears of those that were dropped");
}

/// With the two counters of its Arc, and what an allocator adds.
#[test]
fn the_channel_of_an_idle_connection_takes_128_bytes() {
    let size = size_of::<Channel>();
    assert!(size + 16 + 8 <= 128, "a channel takes {size} bytes");
}
