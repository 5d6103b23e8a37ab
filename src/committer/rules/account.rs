//! Accounts: adding, passwords, disabling, revoking.

use hongyan_proto::CloseCode;

use crate::{
    base::{environment::Now, number::UserNo},
    committer::{
        effect::Effect,
        op::{AccountAction, AccountChange, AccountError},
        state::Committer,
        user::Change,
    },
};

impl Committer {
    pub async fn change_account(&mut self, change: AccountChange, now: Now) {
        let AccountChange { uid, action, reply } = change;
        let known = match self.user_no(uid.as_str(), now).await {
            Ok(known) => known,
            Err(error) => return drop(reply.send(Err(error.into()))),
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
        match changed {
            Ok((user, close)) => self.effects.push(Effect::Account { user, close, reply }),
            // Whether the operator still listens changes nothing.
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    async fn apply_action(
        &mut self,
        no: UserNo,
        action: AccountAction,
        now: Now,
    ) -> Result<(UserNo, Option<CloseCode>), AccountError> {
        let Some(user) = self.user(no, now).await? else { return Ok((no, None)) };
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
