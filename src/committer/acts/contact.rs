//! Contacts and the block list.

use hongyan_proto::{
    ConversationId,
    wire::{NackCode, contact_act::What},
};

use crate::{
    base::{
        environment::Now,
        number::{ConversationNo, UserNo},
    },
    committer::{
        plan::{Done, Ruled, done, refused},
        state::Committer,
        user::Change,
    },
    log::{ContactRecord, Of, encode, keys},
    ops::effect::Effect,
    store::{StoreError, Table},
};

impl Committer {
    pub async fn contact_act(&mut self, user: UserNo, to: &ConversationId, what: What, now: Now) -> Ruled<Done> {
        let ConversationId::User(uid) = to else {
            return refused(NackCode::NackInvalid, "to: a contact is a user");
        };
        let other = match self.user_no(uid.as_str(), now).await? {
            Some(other) if other != user => other,
            Some(_) => return refused(NackCode::NackInvalid, "to: this is yourself"),
            None => return refused(NackCode::NackNotFound, "there is no such user here"),
        };
        let (mut mine, mut theirs) = (self.contact(user, other).await?, self.contact(other, user).await?);
        let before = (mine, theirs);
        match what {
            What::Ask => {
                mine.asked_by_me = true;
                mine.asked_by_them |= theirs.asked_by_me;
                // Who is blocked asks nobody.
                theirs.asked_by_them |= !theirs.blocked;
            }
            What::Remove => {
                mine = ContactRecord { blocked: mine.blocked, ..Default::default() };
                theirs = ContactRecord { blocked: theirs.blocked, ..Default::default() };
            }
            What::Block => mine.blocked = true,
            What::Unblock => mine.blocked = false,
            What::Unspecified => return refused(NackCode::NackInvalid, "contact: say what is to be done"),
        }
        for (owner, about, record, was) in [(user, other, mine, before.0), (other, user, theirs, before.1)] {
            if record != was {
                self.put_contact(owner, about, record);
            }
        }
        done()
    }

    async fn contact(&mut self, user: UserNo, other: UserNo) -> Result<ContactRecord, StoreError> {
        Ok(self.row(Table::Contacts, keys::contact(user, other)).await?.unwrap_or_default())
    }

    fn put_contact(&mut self, owner: UserNo, about: UserNo, record: ContactRecord) {
        let key = keys::contact(owner, about);
        match record == ContactRecord::default() {
            true => self.batch.remove(Table::Contacts, key),
            false => self.batch.put(Table::Contacts, key, encode(&record)),
        }
        if let Some(user) = self.users.get_mut(&owner).filter(|user| !user.account.has_contacts) {
            user.account.has_contacts = true;
            user.account_change = Change::Urgent;
        }
        self.refer(owner, Of::Contact, ConversationNo(0), about);
        for (user, watcher) in [(owner, about), (about, owner)] {
            self.effects.push(Effect::Veil { user, watcher: Some(watcher) });
        }
    }
}
