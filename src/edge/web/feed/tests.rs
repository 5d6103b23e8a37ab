//! Feeds over a channel and a store that the test has in its hands.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::Arc,
    task::{Context, Waker},
};

use bytes::Bytes;
use futures_util::FutureExt;
use hongyan_proto::{
    server::encode_item,
    wire::{entry::Item, hello::Credential},
};

use super::*;
use crate::{
    base::environment::{Now, System},
    committer::Committer,
    config::Config,
    host::{
        assemble::{Assembled, assemble},
        open,
    },
    live::channel::Channel,
    log::Log,
    ops::desk::Desk,
    session::{DeviceLimits, Devices, Service},
    sim,
    store::memory::MemoryEngine,
};

struct Rig {
    engine: Arc<MemoryEngine>,
    service: Arc<Service>,
    desk: Arc<Desk>,
    committer: Committer,
    devices: Devices,
}

impl Rig {
    async fn new() -> Self {
        let engine = Arc::new(MemoryEngine::new());
        let log = Log::new(engine.clone());
        open::prepare(&log, Path::new("memory"), 7).await.unwrap();
        let assembled = assemble(&Config::default(), log, sim::gate(), Box::new(System)).await.unwrap();
        let Assembled { service, desk, committer } = assembled;
        let limits = DeviceLimits { present: 10, requests_per_second: 10, requests_burst: 10 };
        let devices = Devices::new(service.clone(), limits);
        Self { engine, service, desk, committer, devices }
    }

