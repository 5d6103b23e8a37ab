//! Taking a message: its place in the sender's numbers, in the conversation, in both timelines.

use std::sync::Arc;

use hongyan_proto::{
    Uid,
    codec::message_item,
    wire::{self, NackCode},
};

use super::{
    Committer, Now,
    effect::{self, Effect},
    encode,
    op::{Addressed, Refusal, SendNumber, Submit},
    user::{SendNo, answer_frame},
};
use crate::{
    channel::{Channel, Outbound},
    log::{Answer, ConversationNo, ConversationRecord, EntryRef, UserNo, keys, keys::meta},
    store::{StoreError, Table},
};

impl Committer {
    pub(super) async fn submit(&mut self, submit: Submit, now: Now) {
        let (origin, number) = (submit.channel.clone(), submit.number);
        if let Err(error) = self.try_submit(submit, now).await {
            tracing::error!(%error, "a message could not be taken");
            let send_no = if let SendNumber::Given(send_no) = number { send_no } else { 0 };
            let answer = Outbound::Refused(effect::unavailable(send_no));
            self.effects.push(Effect::Answer { origin, answer });
        }
    }

    async fn try_submit(&mut self, submit: Submit, now: Now) -> Result<(), StoreError> {
        let Submit { channel: origin, number, body } = submit;
        let limits = self.settings.limits;
        let Some(user) = self.user(origin.user, now).await? else { return Ok(()) };
        let Some(device) = user.device_mut(origin.device) else { return Ok(()) };
        if device.record.conn_epoch != origin.conn_epoch {
            // The device has connected again since; the number comes again there.
            return Ok(());
        }
        device.confirm_token();
        let send_no = device.number_of(number);
        let answer = match device.classify(send_no) {
            SendNo::Next => match user.sends.take(limits.sends_per_s, limits.send_burst, now.instant) {
                Ok(()) => None,
                Err(wait) => Some(rate_limited(send_no, wait)),
            },
            SendNo::Answered(answer) => Some(match answer_frame(send_no, &answer) {
                Ok(ack) => Outbound::Acked(ack),
                Err(nack) => Outbound::Refused(nack),
            }),
            SendNo::Expired => Some(expired(send_no)),
            SendNo::Gap { expected } => Some(gap(send_no, expected)),
        };
        if let Some(answer) = answer {
            self.effects.push(Effect::Answer { origin, answer });
            return Ok(());
        }
        let key = if let SendNumber::Keyed(key) = number { key } else { 0 };
        match self.addressed(&origin, body, now).await? {
            Ok((recipient, conversation, addressed)) => {
                let answer = self.take(&origin, send_no, recipient, conversation, addressed, now);
                self.use_number_up(&origin, Answer { key, ..answer });
            }
            Err(refusal) => {
                let answer = Answer { nack: refusal.code as u32, key, ..Default::default() };
                self.use_number_up(&origin, answer);
                let reason = refusal.reason.into();
                let nack =
                    wire::SendNack { send_no, code: refusal.code as i32, reason, retry_after_ms: 0, expected: 0 };
                self.effects.push(Effect::Refused { origin, nack });
            }
        }
        Ok(())
    }

