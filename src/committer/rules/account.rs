//! Accounts: adding, passwords, disabling, revoking.

use hongyan_proto::CloseCode;

use crate::{
    base::{environment::Now, number::UserNo},
    committer::{state::Committer, user::Change},
    ops::{
        answer::{AccountError, Answer},
        effect::Effect,
        id::OpId,
        op::{AccountAction, AccountChange},
    },
    store::StoreError,
};

impl Committer {
    pub async fn change_account(&mut self, change: AccountChange, now: Now) {
        let AccountChange { op, uid, action } = change;
        let known = match self.user_no(uid.as_str(), now).await {
            Ok(known) => known,
            Err(error) => return self.answer_change(op, Err(unavailable(&error))),
        };
        let changed = match (known, action) {
            (Some(_), AccountAction::Add { .. }) => Err(AccountError::Exists(uid)),
            (None, AccountAction::Add { .. } | AccountAction::Ensure) if !self.has_room_for_user() => {
                Err(AccountError::Full(self.settings.accounts))
            }
            (None, AccountAction::Add { password_hash }) => Ok((self.create_user(&uid, password_hash, now), None)),
            (None, AccountAction::Ensure) => Ok((self.create_user(&uid, None, now), None)),
            (None, _) => Err(AccountError::Unknown(uid)),
            (Some(no), action) => self.apply_action(no, action, now).await,
        };
        if let Ok((user, Some(code))) = changed {
            let reason = "an operator ended all sessions of this user".into();
            self.effects.push(Effect::Close { user, device: None, code, reason });
        }
        self.answer_change(op, changed.map(|_| ()));
    }

    fn answer_change(&mut self, op: OpId, changed: Result<(), AccountError>) {
        self.effects.push(Effect::Answer { op, answer: Answer::Changed(changed) });
    }

    async fn apply_action(
        &mut self,
        no: UserNo,
        action: AccountAction,
        now: Now,
    ) -> Result<(UserNo, Option<CloseCode>), AccountError> {
        let user = self.user(no, now).await.map_err(|error| unavailable(&error))?;
        let Some(user) = user else { return Ok((no, None)) };
        let close = match action {
            AccountAction::Add { .. } | AccountAction::Ensure => return Ok((no, None)),
            AccountAction::LogOut(device) => {
                if let Some(device) = user.device_mut(device) {
                    device.slots = Default::default();
                    device.change = Change::Urgent;
                }
                self.touch(no);
                return Ok((no, None));
            }
            AccountAction::SetPassword { password_hash } => {
                user.account.password_hash = password_hash;
                None
            }
            AccountAction::Enable => {
                user.account.disabled = false;
                None
            }
            AccountAction::Disable => {
                user.account.disabled = true;
                Some(CloseCode::REVOKED)
            }
            AccountAction::Revoke => Some(CloseCode::REVOKED),
        };
        if close.is_some() {
            user.account.revocation_epoch += 1;
            user.account.revoked_at_s = now.unix_ms.div_ceil(1000);
            for device in &mut user.devices {
                device.slots = Default::default();
                device.change = Change::Urgent;
            }
        }
        user.account_change = Change::Urgent;
        self.touch(no);
        Ok((no, close))
    }
}

fn unavailable(error: &StoreError) -> AccountError {
    AccountError::Unavailable(error.to_string())
}
