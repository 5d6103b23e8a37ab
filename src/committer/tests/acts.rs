//! Acts one by one: their rules at the edges, what they leave in the rows, and several of them in one batch.

use std::time::Duration;

use hongyan_proto::wire::{self, NackCode, Role, act::What};

use super::{cast::Cast, *};
use crate::{base::number::ConversationNo, log::verify::verify};

fn edit(cseq: u64) -> What {
    What::Edit(wire::Edit { cseq, content: Bytes::from_static(b"better"), ..Default::default() })
}

fn recall(cseq: u64) -> What {
    What::Recall(wire::Recall { cseq, author: String::new() })
}

fn react(cseq: u64, reaction: &str) -> What {
    What::React(wire::React { cseq, reaction: reaction.into(), previous: String::new() })
}

fn remove(uid: &str) -> What {
    What::GroupRemove(wire::GroupRemove { uid: uid.into(), ban: false })
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_message_is_edited_and_recalled_in_its_time_and_by_its_author() {
    let mut cast = Cast::of(&["alice", "bob"]).await;
    let batch = vec![cast.message(0, "bob", 0), cast.act(0, "bob", edit(1)), cast.message(0, "bob", 0)];
    assert_eq!(cast.answers(0, batch).await, [Ok(1), Ok(2), Ok(3)], "also of the same batch");
    assert_eq!(&cast.row(1).await.content[..], b"better");
    assert_eq!(cast.says(1, "alice", edit(1)).await, Err(NackCode::NackForbidden));
    assert_eq!(cast.says(1, "alice", recall(1)).await, Err(NackCode::NackForbidden));
    assert_eq!(cast.says(0, "bob", edit(2)).await, Err(NackCode::NackNotFound), "an act is no message");
    cast.wait(HOUR);
    assert_eq!(cast.says(0, "bob", recall(1)).await, Ok(4));
    assert_eq!(cast.says(0, "bob", edit(1)).await, Err(NackCode::NackNotFound));
    cast.wait(Duration::from_millis(1));
    assert_eq!(cast.says(0, "bob", edit(3)).await, Err(NackCode::NackTooLate));
    assert_eq!(cast.says(0, "bob", recall(3)).await, Err(NackCode::NackTooLate));
}

#[tokio::test]
async fn messages_of_one_run_are_replaced_each_by_itself() {
    let mut cast = Cast::of(&["alice", "bob"]).await;
    let messages = (0..6).map(|_| cast.message(0, "bob", 0)).collect();
    cast.answers(0, messages).await;
    let long = |cseq| What::Edit(wire::Edit { cseq, content: vec![b'l'; 20 * 1024].into(), ..Default::default() });
    // The first makes the run too long for one row, so that the next ones stand in others.
    let batch = vec![
        cast.act(0, "bob", long(2)),
        cast.act(0, "bob", edit(4)),
        cast.act(0, "bob", recall(5)),
        cast.act(0, "bob", long(4)),
        cast.act(0, "bob", edit(1)),
    ];
    assert_eq!(cast.answers(0, batch).await, [Ok(7), Ok(8), Ok(9), Ok(10), Ok(11)]);
    assert_eq!(cast.says(0, "bob", edit(6)).await, Ok(12), "of a later batch");
    let contents = [6, 20 * 1024, 6, 20 * 1024, 0, 6];
    for (cseq, length) in (1..).zip(contents) {
        let message = cast.row(cseq).await;
        assert_eq!((message.cseq, message.content.len()), (cseq, length));
    }
    assert!(verify(&*cast.rig.engine).unwrap().problems.is_empty());
}

#[tokio::test]
async fn a_recall_leaves_no_body_in_any_row() {
    let mut cast = Cast::of(&["alice", "bob"]).await;
    let batch = vec![
        cast.message(0, "bob", 0),
        cast.act(0, "bob", edit(1)),
        cast.act(1, "alice", react(1, "+")),
        cast.act(0, "bob", recall(1)),
    ];
    cast.rig.process(batch).await;
    let mut held = Vec::new();
    let mut look = |table: Table, _: &[u8], value: &[u8]| {
        let text = String::from_utf8_lossy(value);
        if text.contains("secret") || text.contains("better") || table == Table::Reactions {
            held.push(table.name());
        }
        std::ops::ControlFlow::Continue(())
    };
    cast.rig.engine.dump(&mut look).unwrap();
    assert_eq!(held, Vec::<&str>::new());
    assert_eq!(cast.row(1).await.extras.unwrap().recalled_cseq, 4);
}

#[tokio::test]
async fn the_first_message_after_a_start_disappears_in_time() {
    let mut cast = Cast::of(&["alice", "bob"]).await;
    let batch = vec![cast.message(0, "bob", 60), cast.message(0, "bob", 30), cast.message(0, "bob", 0)];
    cast.answers(0, batch).await;
    for (second, gone) in [(29, [false, false]), (30, [false, true]), (59, [false, true]), (60, [true, true])] {
        let (before, at) = (cast.rig.now, Duration::from_secs(second));
        cast.rig.now = Now { instant: before.instant + at, unix_ms: before.unix_ms + at.as_millis() as u64 };
        assert!(cast.rig.committer.due.expiry.is_some(), "somebody must wake the committer");
        cast.rig.process(Vec::new()).await;
        let found = [cast.row(1).await.content.is_empty(), cast.row(2).await.content.is_empty()];
        assert_eq!(found, gone, "after {second} s");
        cast.rig.now = before;
    }
    assert_eq!(&cast.row(3).await.content[..], b"secret");
    assert_eq!(cast.rig.committer.due.expiry, None, "nothing else is to disappear");
}

#[tokio::test]
async fn a_full_disk_does_not_make_expiry_spin() {
    let mut cast = Cast::of(&["alice", "bob"]).await;
    let message = cast.message(0, "bob", 60);
    cast.answers(0, vec![message]).await;
    cast.wait(Duration::from_secs(60));
    cast.rig.engine.fill_up(true);
    cast.rig.process(Vec::new()).await;
    assert!(cast.rig.committer.due.expiry.is_some_and(|due| due > cast.rig.now.instant), "it waits a while");
    assert_eq!(&cast.row(1).await.content[..], b"secret");
    cast.rig.engine.fill_up(false);
    cast.wait(Duration::from_secs(1));
    cast.rig.process(Vec::new()).await;
    assert!(cast.row(1).await.content.is_empty());
}

#[tokio::test]
async fn one_person_has_one_reaction_also_within_a_batch() {
    let mut cast = Cast::of(&["alice", "bob"]).await;
    let batch = vec![
        cast.message(0, "bob", 0),
        cast.act(0, "bob", react(1, "+")),
        cast.act(0, "bob", react(1, "-")),
        cast.act(0, "bob", react(1, "-")),
    ];
    assert_eq!(cast.answers(0, batch).await, [Ok(1), Ok(2), Ok(3), Ok(0)], "the last one changes nothing");
    let no = ConversationNo(cast.rig.committer.last_conversation);
    let found = cast.rig.committer.log.reactions(no, 1).await.unwrap().unwrap();
    let kept: Vec<_> = found.reactions.iter().map(|one| one.reaction.as_str()).collect();
    assert_eq!((kept, found.as_of_cseq), (vec!["-"], 3));
}

#[tokio::test]
async fn repeated_acts_are_answered_alike_and_done_once() {
    let mut cast = Cast::of(&["alice", "bob"]).await;
    let create = || What::GroupCreate(wire::GroupCreate { members: vec!["bob".into()], settings: None });
    let (channel, _) = cast.channels[0].clone();
    let again = |send_no, what| {
        let body = Ok(Addressed { to: None, asked: Asked::Act(Box::new(what)) });
        Op::Submit(Submit { from: channel.id, op: None, number: SendNumber::Given(send_no), body })
    };
    cast.rig.process(vec![again(1, create()), again(1, create())]).await;
    cast.rig.committer.forget_memory().await.unwrap();
    cast.rig.process(vec![again(1, create())]).await;
    let mut groups = Vec::new();
    while let Some(outbound) = channel.take(true) {
        match outbound {
            Outbound::Acked(ack) => groups.push((ack.send_no, ack.group)),
            Outbound::Refused(nack) => panic!("{nack:?}"),
            _ => {}
        }
    }
    assert_eq!(groups, [(1, 1), (1, 1), (1, 1)]);
    assert_eq!(cast.rig.committer.last_conversation, 1);
}

#[tokio::test]
async fn who_is_removed_in_a_batch_writes_nothing_more_in_it_and_gets_nothing() {
    let mut cast = Cast::of(&["alice", "bob", "carol"]).await;
    let group = cast.group(&["bob", "carol"]).await;
    let batch = vec![
        cast.message(1, &group, 0),
        cast.act(0, &group, remove("bob")),
        cast.message(1, &group, 0),
        cast.message(2, &group, 0),
    ];
    assert_eq!(cast.answers(1, batch).await, [Ok(2), Err(NackCode::NackForbidden)]);
    let bob = cast.channels[1].0.id.user;
    let log = &cast.rig.committer.log;
    let head = log.bounds(bob).await.unwrap().head;
    let newest = log.refs(bob, 0, head, 100).await.unwrap().into_iter().map(|(_, reference)| reference.cseq).max();
    assert_eq!(newest, Some(3), "their removal is the last they learn");
}

#[tokio::test]
async fn the_owner_of_a_dissolved_group_can_leave_it() {
    let mut cast = Cast::of(&["alice", "bob"]).await;
    let group = cast.group(&["bob"]).await;
    let leave = || What::GroupLeave(wire::GroupLeave {});
    assert_eq!(cast.says(0, &group, leave()).await, Err(NackCode::NackForbidden));
    assert_eq!(cast.says(0, &group, What::GroupDissolve(wire::GroupDissolve {})).await, Ok(2));
    assert_eq!(cast.says(0, &group, leave()).await, Ok(3));
    let (bob, no) = (cast.channels[1].0.id.user, ConversationNo(cast.rig.committer.last_conversation));
    let row = cast.rig.committer.log.conversation_as_seen(bob, no).await.unwrap().unwrap();
    assert_eq!(row.group.map(|group| (group.owner, group.members)), Some((String::new(), 1)));
    assert_eq!(cast.says(1, &group, leave()).await, Ok(4));
}

#[tokio::test]
async fn what_was_told_stands_after_somebody_tells_no_more() {
    let mut cast = Cast::of(&["alice", "bob"]).await;
    let message = cast.message(0, "bob", 0);
    cast.answers(0, vec![message]).await;
    cast.says(1, "alice", What::Read(wire::Read { cseq: 1 })).await.unwrap();
    let silent = wire::Privacy { no_receipts: Some(true), ..Default::default() };
    cast.says(1, "", What::Privacy(silent)).await.unwrap();
    let message = cast.message(0, "bob", 0);
    cast.answers(0, vec![message]).await;
    cast.says(1, "alice", What::Read(wire::Read { cseq: 2 })).await.unwrap();
    let (alice, no) = (cast.channels[0].0.id.user, ConversationNo(cast.rig.committer.last_conversation));
    let row = cast.rig.committer.log.conversation_as_seen(alice, no).await.unwrap().unwrap();
    assert_eq!(row.peer_read_cseq, 1);
}

#[tokio::test]
async fn admins_hear_that_a_request_is_settled_by_an_invitation() {
    let mut cast = Cast::of(&["alice", "bob", "carol"]).await;
    let group = cast.group(&["bob"]).await;
    let role = wire::GroupRole { uid: "bob".into(), role: Role::Admin.into() };
    cast.says(0, &group, What::GroupRole(role)).await.unwrap();
    let join = Some(wire::JoinPolicy::JoinRequest.into());
    cast.says(0, &group, What::GroupUpdate(wire::GroupUpdate { join, ..Default::default() })).await.unwrap();
    cast.says(0, &group, What::GroupLink(wire::GroupLink { revoke: false })).await.unwrap();
    let no = ConversationNo(cast.rig.committer.last_conversation);
    let link = cast.rig.committer.conversations[&no].group().unwrap().link.clone();
    cast.says(2, &group, What::GroupJoin(wire::GroupJoin { link })).await.unwrap();
    let asked = cast.rig.committer.users[&cast.channels[1].0.id.user].bounds.head;
    let invite = wire::GroupInvite { uids: vec!["carol".into()] };
    cast.says(0, &group, What::GroupInvite(invite)).await.unwrap();
    let (bob, log) = (cast.channels[1].0.id.user, &cast.rig.committer.log);
    let head = log.bounds(bob).await.unwrap().head;
    let refs = log.refs(bob, asked, head, 100).await.unwrap();
    assert!(refs.iter().any(|(_, reference)| reference.of() == crate::log::Of::JoinRequest));
}

#[tokio::test]
async fn the_log_knows_since_when_the_files_hold_bodies_that_are_gone() {
    async fn since(cast: &Cast) -> u64 {
        cast.rig.committer.log.meta(meta::OLD_BODIES).await.unwrap()
    }
    let mut cast = Cast::of(&["alice", "bob"]).await;
    let messages = vec![cast.message(0, "bob", 0), cast.message(0, "bob", 60), cast.message(0, "bob", 0)];
    cast.answers(0, messages).await;
    assert_eq!(since(&cast).await, 0);
    cast.says(0, "bob", edit(1)).await.unwrap();
    let first = cast.rig.now.unix_ms;
    cast.wait(Duration::from_secs(60));
    cast.rig.process(Vec::new()).await;
    assert!(cast.row(2).await.content.is_empty());
    cast.rig.committer.forget_memory().await.unwrap();
    assert_eq!(since(&cast).await, first, "the oldest of them counts");
    cast.wait(Duration::from_secs(1));
    let began_ms = cast.rig.now.unix_ms;
    cast.says(0, "bob", recall(3)).await.unwrap();
    cast.rig.process(vec![Op::Purged { began_ms }]).await;
    assert_eq!(since(&cast).await, began_ms, "one has gone since");
    cast.rig.process(vec![Op::Purged { began_ms: began_ms + 1 }]).await;
    assert_eq!(since(&cast).await, 0);
}

#[tokio::test]
async fn what_is_refused_leaves_nothing_behind() {
    let mut cast = Cast::of(&["alice", "bob"]).await;
    let nobody = wire::Privacy { write: wire::Audience::Nobody.into(), ..Default::default() };
    cast.says(1, "", What::Privacy(nobody)).await.unwrap();
    let extras = Some(Box::new(wire::Extras { reply_to: 1, ..Default::default() }));
    let refused = [
        (Asked::Message { content: "hi".into(), extras: None }, NackCode::NackForbidden),
        (
            Asked::Act(Box::new(What::Forward(wire::Forward { conversation: "bob".into(), cseq: 1 }))),
            NackCode::NackForbidden,
        ),
    ];
    for (asked, why) in refused {
        let op = cast.op(0, "bob", asked);
        assert_eq!(cast.answers(0, vec![op]).await, [Err(why)]);
    }
    let everybody = wire::Privacy { write: wire::Audience::Everybody.into(), ..Default::default() };
    cast.says(1, "", What::Privacy(everybody)).await.unwrap();
    let to_nothing = cast.op(0, "bob", Asked::Message { content: "hi".into(), extras });
    assert_eq!(cast.answers(0, vec![to_nothing]).await, [Err(NackCode::NackInvalid)]);
    let out_of_nothing = What::Forward(wire::Forward { conversation: "bob".into(), cseq: 1 });
    assert_eq!(cast.says(0, "bob", out_of_nothing).await, Err(NackCode::NackNotFound));
    assert_eq!(cast.rig.committer.last_conversation, 0, "none of it has made a conversation");
    let message = cast.message(0, "bob", 0);
    assert_eq!(cast.answers(0, vec![message]).await, [Ok(1)]);
    assert_eq!(cast.rig.committer.last_conversation, 1);
}

#[tokio::test]
async fn a_message_read_in_the_batch_that_brought_it_tells_its_author() {
    let mut cast = Cast::of(&["alice", "bob"]).await;
    let group = cast.group(&["bob"]).await;
    let batch = vec![cast.message(0, &group, 0), cast.act(1, &group, What::Read(wire::Read { cseq: 2 }))];
    cast.rig.process(batch).await;
    let (alice, log) = (cast.channels[0].0.id.user, &cast.rig.committer.log);
    let head = log.bounds(alice).await.unwrap().head;
    let refs = log.refs(alice, 0, head, 100).await.unwrap();
    let told = refs.iter().find(|(_, reference)| reference.of() == crate::log::Of::Receipt);
    assert_eq!(told.map(|(_, reference)| reference.read_cseq), Some(2));
}

#[tokio::test]
async fn an_edit_of_what_was_before_one_came_says_nothing() {
    // Below the fan-out threshold, and above it.
    for others in [&["bob"][..], &["bob", "dave", "erin", "fay", "gus"]] {
        let mut cast = Cast::of(&["alice", "bob", "carol", "dave", "erin", "fay", "gus"]).await;
        let group = cast.group(others).await;
        let message = cast.message(0, &group, 0);
        let said = cast.answers(0, vec![message]).await[0].unwrap();
        let invite = wire::GroupInvite { uids: vec!["carol".into()] };
        cast.says(0, &group, What::GroupInvite(invite)).await.unwrap();
        let (bob, carol) = (cast.channels[1].0.clone(), cast.channels[2].0.clone());
        for channel in [&bob, &carol] {
            while channel.take(true).is_some() {}
            channel.catch_up(channel.head());
        }
        let edited = cast.says(0, &group, edit(said)).await.unwrap();
        for channel in [&bob, &carol] {
            assert!(channel.take(true).is_none(), "each reads for themselves what they may see of it");
            assert!(channel.is_lagging() || channel.take_hints_due());
        }
        let log = &cast.rig.committer.log;
        for (who, content) in [(bob.id.user, "better"), (carol.id.user, "")] {
            let view = log.view(who, &ConversationId::new(&group).unwrap()).await.unwrap().unwrap();
            let entry = log.seen_message(&view, edited).await.unwrap().unwrap();
            let Some(What::Edit(edit)) = entry.act.and_then(|act| act.what) else { panic!("no edit") };
            assert_eq!(edit.content, content);
        }
        let message = cast.message(0, &group, 0);
        let said = cast.answers(0, vec![message]).await[0].unwrap();
        for channel in [&bob, &carol] {
            while channel.take(true).is_some() {}
            channel.catch_up(channel.head());
        }
        cast.says(0, &group, edit(said)).await.unwrap();
        assert!(carol.take(true).is_some(), "what all may see comes at once");
    }
}

#[tokio::test]
async fn a_group_that_everybody_has_left_is_in_order() {
    let mut cast = Cast::of(&["alice"]).await;
    let group = cast.group(&[]).await;
    cast.says(0, &group, What::GroupLeave(wire::GroupLeave {})).await.unwrap();
    assert_eq!(verify(&*cast.rig.engine).unwrap().problems, Vec::<String>::new());
}
