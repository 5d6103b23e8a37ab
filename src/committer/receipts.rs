//! Delivered receipts: when a device of the recipient has stored a message, its sender learns it, per conversation and
//! number, gathered over a short time.

use std::{collections::BTreeMap, sync::Arc};

use hongyan_proto::{
    server::encode_item,
    wire::{self, entry::Item},
};

use super::{Committer, Now, effect::Effect};
use crate::{
    channel::Channel,
    log::{ConversationNo, EntryRef, UserNo},
    store::StoreError,
};

/// References looked at in one step.
const STEP: usize = 4096;

impl Committer {
    /// A device has stored everything up to `useq`.
    pub(super) async fn acked(&mut self, channel: &Arc<Channel>, useq: u64, now: Now) {
        let no = channel.user;
        // The ack comes from a live channel; if its user cannot be read, the device will ack again.
        let Ok(Some(user)) = self.user(no, now).await else { return };
        let Some(device) = user.device_mut(channel.device) else { return };
        if device.record.conn_epoch != channel.conn_epoch {
            return;
        }
        device.confirm_token();
        if useq > device.record.cursor {
            device.record.cursor = useq;
            device.changed = true;
        }
        self.touch_lazily(no, now);
        self.schedule_receipts(no, now);
        self.trim(no).await;
    }

    /// Sees to it that the senders learn what has reached the user by now.
    pub(super) fn schedule_receipts(&mut self, no: UserNo, now: Now) {
        let Some(user) = self.users.get_mut(&no) else { return };
        if user.delivered() > user.account.receipted_useq && !user.receipts_wait {
            user.receipts_wait = true;
            self.receipts_due.push_back((now.instant + self.settings.receipt_delay, no));
        }
    }

    /// Writes the receipts that have fallen due.
    pub(super) async fn stage_receipts(&mut self, now: Now) -> Result<(), StoreError> {
        while let Some((due, no)) = self.receipts_due.front().copied() {
            if due > now.instant {
                break;
            }
            self.receipts_due.pop_front();
            self.stage_receipts_of(no, now).await?;
        }
        Ok(())
    }

    async fn stage_receipts_of(&mut self, no: UserNo, now: Now) -> Result<(), StoreError> {
        let Some(user) = self.user(no, now).await? else { return Ok(()) };
        user.receipts_wait = false;
        let (uid, upto) = (user.uid.clone(), user.delivered());
        let mut after = user.account.receipted_useq.max(user.bounds.low);
        let mut delivered: BTreeMap<ConversationNo, u64> = BTreeMap::new();
        while after < upto {
            // What is delivered has been committed, so it is in the log.
            let refs = self.log.refs(no, after, upto, STEP).await?;
            let Some((last, _)) = refs.last() else { break };
            after = *last;
            for (_, reference) in refs {
                if reference.own_device == 0 && reference.delivered_cseq == 0 {
                    let newest = delivered.entry(ConversationNo(reference.conversation)).or_default();
                    *newest = reference.cseq.max(*newest);
                }
            }
        }
        for (conversation, delivered_cseq) in delivered {
            self.stage_receipt(no, &uid, conversation, delivered_cseq, now).await?;
        }
        if let Some(user) = self.user(no, now).await? {
            user.account.receipted_useq = upto;
            user.account_changed = true;
            self.touch_lazily(no, now);
        }
        self.trim(no).await;
        Ok(())
    }

    async fn stage_receipt(
        &mut self,
        by: UserNo,
        uid: &hongyan_proto::Uid,
        conversation: ConversationNo,
        delivered_cseq: u64,
        now: Now,
    ) -> Result<(), StoreError> {
        let Some(record) = self.log.conversation(conversation).await? else { return Ok(()) };
        let author = UserNo(if record.first_user == by.0 { record.second_user } else { record.first_user });
        let Some(user) = self.user(author, now).await? else { return Ok(()) };
        let reference = EntryRef { conversation: conversation.0, delivered_cseq, ..Default::default() };
        let useq = user.append(reference);
        self.touch(author);
        let receipt = wire::Receipt { conversation: uid.as_str().into(), delivered_cseq, ..Default::default() };
        self.effects.push(Effect::Offer { user: author, useq, item: encode_item(Item::Receipt(receipt)) });
        Ok(())
    }
}
