//! Taking a SEND: its place in the sender's numbers, what is done about it, and its answer. What its answer is where a rule
//! stops, `stage` says.

use hongyan_proto::{
    canary,
    wire::{self, NackCode},
};

use super::{
    plan::{Done, Ruled},
    rules::publish::Origin,
    state::Committer,
    user::{SendNo, answer_frame},
};
use crate::{
    base::environment::Now,
    log::Answer,
    ops::{
        answer::{self, Reply},
        effect::{Effect, unavailable},
        id::{ChannelId, SendNumber},
        op::{Addressed, Asked, Refusal},
    },
    store::StoreError,
};

impl Committer {
    /// The number under which a SEND is to be taken. None: it is not, and who waits for an answer gets it.
    pub async fn number_to_take(
        &mut self,
        origin: Origin,
        number: SendNumber,
        now: Now,
    ) -> Result<Option<u64>, StoreError> {
        let limits = self.settings.limits;
        let from = origin.from;
        let user = self.named_user(from.user, now).await?;
        // The device has connected again since, and the number comes again there.
        let is_newest = |conn_epoch| conn_epoch == from.conn_epoch || canary::is("send-not-fenced");
        let known = user.devices.iter_mut().find(|device| device.no == from.device);
        let Some(device) = known.filter(|device| is_newest(device.record.conn_epoch)) else {
            self.answer_replaced(origin);
            return Ok(None);
        };
        device.confirm_token();
        let send_no = device.number_of(number);
        let reply = match device.classify(send_no) {
            SendNo::Next => match user.sends.take(limits.sends_per_s, limits.send_burst, now.instant) {
                Ok(()) => return Ok(Some(send_no)),
                Err(wait) => rate_limited(send_no, wait),
            },
            SendNo::Answered(answer) => answer_frame(send_no, &answer),
            SendNo::Expired => expired(send_no),
            SendNo::Gap { expected } => gap(send_no, expected),
        };
        self.reply(origin, reply);
        Ok(None)
    }

    /// Does what is asked. An act's answer stands for no entry: what it has changed comes to this device as to the others.
    pub async fn take(
        &mut self,
        origin: Origin,
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
        let Done { cseq, group } = self.perform(origin.from.user, to.as_ref(), *what, now).await?;
        let time_ms = now.unix_ms;
        self.reply(origin, Ok(wire::SendAck { send_no, cseq, useq: 0, time_ms, group }));
        Ok(Answer { cseq, group, time_ms, ..Default::default() })
    }

    /// Refuses a SEND for good: the number is used up, durably, so that its repetition is answered alike.
    pub fn refuse(&mut self, origin: Origin, send_no: u64, number: SendNumber, refusal: Refusal) {
        self.record_answer(origin.from, number, Answer { nack: refusal.code as u32, ..Default::default() });
        let reason = refusal.reason.into();
        let code = refusal.code as i32;
        self.reply(origin, Err(wire::SendNack { send_no, code, reason, retry_after_ms: 0, expected: 0 }));
    }

    /// Uses the next number of the sender's device up.
    pub fn record_answer(&mut self, from: ChannelId, number: SendNumber, answer: Answer) {
        let window = self.settings.send_window;
        let key = if let SendNumber::Keyed(key) = number { key } else { 0 };
        let sender = self.users.get_mut(&from.user).expect("the sender has just been looked up");
        let device = sender.device_mut(from.device).expect("the device has just been looked up");
        device.record_answer(Answer { key, ..answer }, window);
        self.touch(from.user);
    }

    /// The store could not be read: whoever waits may send the same again, under the same number.
    pub fn answer_unavailable(&mut self, origin: Origin, number: SendNumber, error: &StoreError) {
        tracing::error!(%error, "a message could not be taken");
        let send_no = if let SendNumber::Given(send_no) = number { send_no } else { 0 };
        self.reply(origin, Err(unavailable(send_no)));
    }

    fn reply(&mut self, origin: Origin, reply: Reply) {
        self.effects.push(Effect::Reply { to: origin.from, op: origin.op, reply });
    }

    /// The connection is the device's no more. Its channel is closed, or is about to be; who waits elsewhere is told.
    fn answer_replaced(&mut self, origin: Origin) {
        if let Some(op) = origin.op {
            self.effects.push(Effect::Answer { op, answer: answer::Answer::Replaced });
        }
    }
}

fn rate_limited(send_no: u64, wait: std::time::Duration) -> Reply {
    Err(wire::SendNack {
        send_no,
        code: NackCode::NackRateLimited as i32,
        reason: "you send faster than this server allows".into(),
        retry_after_ms: (wait.as_millis() as u32).max(1),
        expected: 0,
    })
}

fn gap(send_no: u64, expected: u64) -> Reply {
    let code = NackCode::NackGap as i32;
    Err(wire::SendNack { send_no, code, reason: String::new(), retry_after_ms: 0, expected })
}

fn expired(send_no: u64) -> Reply {
    let reason = "this number was answered before, too long ago to repeat the answer".into();
    let code = NackCode::NackAnswerExpired as i32;
    Err(wire::SendNack { send_no, code, reason, retry_after_ms: 0, expected: 0 })
}
