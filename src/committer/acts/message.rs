//! Acts on one message: edit, recall, react, pin. And how long messages stay.

use std::time::Duration;

use hongyan_proto::{
    canary,
    wire::{self, Gone, NackCode, Role, act::What},
};

use crate::{
    base::{
        environment::Now,
        number::{ConversationNo, UserNo},
    },
    committer::{
        plan::{Done, Ruled, announced, done, ensure, refused},
        rules::messages::no_such_message,
        state::Committer,
    },
    log::{Reaction, ReactionsRecord, encode, keys},
    store::Table,
};

/// People who can react to one message.
const MAX_REACTIONS: usize = 500;
/// Messages pinned in one conversation.
const MAX_PINS: usize = 50;

impl Committer {
    pub async fn edit(&mut self, user: UserNo, no: ConversationNo, edit: wire::Edit, now: Now) -> Ruled<Done> {
        let mut message = self.own_message(user, no, edit.cseq, self.settings.edit_within, now).await?;
        self.may_write(user, no, now).await?;
        if edit.mention_all {
            let least = self.conversations[&no].group().map_or(Role::None as i32, |group| group.may_mention_all);
            let is_allowed = self.role(no, user).await? as i32 >= least;
            ensure(is_allowed, NackCode::NackForbidden, "your role in this group does not allow mention_all")?;
        }
        self.load_readers(no, now).await?;
        let Some(place) = self.message_place(no, message.cseq).await? else { return no_such_message() };
        message.content = edit.content.clone();
        let mut extras = message.extras.take().unwrap_or_default();
        (extras.mentions, extras.mention_all) = (edit.mentions.clone(), edit.mention_all);
        let cseq = self.announce(no, user, What::Edit(edit), now);
        (extras.edited_ms, extras.edited_cseq) = (now.unix_ms, cseq);
        message.extras = Some(extras);
        self.replace(no, place, message);
        self.note_old_body(now);
        announced(cseq)
    }

    /// A message that `user` has written no longer than `within` ago.
    async fn own_message(
        &mut self,
        user: UserNo,
        no: ConversationNo,
        cseq: u64,
        within: Duration,
        now: Now,
    ) -> Ruled<wire::Message> {
        let message = self.message_seen_by(user, no, cseq, now).await?;
        let is_own = message.from == self.users[&user].uid.as_str() || canary::is("edit-by-anybody");
        ensure(is_own, NackCode::NackForbidden, "this message is somebody else's")?;
        let is_in_time = message.time_ms.saturating_add(within.as_millis() as u64) >= now.unix_ms;
        ensure(is_in_time, NackCode::NackTooLate, "the time in which this may be done is over")?;
        Ok(message)
    }

    /// Takes a message back. Admins of a group can do it to any message, at any time.
    pub async fn recall(&mut self, user: UserNo, no: ConversationNo, cseq: u64, now: Now) -> Ruled<Done> {
        let moderates = matches!(self.role(no, user).await?, Role::Admin | Role::Owner);
        let message = match moderates {
            true => self.message_seen_by(user, no, cseq, now).await?,
            false => self.own_message(user, no, cseq, self.settings.recall_within, now).await?,
        };
        self.load_readers(no, now).await?;
        self.take_body(no, cseq, Gone::Recalled, self.conversations[&no].head + 1, now).await?;
        if self.conversations[&no].record.pins.contains(&cseq) {
            self.in_use(no).record.pins.retain(|pin| *pin != cseq);
            self.put_conversation(no);
        }
        announced(self.announce(no, user, What::Recall(wire::Recall { cseq, author: message.from }), now))
    }

    pub async fn react(&mut self, user: UserNo, no: ConversationNo, mut react: wire::React, now: Now) -> Ruled<Done> {
        self.message_seen_by(user, no, react.cseq, now).await?;
        self.may_take_part(user, no, now).await?;
        let key = keys::message(no, react.cseq);
        let mut record: ReactionsRecord = self.row(Table::Reactions, key.clone()).await?.unwrap_or_default();
        let counts_once = !canary::is("reaction-counted-twice");
        let mine = record.reactions.iter().filter(|_| counts_once).position(|reaction| reaction.user == user.0);
        react.previous = mine.map(|index| record.reactions[index].reaction.clone()).unwrap_or_default();
        if react.previous == react.reaction {
            return done();
        }
        match mine {
            Some(index) if react.reaction.is_empty() => drop(record.reactions.remove(index)),
            Some(index) => record.reactions[index].reaction.clone_from(&react.reaction),
            None if record.reactions.len() >= MAX_REACTIONS => {
                return refused(NackCode::NackFull, "as many people as can have reacted to this message");
            }
            None => record.reactions.push(Reaction { user: user.0, reaction: react.reaction.clone() }),
        }
        self.load_readers(no, now).await?;
        record.as_of_cseq = self.announce(no, user, What::React(react), now);
        self.batch.put(Table::Reactions, key, encode(&record));
        announced(record.as_of_cseq)
    }

    pub async fn pin(&mut self, user: UserNo, no: ConversationNo, pin: wire::Pin, now: Now) -> Ruled<Done> {
        self.may_change(user, no, |group| group.may_pin, now).await?;
        let pins = &self.conversations[&no].record.pins;
        let (is_pinned, is_full) = (pins.contains(&pin.cseq), pins.len() >= MAX_PINS);
        if is_pinned != pin.unpin {
            return done();
        }
        if !pin.unpin {
            self.message_seen_by(user, no, pin.cseq, now).await?;
            ensure(!is_full, NackCode::NackFull, "as many messages as can be are pinned: unpin one first")?;
        }
        self.load_readers(no, now).await?;
        let pins = &mut self.in_use(no).record.pins;
        pins.retain(|pinned| *pinned != pin.cseq);
        if !pin.unpin {
            pins.push(pin.cseq);
        }
        self.put_conversation(no);
        announced(self.announce(no, user, What::Pin(pin), now))
    }

    pub async fn disappear(
        &mut self,
        user: UserNo,
        no: ConversationNo,
        disappear: wire::Disappear,
        now: Now,
    ) -> Ruled<Done> {
        self.may_change(user, no, |group| group.may_pin, now).await?;
        if self.conversations[&no].record.disappear_after_s == disappear.after_s {
            return done();
        }
        self.load_readers(no, now).await?;
        self.in_use(no).record.disappear_after_s = disappear.after_s;
        self.put_conversation(no);
        announced(self.announce(no, user, What::Disappear(disappear), now))
    }

    /// Who may do more than read: in a group every member, in a conversation of two who may write to the other.
    async fn may_take_part(&mut self, user: UserNo, no: ConversationNo, now: Now) -> Ruled<()> {
        match self.conversations[&no].group() {
            None => self.may_write(user, no, now).await,
            Some(group) => ensure(!group.dissolved, NackCode::NackForbidden, "this group was dissolved"),
        }
    }
}
