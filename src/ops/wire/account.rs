//! Changes of accounts, and why they were not made.

use hongyan_proto::Uid;

use super::{
    malformed::Malformed,
    message::{self, account_change::Action, account_error::Why},
};
use crate::{
    base::number::DeviceNo,
    ops::{
        answer::AccountError,
        id::OpId,
        op::{AccountAction, AccountChange},
    },
};

impl From<AccountChange> for message::AccountChange {
    fn from(AccountChange { op, uid, action }: AccountChange) -> Self {
        Self { op: op.into(), uid: uid.to_string(), action: Some(action.into()) }
    }
}

impl TryFrom<message::AccountChange> for AccountChange {
    type Error = Malformed;

    fn try_from(message::AccountChange { op, uid, action }: message::AccountChange) -> Result<Self, Malformed> {
        let action = action.ok_or(Malformed::Missing("account.action"))?.into();
        Ok(Self { op: OpId::try_from(op)?, uid: Uid::new(&uid)?, action })
    }
}

impl From<AccountAction> for Action {
    fn from(action: AccountAction) -> Self {
        match action {
            AccountAction::Add { password_hash } => Action::Add(message::Add { password_hash }),
            AccountAction::Ensure => Action::Ensure(()),
            AccountAction::SetPassword { password_hash } => Action::SetPassword(password_hash),
            AccountAction::Disable => Action::Disable(()),
            AccountAction::Enable => Action::Enable(()),
            AccountAction::Revoke => Action::Revoke(()),
            AccountAction::LogOut(device) => Action::LogOut(device.0),
        }
    }
}

impl From<Action> for AccountAction {
    fn from(action: Action) -> Self {
        match action {
            Action::Add(message::Add { password_hash }) => AccountAction::Add { password_hash },
            Action::Ensure(()) => AccountAction::Ensure,
            Action::SetPassword(password_hash) => AccountAction::SetPassword { password_hash },
            Action::Disable(()) => AccountAction::Disable,
            Action::Enable(()) => AccountAction::Enable,
            Action::Revoke(()) => AccountAction::Revoke,
            Action::LogOut(device) => AccountAction::LogOut(DeviceNo(device)),
        }
    }
}

impl From<AccountError> for message::AccountError {
    fn from(error: AccountError) -> Self {
        let why = match error {
            AccountError::Exists(uid) => Why::Exists(uid.to_string()),
            AccountError::Unknown(uid) => Why::Unknown(uid.to_string()),
            AccountError::Full(accounts) => Why::Full(accounts),
            AccountError::Stopping => Why::Stopping(()),
            AccountError::Unavailable(words) => Why::Unavailable(words),
        };
        Self { why: Some(why) }
    }
}

impl TryFrom<message::AccountError> for AccountError {
    type Error = Malformed;

    fn try_from(error: message::AccountError) -> Result<Self, Malformed> {
        Ok(match error.why.ok_or(Malformed::Missing("not_changed.why"))? {
            Why::Exists(uid) => AccountError::Exists(Uid::new(&uid)?),
            Why::Unknown(uid) => AccountError::Unknown(Uid::new(&uid)?),
            Why::Full(accounts) => AccountError::Full(accounts),
            Why::Stopping(()) => AccountError::Stopping,
            Why::Unavailable(words) => AccountError::Unavailable(words),
        })
    }
}
