//! What a channel keeps, what it drops, and whom it wakes.

use super::*;
use crate::base::number::{DeviceNo, UserNo};

fn channel() -> Arc<Channel> {
    Channel::new(ChannelId { user: UserNo(1), device: DeviceNo(1), conn_epoch: 1 }, 5)
}

#[test]
fn a_channel_is_live_only_from_the_head_on() {
    let channel = channel();
    channel.offer(6, 0, &Bytes::from_static(b"six"));
    assert!(channel.take(true).is_none(), "a lagging device reads the log");
    assert!(!channel.catch_up(5));
    assert!(channel.catch_up(6));
    channel.offer(7, 0, &Bytes::from_static(b"seven"));
    assert!(channel.take(false).is_none(), "no room in the window");
    assert!(matches!(channel.take(true), Some(Outbound::Entry { useq: 7, .. })));
}

#[test]
fn a_reader_that_was_superseded_cannot_take_the_bell() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Woken(AtomicUsize);
    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let channel = channel();
    assert!(channel.catch_up(5));
    let (old, new): (Arc<Woken>, Arc<Woken>) = Default::default();
    let poll =
        |turn, woken: &Arc<Woken>| channel.poll_rung(turn, &mut Context::from_waker(&Waker::from(woken.clone())));
    assert!(poll(FIRST_TURN, &old).is_pending());
    let turn = channel.attach();
    assert_eq!(old.0.load(Ordering::Relaxed), 1, "it is told");
    assert!(poll(turn, &new).is_ready(), "what waits is looked at");
    assert!(poll(turn, &new).is_pending());
    assert!(channel.is_superseded(FIRST_TURN) && poll(FIRST_TURN, &old).is_ready());
    channel.offer(6, 0, &Bytes::from_static(b"six"));
    assert_eq!((old.0.load(Ordering::Relaxed), new.0.load(Ordering::Relaxed)), (1, 1));
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
