//! What users let others do and know.

use hongyan_proto::wire::{self, Audience};

use super::{
    record::{AccountRecord, ContactRecord},
    rows::{Log, missing},
};
use crate::{base::number::UserNo, store::StoreError};

impl Log {
    /// A user's own settings.
    pub async fn privacy(&self, user: UserNo) -> Result<wire::Privacy, StoreError> {
        let account = self.account(user).await?.ok_or_else(|| missing(format!("user {}", user.0)))?;
        Ok(wire::Privacy {
            write: said(account.may_write(), self.default_audience()).into(),
            add_to_groups: said(account.may_add(), self.default_audience()).into(),
            presence: said(account.may_see(), Audience::Everybody).into(),
            no_receipts: Some(account.no_receipts),
        })
    }

    /// Whether `user` takes messages, and signals, from `other`.
    pub async fn takes_from(&self, user: UserNo, other: UserNo) -> Result<bool, StoreError> {
        let Some(account) = self.account(user).await? else { return Ok(false) };
        let contact = self.contact_if_any(user, &account, other).await?;
        let admitted = admits(said(account.may_write(), self.default_audience()), &contact);
        Ok(user == other || admitted && !contact.blocked)
    }

    /// Whether `watcher` may know when `user` is online: they talk with each other or are contacts, neither has blocked the
    /// other, and `user` wants it so.
    pub async fn shows_presence_to(&self, user: UserNo, watcher: UserNo) -> Result<bool, StoreError> {
        if user == watcher {
            return Ok(true);
        }
        let (Some(account), Some(watching)) = (self.account(user).await?, self.account(watcher).await?) else {
            return Ok(false);
        };
        let theirs = self.contact_if_any(user, &account, watcher).await?;
        let mine = self.contact_if_any(watcher, &watching, user).await?;
        let is_admitted = admits(said(account.may_see(), Audience::Everybody), &theirs);
        if mine.blocked || theirs.blocked || account.disabled || !is_admitted {
            return Ok(false);
        }
        Ok(theirs.is_mutual() || self.have_talked(user, watcher).await?)
    }

    async fn have_talked(&self, one: UserNo, other: UserNo) -> Result<bool, StoreError> {
        match self.conversation_between(one, other).await? {
            Some(no) => Ok(self.conversation_head(no).await? > 0),
            None => Ok(false),
        }
    }

    async fn contact_if_any(
        &self,
        user: UserNo,
        account: &AccountRecord,
        other: UserNo,
    ) -> Result<ContactRecord, StoreError> {
        match account.has_contacts {
            true => Ok(self.contact(user, other).await?.unwrap_or_default()),
            false => Ok(ContactRecord::default()),
        }
    }
}

/// What a user has said, or what holds for those who have not.
fn said(audience: Audience, default: Audience) -> Audience {
    if audience == Audience::Unspecified { default } else { audience }
}

fn admits(audience: Audience, contact: &ContactRecord) -> bool {
    match audience {
        Audience::Unspecified | Audience::Everybody => true,
        Audience::Contacts => contact.is_mutual(),
        Audience::Nobody => false,
    }
}
