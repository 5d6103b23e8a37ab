//! Rows that are gone, or say what they cannot: whoever needs them is refused for now, nobody else notices, and nothing is
//! written over them.

use hongyan_proto::wire::{self, NackCode, act::What};

use super::{
    cast::{Answered, Cast},
    *,
};
use crate::{
    base::number::ConversationNo,
    log::{ConversationRecord, encode},
};

const UNAVAILABLE: Answered = Err(NackCode::NackUnavailable);

impl Cast {
    /// Loses a row, or puts another in its place, behind the back of the committer, which then has nothing in memory.
    /// Gives what was there.
    async fn damage(&mut self, table: Table, key: Bytes, row: Option<Bytes>) -> Option<Bytes> {
        let before = self.rig.engine.get(table, key.clone()).await.unwrap();
        let mut batch = Batch::default();
        match row {
            Some(row) => batch.put(table, key, row),
            None => batch.remove(table, key),
        }
        self.rig.engine.commit(batch, Durability::Synced).await.unwrap();
        self.rig.committer.forget_memory().await.unwrap();
        before
    }

    async fn writes(&mut self, who: usize, to: &str) -> Answered {
        let message = self.message(who, to, 0);
        self.tries(who, message).await
    }

    async fn does(&mut self, who: usize, to: &str, what: What) -> Answered {
        let act = self.act(who, to, what);
        self.tries(who, act).await
    }

    /// What could not be taken has used no number up.
    async fn tries(&mut self, who: usize, op: Op) -> Answered {
        let answers = self.answers(who, vec![op]).await;
        assert_eq!(answers.len(), 1, "nobody waits for nothing");
        if answers[0] == UNAVAILABLE {
            self.channels[who].1 -= 1;
        }
        answers[0]
    }
}

fn read(cseq: u64) -> What {
    What::Read(wire::Read { cseq })
}

#[tokio::test]
async fn a_reader_without_an_account_makes_a_group_unavailable_and_nothing_else() {
    let mut cast = Cast::of(&["alice", "bob", "carol"]).await;
    let group = cast.group(&["bob", "carol"]).await;
    assert_eq!(cast.writes(0, &group).await, Ok(2));
    let carol = cast.damage(Table::Users, keys::user(UserNo(3)), None).await;
    assert_eq!(cast.writes(0, &group).await, UNAVAILABLE);
    assert_eq!(cast.writes(0, "bob").await, Ok(1));
    cast.damage(Table::Users, keys::user(UserNo(3)), carol).await;
    assert_eq!(cast.writes(0, &group).await, Ok(3), "under the number that was refused");
}

#[tokio::test]
async fn an_admin_without_an_account_lets_nobody_ask_to_join() {
    let mut cast = Cast::of(&["alice", "bob"]).await;
    let group = cast.group(&[]).await;
    let join = Some(wire::JoinPolicy::JoinRequest.into());
    cast.does(0, &group, What::GroupUpdate(wire::GroupUpdate { join, ..Default::default() })).await.unwrap();
    cast.does(0, &group, What::GroupLink(wire::GroupLink::default())).await.unwrap();
    let no = ConversationNo(1);
    let link = cast.rig.committer.log.conversation(no).await.unwrap().unwrap().group.unwrap().link;
    cast.damage(Table::Users, keys::user(UserNo(1)), None).await;
    assert_eq!(cast.does(1, &group, What::GroupJoin(wire::GroupJoin { link })).await, UNAVAILABLE);
}

#[tokio::test]
async fn a_name_whose_account_is_gone_is_not_given_to_another() {
    let mut cast = Cast::of(&["alice", "bob"]).await;
    cast.rig.committer.settings.accept_unknown_recipients = true;
    cast.damage(Table::Users, keys::user(UserNo(2)), None).await;
    assert_eq!(cast.writes(0, "bob").await, UNAVAILABLE);
    let login = cast.rig.log_in_as(Who::Credential(credential("bob", "tablet"))).await;
    assert!(
        matches!(&login, Err(LoginError::Unavailable(error)) if error.contains("user 2")),
        "the log names the row: {:?}",
        login.err()
    );
    assert_eq!(cast.writes(1, "alice").await, UNAVAILABLE, "nor does bob's own device wait for nothing");
}

#[tokio::test]
async fn a_conversation_that_is_gone_is_not_begun_anew() {
    let mut cast = Cast::of(&["alice", "bob"]).await;
    assert_eq!(cast.writes(0, "bob").await, Ok(1));
    let key = keys::conversation(ConversationNo(1));
    let record = cast.damage(Table::Conversations, key.clone(), None).await;
    assert_eq!(cast.writes(0, "bob").await, UNAVAILABLE);
    assert_eq!(cast.does(1, "alice", read(1)).await, UNAVAILABLE);
    cast.damage(Table::Conversations, key, record).await;
    assert_eq!(cast.writes(0, "bob").await, Ok(2));
}

#[tokio::test]
async fn a_conversation_of_others_is_nobodys() {
    let mut cast = Cast::of(&["alice", "bob", "carol", "dave"]).await;
    assert_eq!(cast.writes(0, "bob").await, Ok(1));
    let others = ConversationRecord { first_user: 3, second_user: 4, ..Default::default() };
    cast.damage(Table::Conversations, keys::conversation(ConversationNo(1)), Some(encode(&others))).await;
    assert_eq!(cast.writes(0, "bob").await, UNAVAILABLE);
    // By its number, as one that is known to be theirs.
    assert_eq!(cast.does(1, "#1", read(1)).await, UNAVAILABLE);
    assert_eq!(cast.writes(2, "dave").await, Ok(1));
}

#[tokio::test]
async fn receipts_of_a_conversation_of_others_wait() {
    let mut cast = Cast::of(&["alice", "bob", "carol", "dave"]).await;
    assert_eq!(cast.writes(0, "bob").await, Ok(1));
    let others = ConversationRecord { first_user: 3, second_user: 4, ..Default::default() };
    cast.damage(Table::Conversations, keys::conversation(ConversationNo(1)), Some(encode(&others))).await;
    let bob = cast.channels[1].0.clone();
    cast.rig.process(vec![acked(&bob, 1)]).await;
    cast.rig.pass(Duration::from_secs(1)).await;
    assert_eq!(cast.rig.committer.due.receipts.len(), 1, "they may be written when the row is back");
    assert_eq!(cast.writes(2, "dave").await, Ok(1));
}

#[tokio::test]
async fn a_group_that_counts_no_members_lets_them_go() {
    let mut cast = Cast::of(&["alice", "bob"]).await;
    let group = cast.group(&["bob"]).await;
    let mut record = cast.rig.committer.log.conversation(ConversationNo(1)).await.unwrap().unwrap();
    record.group.get_or_insert_default().members = 0;
    cast.damage(Table::Conversations, keys::conversation(ConversationNo(1)), Some(encode(&record))).await;
    assert_eq!(cast.does(1, &group, What::GroupLeave(wire::GroupLeave {})).await, Ok(2));
}

#[tokio::test]
async fn a_row_that_does_not_decode_is_named() {
    let mut cast = Cast::of(&["alice", "bob"]).await;
    cast.damage(Table::Users, keys::user(UserNo(2)), Some(Bytes::from_static(&[0xFF; 3]))).await;
    assert_eq!(cast.writes(0, "bob").await, UNAVAILABLE);
    let error = cast.rig.committer.user_no("bob", cast.rig.now).await.err().unwrap().to_string();
    assert!(error.contains("[00, 00, 00, 02]") && error.contains("users"), "{error}");
}