    async fn log_in(&mut self, uid: &str) -> Feed {
        let credential = Some(Credential::Token(sim::token(uid)));
        let hello = wire::Hello { device: "phone".into(), device_epoch: 1, credential, ..Default::default() };
        let attempt = self.service.attempt(IpAddr::V4(Ipv4Addr::LOCALHOST), self.service.accept());
        let mut login = Box::pin(self.service.hello(hello, &attempt));
        assert!(login.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let now = Now::by(self.service.environment());
        self.committer.process(self.desk.queue().take().unwrap(), now).await;
        let mut feed = Feed::begin(self.devices.insert(login.await.unwrap()), Place::behind(0));
        assert!(feed.now().await.is_none(), "it is at the head");
        feed
    }
}

fn item(content: &'static str) -> Bytes {
    let message = wire::Message { from: "bob".into(), content: content.into(), ..Default::default() };
    encode_item(Item::Message(message))
}

/// That of the only device.
fn channel(rig: &Rig) -> Arc<Channel> {
    let mut only = None;
    rig.service.sessions().for_each(|channel| only = Some(channel.clone()));
    only.expect("a device is live")
}

#[tokio::test]
async fn a_look_without_waiting_sees_what_has_no_number() {
    let mut rig = Rig::new().await;
    let mut feed = rig.log_in("alice").await;
    channel(&rig).pass(&item("in a large group"));
    assert!(matches!(feed.now().await, Some(Next::Passed(passed)) if passed.len() == 1));
    channel(&rig).signal(wire::Signal::default());
    assert!(matches!(feed.now().await, Some(Next::Signal(_))));
    assert!(feed.now().await.is_none());
}

#[tokio::test]
async fn what_stands_behind_the_entries_of_a_page_is_there_for_the_next_reader() {
    let mut rig = Rig::new().await;
    let mut feed = rig.log_in("alice").await;
    let (channel, place) = (channel(&rig), feed.place());
    channel.offer(1, 0, &item("an entry"));
    channel.pass(&item("in a large group"));
    channel.go_away(rig.service.now() + Duration::from_secs(1), Duration::ZERO);
    assert!(matches!(feed.now().await, Some(Next::Entries(entries)) if entries.len() == 1));
    // The answer of a poll is one thing, and its feed ends with it.
    let mut next = Feed::begin(feed.device.again(), Place { useq: 1, ..place });
    drop(feed);
    assert!(matches!(next.now().await, Some(Next::Passed(_))));
    assert!(matches!(next.now().await, Some(Next::GoAway(_))));
}

#[tokio::test]
async fn hints_that_could_not_be_read_are_owed_still() {
    let mut rig = Rig::new().await;
    let mut feed = rig.log_in("alice").await;
    channel(&rig).owe_hints();
    rig.engine.fail_a_read_after(0);
    assert!(matches!(feed.now().await, Some(Next::Closed(CloseCode::UNAVAILABLE, _))));
    assert!(channel(&rig).take_hints_due());
}

#[tokio::test]
async fn a_feed_that_was_superseded_says_so_and_the_newer_one_is_woken() {
    let mut rig = Rig::new().await;
    let mut old = rig.log_in("alice").await;
    assert!(old.next().now_or_never().is_none(), "it waits");
    let place = old.place();
    let mut new = Feed::begin(old.device.again(), place);
    assert!(new.next().now_or_never().is_none());
    // The old one is polled again, as by a response that still goes out.
    assert!(matches!(old.next().await, Next::Superseded));
    let channel = channel(&rig);
    let waits = tokio::spawn(async move { new.next().await });
    tokio::task::yield_now().await;
    assert!(matches!(old.next().await, Next::Superseded));
    channel.offer(1, 0, &item("an entry"));
    let heard = tokio::time::timeout(Duration::from_secs(5), waits).await.expect("it is woken").unwrap();
    assert!(matches!(heard, Next::Entries(_)));
}

#[tokio::test]
async fn what_has_no_number_is_hinted_at_until_its_answer_is_known_to_have_come() {
    let mut rig = Rig::new().await;
    let mut feed = rig.log_in("alice").await;
    let (channel, before) = (channel(&rig), feed.place());
    channel.pass(&item("in a large group"));
    assert!(matches!(feed.now().await, Some(Next::Passed(_))));
    let told = feed.place();
    assert_eq!((told.useq, told.log_epoch), (before.useq, before.log_epoch));
    // The answer was lost, and the same is asked again.
    let again = Feed::begin(feed.device.again(), before);
    assert!(channel.take_hints_due());
    channel.pass(&item("in a large group"));
    let mut feed = Feed::begin(again.device.again(), told);
    assert!(matches!(feed.now().await, Some(Next::Passed(_))));
    let next = feed.place().to_string().parse().unwrap();
    Feed::begin(feed.device.again(), next);
    assert!(!channel.take_hints_due());
}

#[tokio::test]
async fn entries_come_in_runs_and_only_as_far_as_they_follow_on() {
    let mut rig = Rig::new().await;
    let mut feed = rig.log_in("alice").await;
    let channel = channel(&rig);
    (1..=70).for_each(|useq| channel.offer(useq, 0, &item("an entry")));
    assert!(channel.is_lagging(), "more than may wait");
    rig.engine.fail_a_read_after(0);
    assert!(matches!(feed.now().await, Some(Next::Closed(CloseCode::UNAVAILABLE, _))), "the log is read");
    assert!(channel.catch_up(70));
    (71..=75).for_each(|useq| channel.offer(useq, 0, &item("an entry")));
    channel.signal(wire::Signal::default());
    channel.offer(76, 0, &item("an entry"));
    let mut feed = Feed::begin(feed.device.again(), Place { useq: 70, ..feed.place() });
    assert!(matches!(feed.now().await, Some(Next::Entries(run)) if run.len() == 5 && run[4].useq == 75));
    assert!(matches!(feed.now().await, Some(Next::Signal(_))));
    assert!(matches!(feed.now().await, Some(Next::Entries(run)) if run.len() == 1));
    let mut foreign = Feed::begin(feed.device.again(), Place { log_epoch: Some(8), ..feed.place() });
    assert!(matches!(foreign.now().await, Some(Next::Reset(reset)) if reset.head == 76));
    assert_eq!(foreign.place().useq, 76);
    let mut ahead = Feed::begin(feed.device.again(), Place::behind(99));
    assert!(matches!(ahead.now().await, Some(Next::Reset(reset)) if reset.head == 76));
}
