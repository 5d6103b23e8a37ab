//! Taking a SEND: its place in the sender's numbers, and what is done about it.

use std::sync::Arc;

use hongyan_proto::{
    CloseCode, canary,
    wire::{self, NackCode},
};

use super::{
    Committer,
    effect::{self, Effect},
    op::{Addressed, Asked, Refusal, SendNumber, Submit},
    plan::{Done, Ruled, Stop},
    user::{SendNo, answer_frame},
};
use crate::{
    base::environment::Now,
    live::channel::{Channel, Outbound},
    log::Answer,
    store::StoreError,
};

impl Committer {
    pub async fn submit(&mut self, submit: Submit, now: Now) {
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
        if device.record.conn_epoch != origin.conn_epoch && !canary::is("send-not-fenced") {
            // The device has connected again since; the number comes again there. Who waits for an answer is told.
            origin.close(CloseCode::REPLACED, "the same device has connected again elsewhere");
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
        match self.take(&origin, send_no, body, now).await {
            Ok(answer) => self.record_answer(&origin, Answer { key, ..answer }),
            Err(Stop::Refused(refusal)) => self.refuse(origin, send_no, key, refusal),
            Err(Stop::Store(error)) => return Err(error),
        }
        Ok(())
    }

    /// Does what is asked. An act's answer stands for no entry: what it has changed comes to this device as to the others.
    async fn take(
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
    fn refuse(&mut self, origin: Arc<Channel>, send_no: u64, key: u64, refusal: Refusal) {
        self.record_answer(&origin, Answer { nack: refusal.code as u32, key, ..Default::default() });
        let reason = refusal.reason.into();
        let nack = wire::SendNack { send_no, code: refusal.code as i32, reason, retry_after_ms: 0, expected: 0 };
        self.effects.push(Effect::Refused { origin, nack });
    }

    /// Uses the next number of the sender's device up.
    fn record_answer(&mut self, origin: &Channel, answer: Answer) {
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
