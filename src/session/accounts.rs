//! Changing accounts: what operators do, and what users may do to their own.

use hongyan_proto::Uid;
use tokio::sync::oneshot;

use super::gate::{Attempt, Gate, REGISTRATIONS, Rejection};
use crate::{
    auth::{Secret, password::PasswordError},
    committer::{
        CommitQueue,
        op::{AccountAction, AccountChange, AccountError, Op},
    },
    live::channel::Channel,
};

/// Why there is no new account.
#[derive(Debug)]
pub enum RegisterError {
    /// Too many are made from this address.
    TooMany(Rejection),
    /// Too many passwords are being checked and hashed.
    Busy,
    /// It is not one that can be set.
    BadPassword(PasswordError),
    /// It could not be hashed.
    Hashing(PasswordError),
    Account(AccountError),
}

impl From<PasswordError> for RegisterError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::Busy,
            error @ PasswordError::BadLength { .. } => Self::BadPassword(error),
            error => Self::Hashing(error),
        }
    }
}

/// Makes a change and waits until it is durable.
pub async fn change(queue: &CommitQueue, uid: &Uid, action: AccountAction) -> Result<(), AccountError> {
    let (reply, answer) = oneshot::channel();
    let change = AccountChange { uid: uid.clone(), action, reply };
    queue.put(Op::Account(Box::new(change)));
    answer.await.unwrap_or(Err(AccountError::Stopping))
}

/// A new account with a password, made by whoever wants one. It is counted as a failed login is: too many at once have
/// to wait.
pub async fn register(
    gate: &Gate,
    queue: &CommitQueue,
    uid: &Uid,
    password: Secret,
    attempt: &Attempt,
) -> Result<(), RegisterError> {
    gate.check(REGISTRATIONS, attempt, "too many new accounts or failed logins from here, wait")
        .map_err(RegisterError::TooMany)?;
    gate.on_failure(REGISTRATIONS, attempt);
    let password_hash = Some(gate.passwords.hash(password).await?);
    change(queue, uid, AccountAction::Add { password_hash }).await.map_err(RegisterError::Account)
}

/// The device cannot come back with what it has: it has to log in with a credential again.
pub async fn log_out(queue: &CommitQueue, uid: &Uid, channel: &Channel) -> Result<(), AccountError> {
    change(queue, uid, AccountAction::LogOut(channel.device)).await
}
