//! Messages as rows: what is written in a conversation becomes runs with the commit, what a message says may be replaced
//! later, and who can see it.

use bytes::Bytes;
use hongyan_proto::{
    canary,
    server::encode_item,
    wire::{self, Gone, NackCode, entry::Item},
};

use crate::{
    base::{
        environment::Now,
        number::{ConversationNo, UserNo},
    },
    committer::{
        plan::{Ruled, refused},
        state::Committer,
    },
    log::{MessageRun, keys, message_of, message_rows},
    store::{Batch, StoreError, Table},
};

/// Where a message stands.
pub enum MessagePlace {
    /// Among those that the batch writes.
    Staged,
    /// In a row, as the batch will leave it.
    Stored(MessageRun),
}

impl Committer {
    /// Writes the next message of a conversation in use.
    pub fn put_next(&mut self, no: ConversationNo, item: Bytes) {
        let run = &mut self.in_use(no).run;
        let is_first = run.is_empty();
        run.push(item);
        if is_first {
            self.written.push(no);
        }
    }

    /// Turns what was written into rows: runs of messages.
    pub fn write_messages(&mut self) {
        for no in std::mem::take(&mut self.written) {
            let Some(conversation) = self.conversations.get_mut(&no) else { continue };
            let first = conversation.head + 1 - conversation.run.len() as u64;
            put_run(&mut self.batch, no, first, &conversation.run);
            conversation.run.clear();
        }
    }

    /// A message as the batch under way will leave it.
    pub async fn stored_message(&mut self, no: ConversationNo, cseq: u64) -> Result<Option<wire::Message>, StoreError> {
        match self.message_place(no, cseq).await? {
            Some(mut place) => self.message_at(no, &mut place, cseq),
            None => Ok(None),
        }
    }

    /// A message, not an act, whose body is still there, if `user` can see it.
    pub async fn message_seen_by(
        &mut self,
        user: UserNo,
        no: ConversationNo,
        cseq: u64,
        now: Now,
    ) -> Ruled<wire::Message> {
        let Some(head) = self.conversation(no, now).await?.map(|conversation| conversation.head) else {
            return no_such_message();
        };
        let visible = self.membership(user, no).await?.is_some_and(|seen| seen.visible(head).contains(&cseq));
        let message = if visible { self.stored_message(no, cseq).await? } else { None };
        let whole = |message: &wire::Message| {
            message.act.is_none()
                && message
                    .extras
                    .as_ref()
                    .is_none_or(|extras| extras.gone() == Gone::Not || canary::is("edit-after-recall"))
        };
        message.filter(whole).map_or_else(no_such_message, Ok)
    }

    /// The message that stands in a place.
    pub fn message_at(
        &mut self,
        no: ConversationNo,
        place: &mut MessagePlace,
        cseq: u64,
    ) -> Result<Option<wire::Message>, StoreError> {
        let item = match place {
            MessagePlace::Staged => self.in_use(no).staged(cseq),
            MessagePlace::Stored(run) => run.get_mut(cseq),
        };
        item.cloned().map(message_of).transpose()
    }

    /// None: there is no such message.
    pub async fn message_place(&mut self, no: ConversationNo, cseq: u64) -> Result<Option<MessagePlace>, StoreError> {
        if self.conversations.get_mut(&no).is_some_and(|conversation| conversation.staged(cseq).is_some()) {
            return Ok(Some(MessagePlace::Staged));
        }
        let Some(stored) = self.log.run_with(no, cseq).await? else { return Ok(None) };
        // What the batch has replaced in it may have made it several.
        for first in (stored.first..=cseq).rev() {
            let key = keys::message(no, first);
            if let Some(Some(row)) = self.batch.find(Table::Messages, &key) {
                return Ok(Some(MessagePlace::Stored(MessageRun::parse(&key, row)?)));
            }
        }
        Ok(Some(MessagePlace::Stored(stored)))
    }

    /// Puts another message in the place of one.
    pub fn replace(&mut self, no: ConversationNo, place: MessagePlace, message: wire::Message) {
        let cseq = message.cseq;
        let item = encode_item(Item::Message(message));
        match place {
            MessagePlace::Staged => {
                if let Some(staged) = self.in_use(no).staged(cseq) {
                    *staged = item;
                }
            }
            MessagePlace::Stored(mut run) => {
                if let Some(stored) = run.get_mut(cseq) {
                    *stored = item;
                }
                put_run(&mut self.batch, no, run.first, &run.items);
            }
        }
    }
}

/// Of an act that names a message.
pub fn no_such_message<T>() -> Ruled<T> {
    refused(NackCode::NackNotFound, "there is no such message, or it has been taken back")
}

fn put_run(batch: &mut Batch, no: ConversationNo, first: u64, items: &[Bytes]) {
    for (first, row) in message_rows(first, items) {
        batch.put(Table::Messages, keys::message(no, first), row);
    }
}
