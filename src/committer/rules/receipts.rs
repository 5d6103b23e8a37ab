//! Delivered receipts: when a device of the recipient has stored a message, its sender learns it, per conversation and
//! number, gathered over a short time.

use std::{collections::BTreeMap, time::Duration};

use hongyan_proto::{
    canary,
    server::encode_item,
    wire::{self, entry::Item},
};

use crate::{
    base::{
        environment::Now,
        number::{ConversationNo, UserNo},
    },
    committer::{
        state::Committer,
        user::{Ack, Change},
    },
    log::{DeviceRecord, EntryRef, Of, missing},
    ops::{effect::Effect, id::ChannelId},
    store::StoreError,
};

/// References looked at in one step.
const STEP: usize = 4096;
/// When receipts that could not be written are tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

impl Committer {
    /// A device has stored a part of the log.
    pub async fn acked(&mut self, ack: Ack, now: Now) {
        if let Err(error) = self.try_acked(ack, now).await {
            tracing::error!(%error, "an ack could not be noted");
            self.lost_acks.insert((ack.by.user, ack.by.device), ack);
            self.due.put_off(now);
        }
    }

    async fn try_acked(&mut self, ack: Ack, now: Now) -> Result<(), StoreError> {
        let Ack { by: ChannelId { user: no, device, conn_epoch }, useq } = ack;
        let Some(user) = self.user(no, now).await? else { return Ok(()) };
        let Some(device) = user
            .device_mut(device)
            .filter(|device| device.record.conn_epoch == conn_epoch || canary::is("ack-not-fenced"))
        else {
            return Ok(());
        };
        device.confirm_token();
        let useq = if canary::is("cursor-before-ack") { useq + 1 } else { useq };
        if useq > device.record.cursor {
            device.record.cursor = useq;
            device.change.raise(Change::Lazy);
        }
        self.touch_lazily(no, now);
        self.schedule_receipts(no, now);
        self.trim(no).await;
        Ok(())
    }

    /// What is in memory is about to be forgotten: how far the devices of these users have acked is not, for it may not be
    /// in the log.
    pub fn remember_acks(&mut self, touched: &[UserNo], now: Now) {
        if canary::is("acks-of-a-failed-commit") {
            return;
        }
        for user in touched.iter().filter_map(|no| self.users.get(no)) {
            for device in &user.devices {
                let DeviceRecord { conn_epoch, cursor, .. } = device.record;
                let by = ChannelId { user: user.no, device: device.no, conn_epoch };
                self.lost_acks.insert((by.user, by.device), Ack { by, useq: cursor });
                self.due.put_off(now);
            }
        }
    }

    /// Notes again what could not be noted.
    pub async fn recover_acks(&mut self, now: Now) {
        if !self.lost_acks.is_empty() {
            for ack in std::mem::take(&mut self.lost_acks).into_values() {
                self.acked(ack, now).await;
            }
        }
    }

    /// Sees to it that the senders learn what has reached the user by now.
    pub fn schedule_receipts(&mut self, no: UserNo, now: Now) {
        let Some(user) = self.users.get_mut(&no) else { return };
        if user.delivered() > user.account.receipted_useq && !user.receipts_wait {
            user.receipts_wait = true;
            self.due.receipts.push_back((now.instant + self.settings.receipt_delay, no));
        }
    }

    /// Writes the receipts that have fallen due.
    pub async fn stage_receipts(&mut self, now: Now) {
        while let Some((_, no)) = self.due.receipts.pop_front_if(|(due, _)| *due <= now.instant) {
            if let Err(error) = self.stage_receipts_of(no, now).await {
                tracing::error!(%error, "delivered receipts could not be read");
                self.due.receipts.push_back((now.instant + RETRY_DELAY, no));
                return;
            }
        }
    }

    async fn stage_receipts_of(&mut self, no: UserNo, now: Now) -> Result<(), StoreError> {
        let Some(user) = self.user(no, now).await? else { return Ok(()) };
        let upto = user.delivered();
        let mut after = user.account.receipted_useq.max(user.bounds.low);
        let mut delivered = Delivered::default();
        while after < upto {
            let refs = self.log.refs(no, after, upto, STEP).await?;
            // What is delivered has been committed. To go on without it would keep its receipt from its author for good.
            let (last, _) = refs.last().ok_or_else(|| missing(format!("entry {upto} of user {}", no.0)))?;
            after = *last;
            refs.iter().for_each(|(_, reference)| delivered.add(reference));
        }
        for (conversation, newest) in delivered.newest {
            let authors = delivered.authors.remove(&conversation).unwrap_or_default();
            self.deliver_up_to(no, conversation, newest, authors, now).await?;
        }
        if let Some(user) = self.user(no, now).await? {
            // Not before: until they are written they wait, so that the user is not put among those who do again.
            user.receipts_wait = false;
            user.account.receipted_useq = upto;
            user.account_change = Change::Urgent;
        }
        // What others are told of is in the log; if nobody is told, it may wait for a commit.
        self.hurry(no);
        self.due.put_off(now);
        self.trim(no).await;
        Ok(())
    }

