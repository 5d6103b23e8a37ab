//! How far devices have acked is written when it has waited for a while, not with each message; and what all have acked is
//! trimmed.

use super::*;

impl Rig {
    /// How far each device of a user has acked, by the log.
    async fn cursors(&self, user: UserNo) -> Vec<u64> {
        let devices = self.committer.log.devices(user).await.unwrap();
        devices.into_iter().map(|(_, record)| record.cursor).collect()
    }
}

#[tokio::test]
async fn a_cursor_waits_while_messages_come_and_is_written_within_a_second_or_so() {
    let mut rig = Rig::new().await;
    let (alice, bob) = (rig.log_in("alice", "phone").await.channel, rig.log_in("bob", "phone").await.channel);
    for number in 1..=3 {
        rig.process(vec![send(&alice, number, "bob")]).await;
        rig.process(vec![acked(&bob, number)]).await;
    }
    assert_eq!(rig.cursors(bob.id.user).await, [0]);
    rig.pass(Duration::from_millis(600)).await;
    assert_eq!(rig.cursors(bob.id.user).await, [3], "the receipts tell of it");
    // To oneself there are none.
    rig.process(vec![send(&bob, 1, "bob")]).await;
    rig.process(vec![acked(&bob, 4), send(&alice, 4, "alice")]).await;
    assert_eq!(rig.cursors(bob.id.user).await, [3]);
    rig.pass(Duration::from_millis(1200)).await;
    assert_eq!(rig.cursors(bob.id.user).await, [4]);
    // With what its device says itself it goes at once.
    rig.process(vec![acked(&bob, 5), send(&bob, 2, "alice")]).await;
    assert_eq!(rig.cursors(bob.id.user).await, [5]);
}

#[tokio::test]
async fn an_ack_outlives_a_commit_that_fails() {
    let mut rig = Rig::new().await;
    let (alice, bob) = (rig.log_in("alice", "phone").await.channel, rig.log_in("bob", "phone").await.channel);
    assert!(alice.catch_up(0));
    rig.process(vec![send(&alice, 1, "bob"), send(&alice, 2, "bob")]).await;
    drain(&alice);
    rig.engine.fill_up(true);
    // One commit fails with the ack in it, another with the receipt.
    rig.process(vec![acked(&bob, 2), send(&alice, 3, "bob")]).await;
    rig.pass(Duration::from_secs(2)).await;
    rig.pass(Duration::from_secs(2)).await;
    assert_eq!(drain(&alice), [('r', 3, UNAVAILABLE)]);
    rig.engine.fill_up(false);
    rig.pass(Duration::from_secs(2)).await;
    rig.pass(Duration::from_secs(2)).await;
    assert_eq!(drain(&alice), [('e', 3, 0)], "the receipt: the device does not ack twice");
}

#[tokio::test]
async fn an_ack_that_waits_outlives_a_commit_of_others_that_fails() {
    let mut rig = Rig::new().await;
    let (alice, bob) = (rig.log_in("alice", "phone").await.channel, rig.log_in("bob", "phone").await.channel);
    rig.process(vec![send(&alice, 1, "bob")]).await;
    rig.process(vec![acked(&bob, 1)]).await;
    rig.engine.fail_next_commit(StoreError::DiskFull { path: "/".into(), free: 0, reserve: 1 });
    rig.process(vec![send(&alice, 2, "alice")]).await;
    rig.pass(Duration::from_secs(2)).await;
    assert_eq!(rig.cursors(bob.id.user).await, [1]);
}

