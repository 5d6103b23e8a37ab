//! Changing accounts: what operators do, and what users may do to their own.

use hongyan_proto::Uid;
use tokio::sync::oneshot;

use super::service::Core;
use crate::{
    auth::{Secret, password::PasswordError},
    committer::op::{AccountAction, AccountChange, AccountError, Op},
    live::channel::Channel,
};

/// Why there is no new account.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Account(#[from] AccountError),
}

/// Makes a change and waits until it is durable.
pub async fn change(core: &Core, uid: &Uid, action: AccountAction) -> Result<(), AccountError> {
    let (reply, answer) = oneshot::channel();
    let change = AccountChange { uid: uid.clone(), action, reply };
    core.queue.put(Op::Account(Box::new(change)));
    answer.await.unwrap_or(Err(AccountError::Stopping))
}

/// A new account with a password.
pub async fn register(core: &Core, uid: &Uid, password: Secret) -> Result<(), RegisterError> {
    let password_hash = Some(core.gate.passwords.hash(password).await?);
    Ok(change(core, uid, AccountAction::Add { password_hash }).await?)
}

/// The device cannot come back with what it has: it has to log in with a credential again.
pub async fn log_out(core: &Core, uid: &Uid, channel: &Channel) -> Result<(), AccountError> {
    change(core, uid, AccountAction::LogOut(channel.device)).await
}
