//! People who act, and how the committer answers them.

use std::{sync::Arc, time::Duration};

use hongyan_proto::wire::{self, NackCode, act::What};

use super::*;
use crate::{base::number::ConversationNo, log::message_of};

/// A rig with devices of some users, each with the number it has used last.
pub struct Cast {
    pub rig: Rig,
    pub channels: Vec<(Arc<Channel>, u64)>,
}

pub type Answered = Result<u64, NackCode>;

impl Cast {
    pub async fn of(uids: &[&str]) -> Self {
        let mut rig = Rig::new().await;
        let mut channels = Vec::new();
        for uid in uids {
            channels.push((rig.log_in(uid, "phone").await.channel, 0));
        }
        Self { rig, channels }
    }

    pub fn op(&mut self, who: usize, to: &str, asked: Asked) -> Op {
        let (channel, send_no) = &mut self.channels[who];
        *send_no += 1;
        let body = Ok(Addressed { to: ConversationId::new(to).ok(), asked });
        Op::Submit(Submit { from: channel.id, op: None, number: SendNumber::Given(*send_no), body })
    }

    pub fn act(&mut self, who: usize, to: &str, what: What) -> Op {
        self.op(who, to, Asked::Act(Box::new(what)))
    }

    pub fn message(&mut self, who: usize, to: &str, expires_after_s: u32) -> Op {
        let extras = Box::new(wire::Extras { expires_after_s, ..Default::default() });
        self.op(who, to, Asked::Message { content: Bytes::from_static(b"secret"), extras: Some(extras) })
    }

    /// Processes a batch and gives the answers of one of its senders: the cseq, or why not.
    pub async fn answers(&mut self, who: usize, ops: Vec<Op>) -> Vec<Answered> {
        self.rig.process(ops).await;
        let mut answers = Vec::new();
        while let Some(outbound) = self.channels[who].0.take(true) {
            match outbound {
                Outbound::Acked(ack) => answers.push(Ok(ack.cseq)),
                Outbound::Refused(nack) => answers.push(Err(nack.code())),
                _ => {}
            }
        }
        answers
    }

    pub async fn says(&mut self, who: usize, to: &str, what: What) -> Answered {
        let op = self.act(who, to, what);
        self.answers(who, vec![op]).await[0]
    }

    /// A group of everybody, made by the first.
    pub async fn group(&mut self, uids: &[&str]) -> String {
        let members = uids.iter().map(|uid| (*uid).into()).collect();
        let op = self.act(0, "", What::GroupCreate(wire::GroupCreate { members, settings: None }));
        self.answers(0, vec![op]).await;
        format!("#{}", self.rig.committer.last_conversation)
    }

    /// The store's row of a message.
    pub async fn row(&self, cseq: u64) -> wire::Message {
        let no = ConversationNo(self.rig.committer.last_conversation);
        let item = self.rig.committer.log.message(no, cseq).await.unwrap();
        message_of(item.unwrap()).unwrap()
    }

    pub fn wait(&mut self, time: Duration) {
        self.rig.now.instant += time;
        self.rig.now.unix_ms += time.as_millis() as u64;
    }
}
