//! What callers ask for.

use hongyan_proto::{Uid, codec::MAX_FRAME};
use tokio::sync::oneshot;

use super::{
    outbox::outcome,
    requests::Asker,
    round::Round,
    state::{Driver, Line, MAX_OUT, Stop},
};
use crate::{
    command::{Command, Outcome, SendStatus},
    error::{ClientError, SendError},
    event::sent,
    outgoing::Outgoing,
    store::{OutboxItem, Outcome as Stored},
};

/// Commands that share one transaction at the most.
const COMMANDS_A_TURN: usize = 256;
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
            Command::Enqueue { outgoing, queued, answer } => match self.enqueue(outgoing, round) {
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
            Command::Conversations { reply } => self.tell_list(reply, round),
            Command::Follow { uids, replace } => self.requests.follow(&uids, replace),
            Command::Signal(signal) => {
                let takes_it = |line: &&mut Line| line.connection.is_live() && line.link.queued() < MAX_OUT;
                if let Some(line) = self.active.as_mut().filter(takes_it) {
                    line.connection.signal(&signal);
                }
            }
            Command::Close { done } => return Err(Stop::Closed(Some(done))),
        }
        Ok(())
    }

    fn enqueue(&mut self, outgoing: Outgoing, round: &mut Round) -> Result<u64, SendError> {
        let limit = self.meta.limits.as_ref().map_or(usize::MAX, |limits| limits.max_content as usize);
        let rest = outgoing.rest_len();
        let Outgoing { to, content, extras, act } = outgoing;
        let (len, max) = (content.len(), limit.min(MAX_FRAME - ENVELOPE));
        if len > max || rest > MAX_FRAME - ENVELOPE {
            return Err(SendError::TooLarge { len: len.max(rest), max });
        }
        self.outbox.check(len + rest, self.queue.unread_answers())?;
        self.meta.last_send_no += 1;
        round.meta = true;
        let item = OutboxItem { send_no: self.meta.last_send_no, to, content, extras, act };
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
        let me = Uid::new(&self.meta.uid).ok();
        let told =
            stored.as_ref().and_then(|stored| outcome(&me?, stored)).unwrap_or(Err(SendError::Unknown { send_no }));
        round.outcomes.push((answer, told));
        Ok(())
    }

    async fn status(&mut self, send_no: u64) -> Result<SendStatus, ClientError> {
        if self.outbox.find(send_no).is_some() {
            return Ok(SendStatus::Queued);
        }
        let Some(answer) = self.keeper.answer(send_no).await? else { return Ok(SendStatus::Unknown) };
        let Ok(me) = Uid::new(&self.meta.uid) else { return Ok(SendStatus::Unknown) };
        let mark = self.marks.get(&answer.to);
        let delivered = mark.map_or(0, |mark| mark.delivered);
        let read = mark.and_then(|mark| mark.row.as_ref()).map_or(0, |row| row.peer_read_cseq);
        Ok(match answer.outcome {
            Some(Stored::Sent(ack)) => {
                let (cseq, sent) = (ack.cseq, sent(&me, &answer.to, ack));
                match cseq {
                    // An act that has no number.
                    0 => SendStatus::Sent(sent),
                    _ if cseq <= read => SendStatus::Read(sent),
                    _ if cseq <= delivered => SendStatus::Delivered(sent),
                    _ => SendStatus::Sent(sent),
                }
            }
            Some(Stored::Refused(nack)) => SendStatus::Refused { code: nack.code, reason: nack.reason },
            None => SendStatus::Unknown,
        })
    }
}
