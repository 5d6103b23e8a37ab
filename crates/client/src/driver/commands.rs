//! What callers ask for.

use hongyan_proto::{Uid, codec::MAX_FRAME, wire};
use tokio::sync::oneshot;

use super::{COMMANDS_A_TURN, Driver, Round, Stop, outbox::outcome, queue::sent, requests::Asker};
use crate::{
    ClientError, SendError, SendStatus,
    client::{Command, Outcome},
    store::{OutboxItem, Outcome as Stored},
};

use bytes::Bytes;

/// What a frame may need besides the content.
const ENVELOPE: usize = 256;

impl Driver {
    /// Takes a command and all that have arrived behind it. None: every handle is gone.
    pub(super) async fn on_commands(&mut self, command: Option<Command>, round: &mut Round) -> Result<(), Stop> {
        let Some(command) = command else { return Err(Stop::Closed(None)) };
        self.on_command(command, round).await?;
        for _ in 1..COMMANDS_A_TURN {
            let Ok(command) = self.commands.try_recv() else { break };
            self.on_command(command, round).await?;
        }
        Ok(())
    }

    async fn on_command(&mut self, command: Command, round: &mut Round) -> Result<(), Stop> {
        match command {
            Command::Enqueue { to, content, queued, answer } => match self.enqueue(&to, content, round) {
                Ok(send_no) => {
                    answer.into_iter().for_each(|answer| self.outbox.wait(send_no, answer));
                    round.queued.push((queued, send_no));
                }
                Err(error) => {
                    let _ = queued.send(Err(error));
                }
            },
            Command::Wait { send_no, answer } => self.wait(send_no, answer, round).await?,
            Command::Status { send_no, reply } => {
                let _ = reply.send(self.status(send_no).await?);
            }
            Command::Request { op, reply } => self.requests.ask(op, Asker::Caller(reply)),
            Command::Ping { reply } => self.requests.ping(reply),
            Command::Signal { to, body } => {
                if let Some(line) = self.active.as_mut().filter(|line| line.connection.is_live()) {
                    line.connection.signal(&wire::Signal { to: to.to_string(), body, ..Default::default() });
                }
            }
            Command::Close { done } => return Err(Stop::Closed(Some(done))),
        }
        Ok(())
    }

    fn enqueue(&mut self, to: &Uid, content: Bytes, round: &mut Round) -> Result<u64, SendError> {
        let limit = self.meta.limits.as_ref().map_or(usize::MAX, |limits| limits.max_content as usize);
        let (len, max) = (content.len(), limit.min(MAX_FRAME - ENVELOPE));
        if len > max {
            return Err(SendError::TooLarge { len, max });
        }
        self.outbox.check(len, self.queue.unread_answers())?;
        self.meta.last_send_no += 1;
        round.meta = true;
        let item = OutboxItem { send_no: self.meta.last_send_no, to: to.to_string(), content };
        round.change.queued.push(item.clone());
        self.outbox.insert(item);
        Ok(self.meta.last_send_no)
    }

    async fn wait(
        &mut self,
        send_no: u64,
        answer: oneshot::Sender<Outcome>,
        round: &mut Round,
    ) -> Result<(), ClientError> {
        if self.outbox.find(send_no).is_some() {
            self.outbox.wait(send_no, answer);
            return Ok(());
        }
        let stored = self.keeper.answer(send_no).await?;
        let told = stored.as_ref().and_then(outcome).unwrap_or(Err(SendError::Unknown { send_no }));
        round.outcomes.push((answer, told));
        Ok(())
    }

    async fn status(&mut self, send_no: u64) -> Result<SendStatus, ClientError> {
        if self.outbox.find(send_no).is_some() {
            return Ok(SendStatus::Queued);
        }
        let Some(answer) = self.keeper.answer(send_no).await? else { return Ok(SendStatus::Unknown) };
        let Ok(peer) = Uid::new(&answer.to) else { return Ok(SendStatus::Unknown) };
        let delivered = self.marks.get(&answer.to).map_or(0, |mark| mark.delivered);
        Ok(match answer.outcome {
            Some(Stored::Sent(ack)) if ack.cseq <= delivered => SendStatus::Delivered(sent(peer, ack)),
            Some(Stored::Sent(ack)) => SendStatus::Sent(sent(peer, ack)),
            Some(Stored::Refused(nack)) => SendStatus::Refused { code: nack.code, reason: nack.reason },
            None => SendStatus::Unknown,
        })
    }
}
