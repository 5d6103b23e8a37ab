//! Taking a SEND: its place in the sender's numbers, what is done about it, and its answer. What its answer is where a rule
//! stops, `stage` says.

use std::sync::Arc;

use hongyan_proto::{
    CloseCode, canary,
    wire::{self, NackCode},
};

use super::{
    effect::{self, Effect},
    op::{Addressed, Asked, Refusal, SendNumber},
    plan::{Done, Ruled},
    state::Committer,
    user::{SendNo, answer_frame},
};
use crate::{
    base::environment::Now,
    live::channel::{Channel, Outbound},
    log::Answer,
    store::StoreError,
};

impl Committer {
    /// The number under which a SEND is to be taken. None: it is not, and who waits for an answer has got it.
    pub async fn number_to_take(
        &mut self,
        origin: &Arc<Channel>,
        number: SendNumber,
        now: Now,
    ) -> Result<Option<u64>, StoreError> {
        let limits = self.settings.limits;
        let Some(user) = self.user(origin.user, now).await? else { return Ok(None) };
        let Some(device) = user.device_mut(origin.device) else { return Ok(None) };
        if device.record.conn_epoch != origin.conn_epoch && !canary::is("send-not-fenced") {
            // The device has connected again since; the number comes again there. Who waits for an answer is told.
            origin.close(CloseCode::REPLACED, "the same device has connected again elsewhere");
            return Ok(None);
        }
        device.confirm_token();
        let send_no = device.number_of(number);
        let answer = match device.classify(send_no) {
            SendNo::Next => match user.sends.take(limits.sends_per_s, limits.send_burst, now.instant) {
                Ok(()) => return Ok(Some(send_no)),
                Err(wait) => rate_limited(send_no, wait),
            },
            SendNo::Answered(answer) => match answer_frame(send_no, &answer) {
                Ok(ack) => Outbound::Acked(ack),
                Err(nack) => Outbound::Refused(nack),
            },
            SendNo::Expired => expired(send_no),
            SendNo::Gap { expected } => gap(send_no, expected),
        };
        self.effects.push(Effect::Answer { origin: origin.clone(), answer });
        Ok(None)
    }

    /// Does what is asked. An act's answer stands for no entry: what it has changed comes to this device as to the others.
    pub async fn take(
        &mut self,
        origin: &Arc<Channel>,
        send_no: u64,
        body: Result<Addressed, Refusal>,
        now: Now,
    ) -> Ruled<Answer> {
        let Addressed { to, asked } = body?;
        let what = match asked {
            Asked::Message { content, extras } => {
                return self.post(origin, send_no, to.as_ref(), content, extras, now).await;
            }
            Asked::Act(what) => what,
        };
        let Done { cseq, group } = self.perform(origin.user, to.as_ref(), *what, now).await?;
        let time_ms = now.unix_ms;
        let ack = wire::SendAck { send_no, cseq, useq: 0, time_ms, group };
        self.effects.push(Effect::Answer { origin: origin.clone(), answer: Outbound::Acked(ack) });
        Ok(Answer { cseq, group, time_ms, ..Default::default() })
    }

    /// Refuses a SEND for good: the number is used up, durably, so that its repetition is answered alike.
    pub fn refuse(&mut self, origin: Arc<Channel>, send_no: u64, number: SendNumber, refusal: Refusal) {
        self.record_answer(&origin, number, Answer { nack: refusal.code as u32, ..Default::default() });
        let reason = refusal.reason.into();
        let nack = wire::SendNack { send_no, code: refusal.code as i32, reason, retry_after_ms: 0, expected: 0 };
        self.effects.push(Effect::Refused { origin, nack });
    }

    /// Uses the next number of the sender's device up.
    pub fn record_answer(&mut self, origin: &Channel, number: SendNumber, answer: Answer) {
        let window = self.settings.send_window;
        let key = if let SendNumber::Keyed(key) = number { key } else { 0 };
        let sender = self.users.get_mut(&origin.user).expect("the sender has just been looked up");
        let device = sender.device_mut(origin.device).expect("the device has just been looked up");
        device.record_answer(Answer { key, ..answer }, window);
        self.touch(origin.user);
    }

    /// The store could not be read: whoever waits may send the same again, under the same number.
    pub fn answer_unavailable(&mut self, origin: Arc<Channel>, number: SendNumber, error: &StoreError) {
        tracing::error!(%error, "a message could not be taken");
        let send_no = if let SendNumber::Given(send_no) = number { send_no } else { 0 };
        let answer = Outbound::Refused(effect::unavailable(send_no));
        self.effects.push(Effect::Answer { origin, answer });
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
