//! Staging what is handed over: which rule each operation is for, and what it means for a SEND that a rule stops.

use super::{
    op::{Op, Submit},
    plan::Stop,
    state::Committer,
    user::Ack,
};
use crate::base::environment::Now;

impl Committer {
    pub async fn stage(&mut self, op: Op, now: Now) {
        match op {
            Op::Submit(submit) => self.stage_submit(submit, now).await,
            Op::Acked { channel, useq } => self.acked(Ack::new(&channel, useq), now).await,
            Op::Login(login) => self.log_in(*login, now).await,
            Op::Left(channel) => self.left(&channel, now).await,
            Op::Account(change) => self.change_account(*change, now).await,
            Op::Forget { user, device, last_seen_hour } => self.forget_device(user, device, last_seen_hour, now).await,
            Op::Hour => self.count_hour(now),
            Op::Purged { began_ms } => self.note_purge(began_ms),
        }
    }

    /// A SEND. One that is refused has used its number up; one that the store could not take may come again under it.
    async fn stage_submit(&mut self, submit: Submit, now: Now) {
        let Submit { channel: origin, number, body } = submit;
        let send_no = match self.number_to_take(&origin, number, now).await {
            Ok(Some(send_no)) => send_no,
            Ok(None) => return,
            Err(error) => return self.answer_unavailable(origin, number, &error),
        };
        match self.take(&origin, send_no, body, now).await {
            Ok(answer) => self.record_answer(&origin, number, answer),
            Err(Stop::Refused(refusal)) => self.refuse(origin, send_no, number, refusal),
            Err(Stop::Store(error)) => self.answer_unavailable(origin, number, &error),
        }
    }
}
