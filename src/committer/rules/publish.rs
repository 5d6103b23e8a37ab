//! What is written in a conversation: its number there, its place in one run, a reference in the timeline of each reader.

use std::borrow::Cow;

use bytes::Bytes;
use hongyan_proto::{
    ConversationId, canary,
    server::encode_item,
    wire::{self, act::What, entry::Item},
};

use crate::{
    base::{
        environment::Now,
        number::{ConversationNo, UserNo},
    },
    committer::state::Committer,
    log::{EntryRef, Of},
    ops::{
        effect::Effect,
        id::{ChannelId, OpId},
    },
    store::StoreError,
};

/// Where a SEND came from, and who waits for its answer apart from the channel.
#[derive(Clone, Copy)]
pub struct Origin {
    pub from: ChannelId,
    pub op: Option<OpId>,
}

/// Something with a cseq, ready to be stored and pushed.
pub struct Publication {
    pub no: ConversationNo,
    pub cseq: u64,
    pub author: UserNo,
    /// Of a plain message: the device that sent it and its send_no. The SEND_ACK stands for the entry there.
    pub origin: Option<(Origin, u64)>,
    pub of: Of,
    pub time_ms: u64,
    pub item: Bytes,
    /// What readers see of it depends on them, so that each reads it from the log.
    pub by_reader: bool,
}

impl Committer {
    /// Sees to it that everybody whose timeline gets a reference is in memory.
    pub async fn load_readers(&mut self, no: ConversationNo, now: Now) -> Result<(), StoreError> {
        let readers = std::mem::take(&mut self.in_use(no).readers);
        let mut loaded = Ok(());
        for reader in &readers {
            if let Err(error) = self.named_user(*reader, now).await {
                loaded = Err(error);
            }
        }
        self.in_use(no).readers = readers;
        loaded
    }

    pub fn next_cseq(&mut self, no: ConversationNo) -> u64 {
        let conversation = self.in_use(no);
        conversation.head += 1;
        conversation.head
    }

    /// The message is written already. In a large group the online members get the item as it is, and nobody but its
    /// author's own devices a line in the log. Gives the author's useq for a plain message, otherwise 0.
    pub fn distribute(&mut self, publication: Publication) -> u64 {
        let Publication { no, cseq, author, origin, of, time_ms, item, by_reader } = publication;
        let (readers, is_large, is_group) = {
            let conversation = self.in_use(no);
            (std::mem::take(&mut conversation.readers), conversation.is_large(), conversation.group().is_some())
        };
        for reader in readers.iter().copied().filter(|reader| origin.is_none() || *reader != author) {
            let by = if is_group && reader != author { author.0 } else { 0 };
            let reference = EntryRef { conversation: no.0, cseq, author: by, of: of.into(), ..Default::default() };
            let useq = self.append(reader, reference);
            self.effects.push(match by_reader {
                false => Effect::Offer { user: reader, useq, item: item.clone() },
                true => Effect::Refer { user: reader, useq },
            });
        }
        self.in_use(no).readers = readers;
        if is_large && by_reader {
            self.effects.push(Effect::Hint { no });
        } else if is_large {
            let except = origin.is_some().then_some(author);
            self.effects.push(Effect::Broadcast { no, except, item: item.clone() });
        }
        let Some((Origin { from, op }, send_no)) = origin else { return 0 };
        let (own_device, own_send_no) = (from.device.0, send_no);
        let reference =
            EntryRef { conversation: no.0, cseq, own_device, own_send_no, of: of.into(), ..Default::default() };
        let useq = self.append(author, reference);
        // Last, so that whoever hears the answer finds the message wherever it has to be.
        let ack = wire::SendAck { send_no, cseq, useq, time_ms, group: 0 };
        self.effects.push(Effect::Taken { from, op, ack, item });
        useq
    }

    pub fn append(&mut self, no: UserNo, reference: EntryRef) -> u64 {
        let user = self.users.get_mut(&no).expect("readers have just been loaded");
        let useq = user.append(reference);
        self.touch(no);
        useq
    }

    /// An act that everybody in the conversation learns of; the readers are in memory. Of an edit the row has no content,
    /// because that stands in the message already. Gives its cseq.
    pub fn announce(&mut self, no: ConversationNo, author: UserNo, what: What, now: Now) -> u64 {
        let cseq = self.next_cseq(no);
        let of = if matches!(what, What::Edit(_)) { Of::Edit } else { Of::Message };
        let by_reader = matches!(&what, What::Edit(edit) if self.is_hidden_from_some(no, edit.cseq));
        let mut message = wire::Message {
            from: self.uid(author),
            to: self.name_for(author, no).into_owned(),
            cseq,
            time_ms: now.unix_ms,
            act: Some(Box::new(wire::Act { what: Some(what) })),
            ..Default::default()
        };
        let item = encode_item(Item::Message(message.clone()));
        let row = match message.act.as_mut().and_then(|act| act.what.as_mut()) {
            Some(What::Edit(edit)) if !canary::is("recall-leaves-the-body-in-an-edit") => {
                *edit = wire::Edit { cseq: edit.cseq, ..Default::default() };
                encode_item(Item::Message(message))
            }
            _ => item.clone(),
        };
        self.put_next(no, row);
        self.distribute(Publication { no, cseq, author, origin: None, of, time_ms: now.unix_ms, item, by_reader });
        self.is_urgent = true;
        cseq
    }

    /// Whether a member of a group came when the message had been written, and sees nothing from before.
    fn is_hidden_from_some(&self, no: ConversationNo, cseq: u64) -> bool {
        self.conversations[&no].group().is_some_and(|group| cseq < group.hidden_below)
    }

    fn uid(&self, no: UserNo) -> String {
        self.users[&no].uid.as_str().into()
    }

    /// What `user` calls the conversation.
    pub fn name_for(&self, user: UserNo, no: ConversationNo) -> Cow<'_, str> {
        match self.conversations[&no].record.peer_of(user) {
            Some(peer) => self.users[&peer].uid.as_str().into(),
            None => ConversationId::Group(no.0).to_string().into(),
        }
    }

    /// Tells a user's devices of something that is read from the log when it is pushed. The user is in memory.
    pub fn refer(&mut self, user: UserNo, of: Of, conversation: ConversationNo, by: UserNo) {
        let reference = EntryRef { conversation: conversation.0, by_user: by.0, of: of.into(), ..Default::default() };
        let useq = self.append(user, reference);
        self.effects.push(Effect::Refer { user, useq });
    }
}
