//! Acts that only one's own devices learn of: read marks, how the list shows a conversation, privacy. Of a read mark the
//! authors of what was read learn too.

use std::collections::BTreeMap;

use hongyan_proto::{
    canary,
    wire::{self, NackCode},
};

use crate::{
    base::{
        environment::Now,
        number::{ConversationNo, UserNo},
    },
    committer::{
        plan::{Done, Ruled, done, refused},
        rules::receipts::Reached,
        state::Committer,
        user::Change,
    },
    log::{HistoryRange, Of, message_of},
    ops::effect::Effect,
    store::StoreError,
};

/// The newest messages of a group that are looked at for whose they are, when a read mark passes over them.
const AUTHORS_OF: usize = 200;

impl Committer {
    /// Somebody has seen everything up to `cseq`.
    pub async fn read(&mut self, user: UserNo, no: ConversationNo, cseq: u64, now: Now) -> Ruled<Done> {
        let head = self.conversations[&no].head;
        let mut membership = self.membership(user, no).await?.unwrap_or_default();
        let cseq = cseq.min(*membership.visible(head).end());
        if cseq <= membership.read_cseq && !canary::is("read-mark-goes-back") {
            return done();
        }
        let told = self.authors_of_read(user, no, membership.read_cseq, cseq, now).await?;
        (membership.read_cseq, membership.read_ms) = (cseq, now.unix_ms);
        if self.conversations[&no].group().is_none() && !told.is_empty() {
            membership.told_read_cseq = cseq;
        }
        self.put_membership(user, no, &membership);
        self.refer(user, Of::Conversation, no, UserNo(0));
        for (author, read_cseq) in told {
            self.stage_receipt(author, no, user, Reached { delivered_cseq: 0, read_cseq }, now);
        }
        done()
    }

    /// Who learns that messages with `after < cseq <= upto` were read, and up to where. They are in memory.
    async fn authors_of_read(
        &mut self,
        reader: UserNo,
        no: ConversationNo,
        after: u64,
        upto: u64,
        now: Now,
    ) -> Result<BTreeMap<UserNo, u64>, StoreError> {
        let mut authors = BTreeMap::new();
        if !self.tells_receipts(no, reader, now).await? {
            return Ok(authors);
        }
        if let Some(peer) = self.conversations[&no].peer_of(reader)? {
            if peer != reader {
                self.named_user(peer, now).await?;
                authors.insert(peer, upto);
            }
            return Ok(authors);
        }
        for message in self.newest_messages(no, after, upto).await? {
            let Some(author) = self.user_no(&message.from, now).await? else { continue };
            let is_reader = self.conversations[&no].readers.contains(&author);
            let author = if canary::is("receipt-to-wrong-author") { reader } else { author };
            let is_other = author != reader || canary::is("receipt-to-wrong-author");
            if is_other && message.act.is_none() && is_reader {
                authors.insert(author, message.cseq);
            }
        }
        Ok(authors)
    }

    /// The newest messages with `after < cseq <= upto` in rising order, those of the batch under way too.
    async fn newest_messages(
        &mut self,
        no: ConversationNo,
        after: u64,
        upto: u64,
    ) -> Result<Vec<wire::Message>, StoreError> {
        let range = HistoryRange { after, before: upto + 1, limit: AUTHORS_OF, forward: false };
        let rows = self.log.history(no, range).await?;
        let committed = rows.last().map_or(after, |(cseq, _)| *cseq);
        let mut messages = rows.into_iter().map(|(_, row)| message_of(row)).collect::<Result<Vec<_>, _>>()?;
        let staged = upto.saturating_sub(AUTHORS_OF as u64).max(committed) + 1..=upto;
        for cseq in staged.filter(|_| !canary::is("batch-not-looked-into")) {
            messages.extend(self.stored_message(no, cseq).await?);
        }
        Ok(messages)
    }

    pub async fn arrange(
        &mut self,
        user: UserNo,
        no: ConversationNo,
        arrange: wire::Arrange,
        _now: Now,
    ) -> Ruled<Done> {
        let before = self.membership(user, no).await?.unwrap_or_default();
        let mut membership = before.clone();
        membership.pinned = arrange.pinned.unwrap_or(before.pinned);
        membership.muted_until_ms = arrange.muted_until_ms.unwrap_or(before.muted_until_ms);
        membership.archived = arrange.archived.unwrap_or(before.archived);
        membership.draft = arrange.draft.unwrap_or_else(|| before.draft.clone());
        if membership != before {
            self.put_membership(user, no, &membership);
            self.refer(user, Of::Conversation, no, UserNo(0));
        }
        done()
    }

    pub async fn set_privacy(&mut self, user: UserNo, privacy: &wire::Privacy, now: Now) -> Ruled<Done> {
        let Some(loaded) = self.user(user, now).await? else {
            return refused(NackCode::NackNotFound, "there is no such user here");
        };
        let account = &mut loaded.account;
        for (asked, kept) in [
            (privacy.write, &mut account.may_write),
            (privacy.add_to_groups, &mut account.may_add),
            (privacy.presence, &mut account.may_see),
        ] {
            if asked != 0 {
                *kept = asked;
            }
        }
        account.no_receipts = privacy.no_receipts.unwrap_or(account.no_receipts);
        loaded.account_change = Change::Urgent;
        self.refer(user, Of::Privacy, ConversationNo(0), UserNo(0));
        self.effects.push(Effect::Veil { user, watcher: None });
        done()
    }
}
