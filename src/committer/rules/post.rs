//! Messages: who may post where, what a message carries, its numbers.

use std::sync::Arc;

use bytes::Bytes;
use hongyan_proto::{
    ConversationId, canary,
    codec::message_item,
    server::encode_item,
    wire::{self, NackCode, Role, entry::Item},
};

use super::{place::Destination, publish::Publication};
use crate::{
    base::{
        environment::Now,
        number::{ConversationNo, UserNo},
    },
    committer::{
        plan::{Ruled, ensure, refused},
        state::Committer,
    },
    live::channel::Channel,
    log::{Answer, Of},
};

impl Committer {
    /// A plain message.
    pub async fn post(
        &mut self,
        origin: &Arc<Channel>,
        send_no: u64,
        to: Option<&ConversationId>,
        content: Bytes,
        extras: Option<Box<wire::Extras>>,
        now: Now,
    ) -> Ruled<Answer> {
        let destination = self.place_to_post(origin.user, to, extras.as_deref(), now).await?;
        let no = self.arrive(origin.user, destination, now);
        let (cseq, item) = self.write(origin.user, no, content, extras, now);
        let (author, time_ms) = (origin.user, now.unix_ms);
        let origin_of = Some((origin, send_no));
        let useq = self.distribute(Publication {
            no,
            cseq,
            author,
            origin: origin_of,
            of: Of::Message,
            time_ms,
            item,
            by_reader: false,
        });
        Ok(Answer { cseq, useq, time_ms, ..Default::default() })
    }

    /// Where a message is to go, if it may; whoever reads it there is in memory.
    pub async fn place_to_post(
        &mut self,
        user: UserNo,
        to: Option<&ConversationId>,
        extras: Option<&wire::Extras>,
        now: Now,
    ) -> Ruled<Destination> {
        let Some(to) = to else {
            return refused(NackCode::NackInvalid, "to: name a user or a group");
        };
        let destination = self.destination(user, to, now).await?;
        self.may_write_at(user, &destination, now).await?;
        let (mut head, mut least) = (0, Role::None as i32);
        if let Destination::There(no) = destination {
            self.load_readers(no, now).await?;
            let conversation = &self.conversations[&no];
            head = conversation.head;
            least = conversation.group().map_or(least, |group| group.may_mention_all);
        }
        let (reply_to, to_all) = extras.map_or((0, false), |extras| (extras.reply_to, extras.mention_all));
        ensure(reply_to <= head, NackCode::NackInvalid, "reply_to: there is no such message")?;
        if let Destination::There(no) = destination
            && to_all
        {
            let is_allowed = self.role(no, user).await? as i32 >= least;
            ensure(is_allowed, NackCode::NackForbidden, "your role in this group does not allow mention_all")?;
        }
        Ok(destination)
    }

    /// Gives the message its number and writes it.
    pub fn write(
        &mut self,
        author: UserNo,
        no: ConversationNo,
        content: Bytes,
        extras: Option<Box<wire::Extras>>,
        now: Now,
    ) -> (u64, Bytes) {
        let cseq = self.next_cseq(no);
        let extras = self.with_expiry(no, cseq, extras, now);
        let (to, from) = (self.name_for(author, no), self.users[&author].uid.as_str());
        let from = if canary::is("forged-sender") { &*to } else { from };
        let item = match extras {
            None => message_item(from, &to, cseq, now.unix_ms, &content),
            extras => {
                let (from, to) = (from.into(), to.into_owned());
                let (time_ms, act) = (now.unix_ms, None);
                encode_item(Item::Message(wire::Message { from, to, cseq, time_ms, content, extras, act }))
            }
        };
        self.put_next(no, item.clone());
        (cseq, item)
    }
}