    /// A device of `by` has stored the conversation up to `newest`: notes it, and tells the authors.
    async fn deliver_up_to(
        &mut self,
        by: UserNo,
        no: ConversationNo,
        newest: u64,
        authors: BTreeMap<UserNo, u64>,
        now: Now,
    ) -> Result<(), StoreError> {
        let conversation = self.conversation(no, now).await?;
        let conversation = conversation.ok_or_else(|| missing(format!("conversation {}", no.0)))?;
        let peer = conversation.peer_of(by)?;
        let mut membership = self.membership(by, no).await?.unwrap_or_default();
        if newest <= membership.delivered_cseq {
            return Ok(());
        }
        let authors = match peer {
            Some(peer) => BTreeMap::from([(peer, newest)]),
            None => authors,
        };
        let tells = self.tells_receipts(no, by, now).await?;
        for author in authors.keys() {
            self.named_user(*author, now).await?;
        }
        (membership.delivered_cseq, membership.delivered_ms) = (newest, now.unix_ms);
        if peer.is_some_and(|peer| peer != by && tells) {
            membership.told_delivered_cseq = newest;
        }
        self.put_membership(by, no, &membership);
        for (author, delivered_cseq) in authors.into_iter().filter(|(author, _)| tells && *author != by) {
            self.stage_receipt(author, no, by, Reached { delivered_cseq, read_cseq: 0 }, now);
        }
        Ok(())
    }

    /// Whether others learn how far `user` has received and read this conversation.
    pub async fn tells_receipts(&mut self, no: ConversationNo, user: UserNo, now: Now) -> Result<bool, StoreError> {
        let conversation = &self.conversations[&no];
        let few = !conversation.is_large() && conversation.readers.len() <= self.settings.receipts_up_to.max(2);
        Ok(few
            && self
                .user(user, now)
                .await?
                .is_some_and(|user| !user.account.no_receipts || canary::is("receipts-despite-the-setting")))
    }

    /// Tells an author, if they are in memory, how far `by` has come.
    pub fn stage_receipt(&mut self, author: UserNo, no: ConversationNo, by: UserNo, reached: Reached, now: Now) {
        let (Some(by_uid), true) = (self.users.get(&by).map(|by| by.uid.clone()), self.users.contains_key(&author))
        else {
            return;
        };
        let Reached { delivered_cseq, read_cseq } = reached;
        let in_group = self.conversations[&no].group().is_some();
        let by_user = if in_group { by.0 } else { 0 };
        let time_ms = now.unix_ms;
        let of = Of::Receipt.into();
        let conversation = no.0;
        let reference =
            EntryRef { conversation, delivered_cseq, read_cseq, by_user, time_ms, of, ..Default::default() };
        let uid = if in_group { by_uid.as_str().into() } else { String::new() };
        let conversation = self.name_for(author, no).into_owned();
        let receipt = wire::Receipt { conversation, delivered_cseq, read_cseq, uid, time_ms };
        let useq = self.append(author, reference);
        self.effects.push(Effect::Offer { user: author, useq, item: encode_item(Item::Receipt(receipt)) });
    }
}

/// How far somebody has come in a conversation; 0: nothing new.
pub struct Reached {
    pub delivered_cseq: u64,
    pub read_cseq: u64,
}

/// What a stretch of a timeline has brought.
#[derive(Default)]
struct Delivered {
    newest: BTreeMap<ConversationNo, u64>,
    /// Of groups: whose messages they are.
    authors: BTreeMap<ConversationNo, BTreeMap<UserNo, u64>>,
}

impl Delivered {
    fn add(&mut self, reference: &EntryRef) {
        if reference.own_device != 0 || !matches!(reference.of(), Of::Message | Of::Edit) {
            return;
        }
        let no = ConversationNo(reference.conversation);
        let newest = self.newest.entry(no).or_default();
        *newest = reference.cseq.max(*newest);
        if reference.author != 0 {
            let newest = self.authors.entry(no).or_default().entry(UserNo(reference.author)).or_default();
            *newest = reference.cseq.max(*newest);
        }
    }
}
