//! How many accounts there may be, whoever makes them.

use super::*;
use crate::ops::{answer::AccountError, op::AccountAction};

impl Rig {
    async fn add_user(&mut self, uid: &str) -> Result<(), AccountError> {
        self.front.change(&mut self.committer, self.now, uid, AccountAction::Add { password_hash: None }).await
    }
}

#[tokio::test]
async fn no_more_accounts_than_allowed() {
    let accounts = 3;
    let mut rig = Rig::with(CommitterSettings { accounts, accept_unknown_recipients: true, ..settings() }).await;
    let alice = rig.log_in("alice", "phone").await.channel;
    // The second of one batch is refused too.
    rig.process(vec![send(&alice, 1, "bob"), send(&alice, 2, "carol"), send(&alice, 3, "dave")]).await;
    let full = ('r', 3, wire::NackCode::NackFull as u64);
    assert_eq!(drain(&alice), [('a', 1, 1), ('a', 2, 2), full]);
    assert!(matches!(rig.add_user("dave").await, Err(AccountError::Full(3))));
    let stranger = rig.log_in_as(Who::Credential(credential("dave", "phone"))).await;
    assert!(is_refused(stranger, CloseCode::OVERLOADED));
    rig.committer.forget_memory().await.unwrap();
    assert!(matches!(rig.add_user("dave").await, Err(AccountError::Full(3))), "it is known from the log");
    // Those who are there go on.
    rig.log_in("carol", "phone").await;
    rig.process(vec![send(&alice, 4, "bob")]).await;
    assert_eq!(drain(&alice), [('a', 4, 3)]);
}
