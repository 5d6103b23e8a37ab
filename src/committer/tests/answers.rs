//! Who waits for an answer apart from a channel gets one, whatever has become of the device.

use std::{
    pin::pin,
    sync::Mutex,
    task::{Context, Wake, Waker},
};

use super::*;

/// A SEND of a device whose sender waits for its answer.
async fn ask(rig: &mut Rig, from: ChannelId, send_no: u64) -> Answer {
    let asked = Asked::Message { content: Bytes::from_static(b"hi"), extras: None };
    let body = Ok(Addressed { to: ConversationId::new("alice").ok(), asked });
    let submit = |op| Op::Submit(Submit { from, op: Some(op), number: SendNumber::Given(send_no), body });
    rig.front.ask(&mut rig.committer, rig.now, submit).await
}

#[tokio::test]
async fn the_answer_comes_to_who_asked_and_the_entry_through_the_channel() {
    let mut rig = Rig::new().await;
    let phone = rig.log_in("alice", "phone").await.channel;
    assert!(phone.catch_up(0));
    let Answer::Sent(Ok(ack)) = ask(&mut rig, phone.id, 1).await else { panic!("it is taken") };
    assert_eq!((ack.send_no, ack.useq), (1, 1));
    let entry = phone.take(true);
    assert!(matches!(entry, Some(Outbound::Entry { useq: 1, own_send_no: 1, .. })), "{entry:?}");
    let Answer::Sent(Err(nack)) = ask(&mut rig, phone.id, 9).await else { panic!("it leaves a gap") };
    assert_eq!(nack.code(), wire::NackCode::NackGap);
    rig.engine.fail_next_commit(StoreError::DiskFull { path: "/".into(), free: 0, reserve: 1 });
    let Answer::Sent(Err(nack)) = ask(&mut rig, phone.id, 2).await else { panic!("the commit has failed") };
    assert_eq!(nack.code(), wire::NackCode::NackUnavailable);
}

/// Looks, when it is woken, at what waits for somebody else.
struct Curious(Arc<Channel>, Mutex<Option<usize>>);

impl Wake for Curious {
    fn wake(self: Arc<Self>) {
        *self.1.lock().unwrap() = Some(self.0.waiting().0);
    }
}

#[tokio::test]
async fn whoever_hears_the_answer_finds_the_message_with_its_recipients() {
    let mut rig = Rig::new().await;
    let alice = rig.log_in("alice", "phone").await.channel;
    let bob = rig.log_in("bob", "phone").await.channel;
    assert!(bob.catch_up(0));
    let asked = Asked::Message { content: Bytes::from_static(b"hi"), extras: None };
    let body = Ok(Addressed { to: ConversationId::new("bob").ok(), asked });
    let (from, number) = (alice.id, SendNumber::Given(1));
    let desk = rig.front.desk.clone();
    let mut answer = pin!(desk.ask(|op| Op::Submit(Submit { from, op: Some(op), number, body })).unwrap());
    let curious = Arc::new(Curious(bob, Mutex::default()));
    let waker = Waker::from(curious.clone());
    assert!(answer.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    rig.committer.process(desk.queue().take().unwrap(), rig.now).await;
    assert_eq!(*curious.1.lock().unwrap(), Some(1));
}

#[tokio::test]
async fn whoever_asks_for_a_device_that_is_gone_is_told() {
    let mut rig = Rig::new().await;
    let old = rig.log_in("alice", "phone").await.channel.id;
    rig.log_in("alice", "phone").await;
    assert_eq!(ask(&mut rig, old, 1).await, Answer::Replaced, "it has connected again");
    let tablet = rig.log_in("alice", "tablet").await.channel.id;
    rig.process(vec![Op::Left(tablet), Op::Forget { user: tablet.user, device: tablet.device, last_seen_hour: 0 }])
        .await;
    rig.pass(Duration::from_secs(2)).await;
    assert_eq!(ask(&mut rig, tablet, 1).await, Answer::Replaced, "it was forgotten");
}
