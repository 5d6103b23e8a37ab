//! Reading a conversation through the eyes of one of its users: by the name they have for it, and no further than they
//! may look.

use std::ops::RangeInclusive;

use bytes::Bytes;
use hongyan_proto::{
    ConversationId, canary,
    server::encode_item,
    wire::{self, act::What, entry::Item},
};

use super::{
    messages::{HistoryRange, message_of},
    record::{ConversationRecord, MembershipRecord},
    rows::{Log, missing},
};
use crate::{
    base::number::{ConversationNo, UserNo},
    store::StoreError,
};

/// A conversation in which a user has or had a part.
pub struct View {
    pub no: ConversationNo,
    pub record: ConversationRecord,
    pub membership: MembershipRecord,
    /// The cseqs that the user may see; empty: none yet.
    pub visible: RangeInclusive<u64>,
}

impl View {
    /// The cseqs of which the user may know, now and later.
    fn known(&self) -> RangeInclusive<u64> {
        known(&self.membership)
    }
}

/// What happened later is kept from a former member, also where it stands in an older row: an edit replaces a content.
/// And an edit may be newer than a member, whose message is not.
fn known(membership: &MembershipRecord) -> RangeInclusive<u64> {
    membership.first_cseq..=if membership.is_former() { membership.last_cseq } else { u64::MAX }
}

impl Log {
    /// The conversation that `user` calls `id`. None: it is not and was never one of theirs.
    pub async fn view(&self, user: UserNo, id: &ConversationId) -> Result<Option<View>, StoreError> {
        let no = match id {
            ConversationId::Group(number) => Some(ConversationNo(*number)),
            ConversationId::User(uid) => match self.user_no(uid.as_str()).await? {
                Some(peer) => self.conversation_between(user, peer).await?,
                None => None,
            },
        };
        let Some(no) = no else { return Ok(None) };
        // First the head: what is written while somebody is removed must not be taken for what they may see.
        let head = self.conversation_head(no).await?;
        let Some(membership) = self.membership(user, no).await? else { return Ok(None) };
        let record = self.conversation(no).await?.ok_or_else(|| missing(format!("conversation {}", no.0)))?;
        // A number written with a # means a group, whatever the numbers of conversations of two are.
        if record.group.is_some() != matches!(id, ConversationId::Group(_)) {
            return Ok(None);
        }
        let visible = membership.visible(head);
        Ok(Some(View { no, record, membership, visible }))
    }

    /// What the user may see of a part of the conversation, in rising order, as far as it begins within `max_bytes`. True:
    /// there is more in the range and its limit.
    pub async fn seen_history(
        &self,
        view: &View,
        range: HistoryRange,
        max_bytes: usize,
    ) -> Result<(Vec<wire::Message>, bool), StoreError> {
        let (first, last) = (*view.visible.start(), *view.visible.end());
        let after = range.after.max(first - 1);
        let before = if range.before == 0 { last + 1 } else { range.before.min(last + 1) };
        let range = HistoryRange { after, before, ..range };
        let (rows, is_cut) = self.history_within(view.no, range, max_bytes).await?;
        let mut messages = Vec::with_capacity(rows.len());
        for (_, row) in rows {
            messages.push(self.resolved(view.no, row, &view.known()).await?);
        }
        Ok((messages, is_cut))
    }

    /// The newest thing that a user may see of a conversation.
    pub async fn last_seen(&self, user: UserNo, no: ConversationNo) -> Result<Option<wire::Message>, StoreError> {
        let head = self.conversation_head(no).await?;
        let Some(membership) = self.membership(user, no).await? else { return Ok(None) };
        let visible = membership.visible(head);
        match visible.is_empty() {
            true => Ok(None),
            false => Ok(Some(message_of(self.stored_for(user, no, *visible.end()).await?)?)),
        }
    }

    /// One message or act, if the user may see it.
    pub async fn seen_message(&self, view: &View, cseq: u64) -> Result<Option<wire::Message>, StoreError> {
        if !view.visible.contains(&cseq) {
            return Ok(None);
        }
        let row = self.stored(view.no, cseq).await?;
        Ok(Some(self.resolved(view.no, row, &view.known()).await?))
    }

    /// A message or act of a timeline, encoded, as its user may see it now.
    pub(super) async fn stored_for(&self, user: UserNo, no: ConversationNo, cseq: u64) -> Result<Bytes, StoreError> {
        let row = self.stored(no, cseq).await?;
        let message = message_of(row.clone())?;
        let is_edit = matches!(message.act.as_ref().and_then(|act| act.what.as_ref()), Some(What::Edit(_)));
        if !is_edit && edited_cseq(&message) == 0 {
            return Ok(row);
        }
        let membership = self.membership(user, no).await?.unwrap_or_default();
        Ok(encode_item(Item::Message(self.resolved(no, row, &known(&membership)).await?)))
    }

    /// A stored message or act as it is now, to somebody who may know of nothing outside `known`. An edit is stored
    /// without its content, which stands in the message.
    async fn resolved(
        &self,
        no: ConversationNo,
        row: Bytes,
        known: &RangeInclusive<u64>,
    ) -> Result<wire::Message, StoreError> {
        let mut message = message_of(row)?;
        if let Some(What::Edit(edit)) = message.act.as_mut().and_then(|act| act.what.as_mut()) {
            let edited = message_of(self.stored(no, edit.cseq).await?)?;
            let is_seen = known.contains(&edit.cseq) || canary::is("hidden-message-seen-in-its-edit");
            if is_seen && edited_cseq(&edited) <= *known.end() {
                edit.content = edited.content;
                let extras = edited.extras.unwrap_or_default();
                (edit.mentions, edit.mention_all) = (extras.mentions, extras.mention_all);
            }
        } else if edited_cseq(&message) > *known.end() {
            message.content = Bytes::new();
        }
        Ok(message)
    }
}

fn edited_cseq(message: &wire::Message) -> u64 {
    message.extras.as_ref().map_or(0, |extras| extras.edited_cseq)
}