#[tokio::test]
async fn a_timeline_is_trimmed_below_what_every_device_has() {
    let mut rig = Rig::new().await;
    let (phone, tablet) = (rig.log_in("alice", "phone").await.channel, rig.log_in("alice", "tablet").await.channel);
    rig.send_slowly(&phone, "alice", 600).await;
    rig.process(vec![acked(&phone, 600)]).await;
    rig.pass(Duration::from_secs(2)).await;
    assert_eq!(rig.committer.log.bounds(UserNo(1)).await.unwrap().low, 0, "the tablet has nothing yet");
    rig.process(vec![acked(&tablet, 500)]).await;
    rig.pass(Duration::from_secs(2)).await;
    let bounds = rig.committer.log.bounds(UserNo(1)).await.unwrap();
    assert!(bounds.low > 200 && bounds.low < 500 && bounds.head == 600, "{bounds:?}");
    let entries = rig.committer.log.entries(UserNo(1), bounds.low, 600, 1000, usize::MAX).await.unwrap();
    assert_eq!(entries.len() as u64, 600 - bounds.low);
}

#[tokio::test]
async fn no_timeline_begins_behind_a_cursor_in_the_log() {
    let mut rig = Rig::new().await;
    let (alice, phone) = (rig.log_in("alice", "phone").await.channel, rig.log_in("bob", "phone").await.channel);
    let tablet = rig.log_in("bob", "tablet").await.channel;
    rig.send_slowly(&alice, "bob", 600).await;
    rig.process(vec![acked(&phone, 600)]).await;
    rig.pass(Duration::from_secs(2)).await;
    // The ack on which all the timeline waited, in the commit of a message that is none of bob's business.
    rig.process(vec![acked(&tablet, 600), send(&alice, 601, "alice")]).await;
    let low = rig.committer.log.bounds(tablet.id.user).await.unwrap().low;
    assert!(low > 200, "the timeline was not trimmed: {low}");
    assert_eq!(rig.cursors(tablet.id.user).await, [600, 600]);
}

#[tokio::test]
async fn who_may_not_have_heard_of_a_reset_is_told_again() {
    let mut rig = Rig::new().await;
    let phone = rig.log_in("alice", "phone").await.channel;
    rig.send_slowly(&phone, "alice", 600).await;
    rig.process(vec![acked(&phone, 600)]).await;
    rig.pass(Duration::from_secs(2)).await;
    // A device that knows nothing is cut before the answer arrives, each time.
    for _ in 0..3 {
        let login = rig.log_in("alice", "tablet").await;
        assert!(login.reset.is_some(), "what it needs has been trimmed");
    }
    let tablet = rig.log_in("alice", "tablet").await.channel;
    rig.process(vec![send(&phone, 601, "alice"), acked(&tablet, 601)]).await;
    let login = rig.log_in("alice", "tablet").await;
    assert_eq!((login.reset, login.cursor), (None, 601), "it has acted on it");
}

#[tokio::test]
async fn receipts_that_cannot_be_read_wait_once_for_each_user() {
    let mut rig = Rig::new().await;
    let (alice, bob) = (rig.log_in("alice", "phone").await.channel, rig.log_in("bob", "phone").await.channel);
    assert!(alice.catch_up(0));
    rig.process((1..=3).map(|send_no| send(&alice, send_no, "bob")).collect()).await;
    drain(&alice);
    let key = keys::run(bob.id.user, 1);
    let run = rig.engine.get(Table::Timelines, key.clone()).await.unwrap().unwrap();
    let mut lost = Batch::default();
    lost.remove(Table::Timelines, key.clone());
    rig.engine.commit(lost, Durability::Synced).await.unwrap();
    for useq in 1..=3 {
        rig.process(vec![acked(&bob, useq)]).await;
        rig.pass(Duration::from_secs(1)).await;
        assert_eq!(rig.committer.due.receipts.len(), 1, "after {useq}");
    }
    assert_eq!(drain(&alice), []);
    let mut found = Batch::default();
    found.put(Table::Timelines, key, run);
    rig.engine.commit(found, Durability::Synced).await.unwrap();
    rig.pass(Duration::from_secs(2)).await;
    assert_eq!(drain(&alice), [('e', 4, 0)], "told in the end, and once");
}