    /// Whom the message is for and the conversation it belongs to, or why it is refused for good.
    async fn addressed(
        &mut self,
        origin: &Channel,
        body: Result<Addressed, Refusal>,
        now: Now,
    ) -> Result<Result<(UserNo, ConversationNo, Addressed), Refusal>, StoreError> {
        let addressed = match body {
            Ok(addressed) => addressed,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(recipient) = self.recipient(&addressed.to, now).await? else {
            let refusal = Refusal { code: NackCode::NackNotFound, reason: "there is no such user here" };
            return Ok(Err(refusal));
        };
        let conversation = self.conversation(origin.user, recipient).await?;
        Ok(Ok((recipient, conversation, addressed)))
    }

    async fn recipient(&mut self, uid: &str, now: Now) -> Result<Option<UserNo>, StoreError> {
        match self.user_no(uid, now).await? {
            // The user may have been let go of while its name was kept.
            Some(no) => Ok(self.user(no, now).await?.filter(|user| !user.account.disabled).map(|user| user.no)),
            None if self.settings.accept_unknown_recipients => {
                Ok(Uid::new(uid).ok().map(|uid| self.create_user(&uid, None, now)))
            }
            None => Ok(None),
        }
    }

    /// The conversation of two users, made in this batch if this is its first message. Its head is in memory afterwards.
    async fn conversation(&mut self, a: UserNo, b: UserNo) -> Result<ConversationNo, StoreError> {
        let pair = (a.min(b), a.max(b));
        if let Some(no) = self.pairs.get(&pair) {
            return Ok(*no);
        }
        let no = match self.log.conversation_between(a, b).await? {
            Some(no) => {
                self.heads.insert(no, self.log.conversation_head(no).await?);
                no
            }
            None => self.create_conversation(pair.0, pair.1),
        };
        self.pairs.insert(pair, no);
        Ok(no)
    }

    fn create_conversation(&mut self, first: UserNo, second: UserNo) -> ConversationNo {
        self.last_conversation += 1;
        let no = ConversationNo(self.last_conversation);
        let record = ConversationRecord { first_user: first.0, second_user: second.0 };
        self.put_meta(meta::LAST_CONVERSATION, no.0);
        self.batch.put(Table::Conversations, keys::conversation(no), encode(&record));
        self.batch.put(Table::Pairs, keys::pair(first, second), keys::number(no.0));
        for member in [first, second] {
            self.batch.put(Table::Memberships, keys::membership(member, no), bytes::Bytes::new());
        }
        self.heads.insert(no, 0);
        no
    }

    /// Gives the message its numbers. It stands once in the conversation and once, as a reference, in each timeline.
    fn take(
        &mut self,
        origin: &Arc<Channel>,
        send_no: u64,
        recipient: UserNo,
        conversation: ConversationNo,
        addressed: Addressed,
        now: Now,
    ) -> Answer {
        let head = self.heads.get_mut(&conversation).expect("the head of a conversation in use is in memory");
        *head += 1;
        let cseq = *head;
        let time_ms = now.unix_ms;
        let sender = self.users.get_mut(&origin.user).expect("the sender has just been looked up");
        let useq = sender.append(EntryRef {
            conversation: conversation.0,
            cseq,
            own_device: origin.device.0,
            own_send_no: send_no,
            delivered_cseq: 0,
        });
        let item = message_item(sender.uid.as_str(), &addressed.to, cseq, time_ms, &addressed.content);
        self.batch.put(Table::Messages, keys::message(conversation, cseq), item.clone());
        let ack = wire::SendAck { send_no, cseq, useq, time_ms };
        self.effects.push(Effect::Taken { origin: origin.clone(), ack, item: item.clone() });
        if recipient != origin.user {
            let user = self.users.get_mut(&recipient).expect("the recipient has just been looked up");
            let reference = EntryRef { conversation: conversation.0, cseq, ..Default::default() };
            let useq = user.append(reference);
            self.touch(recipient);
            self.effects.push(Effect::Offer { user: recipient, useq, item });
        }
        Answer { cseq, useq, time_ms, ..Default::default() }
    }

    /// The number is used up, durably, so that its repetition is answered alike, also if it was refused for good.
    fn use_number_up(&mut self, origin: &Channel, answer: Answer) {
        let window = self.settings.send_window;
        let sender = self.users.get_mut(&origin.user).expect("the sender has just been looked up");
        let device = sender.device_mut(origin.device).expect("the device has just been looked up");
        device.record_answer(answer, window);
        self.touch(origin.user);
    }
}

fn rate_limited(send_no: u64, wait: std::time::Duration) -> Outbound {
    Outbound::Refused(wire::SendNack {
        send_no,
        code: NackCode::NackRateLimited as i32,
        reason: "you send faster than this server allows".into(),
        retry_after_ms: (wait.as_millis() as u32).max(1),
        expected: 0,
    })
}

fn gap(send_no: u64, expected: u64) -> Outbound {
    let code = NackCode::NackGap as i32;
    Outbound::Refused(wire::SendNack { send_no, code, reason: String::new(), retry_after_ms: 0, expected })
}

fn expired(send_no: u64) -> Outbound {
    let reason = "this number was answered before, too long ago to repeat the answer".into();
    let code = NackCode::NackAnswerExpired as i32;
    Outbound::Refused(wire::SendNack { send_no, code, reason, retry_after_ms: 0, expected: 0 })
}
