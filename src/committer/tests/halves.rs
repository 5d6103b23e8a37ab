//! An act is done or it is not: whichever read of the store fails in the middle of it, nothing of it is committed with the
//! rest of the batch, and the same act done again comes out as if nothing had failed.

use std::{collections::BTreeMap, ops::ControlFlow};

use hongyan_proto::wire::{JoinPolicy, NackCode, Role, act::What};

use super::{
    cast::{Answered, Cast},
    *,
};

const NAMES: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "zoe"];
const ZOE: usize = 5;

/// Every row of the store.
type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

fn rows(cast: &Cast) -> Rows {
    let mut rows = Rows::new();
    let mut each = |table: Table, key: &[u8], value: &[u8]| {
        rows.insert((table, key.to_vec()), value.to_vec());
        ControlFlow::Continue(())
    };
    cast.rig.engine.dump(&mut each).unwrap();
    rows
}

/// Alice's group of bob, who is an admin, and carol, with a message of alice and one of bob. Dave asks to join.
async fn stage() -> Cast {
    let mut cast = Cast::of(&NAMES).await;
    let group = cast.group(&["bob", "carol"]).await;
    let role = wire::GroupRole { uid: "bob".into(), role: Role::Admin.into() };
    cast.says(0, &group, What::GroupRole(role)).await.unwrap();
    let join = Some(JoinPolicy::JoinRequest.into());
    cast.says(0, &group, What::GroupUpdate(wire::GroupUpdate { join, ..Default::default() })).await.unwrap();
    cast.says(0, &group, What::GroupLink(wire::GroupLink { revoke: false })).await.unwrap();
    let no = crate::base::number::ConversationNo(group[1..].parse().unwrap());
    let link = cast.rig.committer.conversations[&no].group().unwrap().link.clone();
    cast.says(3, &group, What::GroupJoin(wire::GroupJoin { link })).await.unwrap();
    for who in [0, 1] {
        let message = cast.message(who, &group, 0);
        cast.answers(who, vec![message]).await;
    }
    cast
}

fn named(uid: &str) -> String {
    uid.into()
}

/// What somebody does, and where.
fn acts(group: &str) -> Vec<(usize, String, Option<What>)> {
    let mine = 4;
    let on_group = |who: usize, what: What| (who, group.to_owned(), Some(what));
    vec![
        (0, group.to_owned(), None),
        (0, named("erin"), None),
        on_group(0, What::Edit(wire::Edit { cseq: mine, content: "new".into(), ..Default::default() })),
        on_group(0, What::Recall(wire::Recall { cseq: mine, ..Default::default() })),
        on_group(1, What::React(wire::React { cseq: mine, reaction: "+".into(), ..Default::default() })),
        on_group(1, What::Pin(wire::Pin { cseq: mine, unpin: false })),
        on_group(1, What::Disappear(wire::Disappear { after_s: 60 })),
        on_group(1, What::Read(wire::Read { cseq: mine })),
        on_group(1, What::Arrange(wire::Arrange { pinned: Some(true), ..Default::default() })),
        (0, named("erin"), Some(What::Forward(wire::Forward { conversation: group.into(), cseq: mine }))),
        (0, named("erin"), Some(What::Arrange(wire::Arrange { draft: Some("x".into()), ..Default::default() }))),
        (0, named("erin"), Some(What::Contact(wire::ContactAct { what: 1 }))),
        (0, String::new(), Some(What::Privacy(wire::Privacy { write: 2, ..Default::default() }))),
        (0, String::new(), Some(What::GroupCreate(wire::GroupCreate { members: vec![named("erin")], settings: None }))),
        on_group(0, What::GroupUpdate(wire::GroupUpdate { title: Some("t".into()), ..Default::default() })),
        on_group(0, What::GroupInvite(wire::GroupInvite { uids: vec![named("dave"), named("erin")] })),
        on_group(2, What::GroupLeave(wire::GroupLeave {})),
        on_group(0, What::GroupRemove(wire::GroupRemove { uid: named("bob"), ban: true })),
        on_group(0, What::GroupRole(wire::GroupRole { uid: named("bob"), role: Role::Member.into() })),
        on_group(0, What::GroupTransfer(wire::GroupTransfer { uid: named("bob") })),
        on_group(0, What::GroupAdmit(wire::GroupAdmit { uid: named("dave"), refuse: false })),
        on_group(0, What::GroupAdmit(wire::GroupAdmit { uid: named("dave"), refuse: true })),
        on_group(0, What::GroupLink(wire::GroupLink { revoke: true })),
        on_group(0, What::GroupDissolve(wire::GroupDissolve {})),
    ]
}

/// Another person's message, with nobody in memory before; then one more of it, with the act in front. Only reads for the
/// act can fail.
async fn attempt(cast: &mut Cast, act: Option<&(usize, String, Option<What>)>, fault: Option<usize>) -> Answered {
    cast.rig.committer.forget_memory().await.unwrap();
    let other = cast.message(ZOE, "zoe", 0);
    cast.rig.process(vec![other]).await;
    let mut batch = vec![cast.message(ZOE, "zoe", 0)];
    let Some((who, to, what)) = act else {
        cast.rig.process(batch).await;
        return Ok(0);
    };
    let op = match what {
        Some(what) => cast.act(*who, to, what.clone()),
        None => cast.message(*who, to, 0),
    };
    batch.insert(0, op);
    cast.rig.engine.fail_a_read_after(fault.unwrap_or(usize::MAX));
    let answer = cast.answers(*who, batch).await[0];
    cast.rig.engine.fail_a_read_after(usize::MAX);
    if answer.is_err() {
        // What is refused for now is sent again under the same number.
        cast.channels[*who].1 -= 1;
    }
    answer
}

#[tokio::test]
async fn whichever_read_fails_an_act_is_done_or_not() {
    let mut failed = 0;
    for act in acts("#1") {
        let mut clean = stage().await;
        attempt(&mut clean, None, None).await.unwrap();
        let nothing = rows(&clean);
        attempt(&mut clean, Some(&act), None).await.unwrap_or_else(|nack| panic!("{act:?}: {nack:?}"));
        let done = rows(&clean);
        for reads in 0.. {
            let mut cast = stage().await;
            let outcome = attempt(&mut cast, Some(&act), Some(reads)).await;
            if outcome.is_ok() {
                break;
            }
            failed += 1;
            let what = || format!("{act:?}, read {reads}");
            assert_eq!(outcome, Err(NackCode::NackUnavailable), "{}", what());
            assert_same(&rows(&cast), &nothing, &format!("{} failed, but left something", what()));
            attempt(&mut cast, Some(&act), None).await.unwrap_or_else(|nack| panic!("{}: {nack:?}", what()));
            assert_same(&rows(&cast), &done, &format!("{} failed, then the act came out otherwise", what()));
        }
    }
    assert!(failed > 100, "only {failed} reads failed");
}

fn assert_same(found: &Rows, expected: &Rows, what: &str) {
    let of = |rows: &Rows, other: &Rows| -> Vec<&'static str> {
        rows.iter().filter(|(key, value)| other.get(*key) != Some(*value)).map(|((table, _), _)| table.name()).collect()
    };
    assert!(found == expected, "{what}: now {:?}, before {:?}", of(found, expected), of(expected, found));
}
